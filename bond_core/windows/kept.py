"""Keep the panes of windows that may be sent again, or that the next windows share.

Where nothing is kept, a closed pane goes into the larger windows at once and is gone. Here it
stays for as long as a late event may still change it, or a sliding window holds it; a window
is merged of its panes when it is asked for, in their order, as often as it is asked for.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import attrs

from bond_core.windows.program import Program


@attrs.define(eq=False)
class KeptPanes:
    """The closed panes of one symbol and kind.

    Attributes:
        slides: Whether windows overlap.
        lengths_ns: Of the larger windows that lie side by side: what leaves `panes` before such
            a window is over is kept for it, merged.
        panes: By start, ns; only those that had an event.
        merged: What has left `panes`, by a window's length and start, ns.
        starts: Of `panes`, rising.
        tails: By start, the panes from there to `since_ns` merged: what windows share.
        since: The panes since then merged; None if there are none.
    """

    program: Program
    slides: bool
    lengths_ns: Sequence[int] = ()
    panes: dict[int, Any] = attrs.field(factory=dict)
    merged: dict[tuple[int, int], Any] = attrs.field(factory=dict)
    starts: list[int] = attrs.field(factory=list)
    tails: dict[int, Any] = attrs.field(factory=dict)
    since: Any = None
    since_ns: int = 0

    def add(self, start_ns: int, pane: Any) -> None:
        """Keep a pane that has closed."""
        self.panes[start_ns] = pane
        insort(self.starts, start_ns)

    def pane(self, start_ns: int) -> Any:
        """Return a closed pane to be changed, a new one where it had no event yet."""
        self.tails = {}
        if start_ns not in self.panes:
            self.add(start_ns, self.program.new_pane())
        return self.panes[start_ns]

    def window(self, start_ns: int, end_ns: int) -> Any:
        """Return what the panes in `[start, end)` add up to; None if there was no event."""
        older = self.merged.get((end_ns - start_ns, start_ns))
        starts = self._between(start_ns, end_ns)
        if older is None and not starts:
            return None
        into = self.program.new_pane()
        if older is not None:
            self.program.absorb(into, older)
        for start in starts:
            self.program.absorb(into, self.panes[start])
        return into

    def next_window(self, start_ns: int, end_ns: int) -> Any:
        """Return the same for windows that come one after the other, and overlap.

        The panes that the newest windows share are merged once: from each of the older ones to
        the end of them (`tails`), and those since, as they come (`since`). So a window costs a
        few merges, however many panes it has.
        """
        starts = self._between(start_ns, end_ns)
        if not starts:
            return None
        if starts[0] not in self.tails:
            self._merge_tails(starts, end_ns)
        into = self.program.new_pane()
        self.program.absorb(into, self.tails[starts[0]])
        for start in self._between(self.since_ns, end_ns):
            if self.since is None:
                self.since = self.program.new_pane()
            self.program.absorb(self.since, self.panes[start])
        self.since_ns = end_ns
        if self.since is not None:
            self.program.absorb(into, self.since)
        return into

    def forget(self, before_ns: int) -> None:
        """Let go panes that start before a time, and windows that end by then."""
        gone = bisect_left(self.starts, before_ns)
        for start_ns in self.starts[:gone]:
            pane = self.panes.pop(start_ns)
            self.tails.pop(start_ns, None)
            for length_ns in self.lengths_ns:
                key = (length_ns, start_ns - start_ns % length_ns)
                into = self.merged.get(key)
                if into is None:
                    into = self.merged[key] = self.program.new_pane()
                self.program.absorb(into, pane)
        del self.starts[:gone]
        for key in [key for key in self.merged if sum(key) <= before_ns]:
            del self.merged[key]

    def _between(self, start_ns: int, end_ns: int) -> Sequence[int]:
        starts = self.starts
        return starts[bisect_left(starts, start_ns) : bisect_left(starts, end_ns)]

    def _merge_tails(self, starts: Sequence[int], end_ns: int) -> None:
        self.tails, self.since, self.since_ns = {}, None, end_ns
        tail = None
        for start in reversed(starts):
            into = self.program.new_pane()
            self.program.absorb(into, self.panes[start])
            if tail is not None:
                self.program.absorb(into, tail)
            tail = self.tails[start] = into
