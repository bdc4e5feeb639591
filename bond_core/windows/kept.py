"""Keep the panes of windows that may be sent again, or that the next windows share.

Where nothing is kept, a closed pane goes into the larger windows at once and is gone. Here it
stays for as long as a late event may still change it, or a sliding window holds it; a window
is merged of its panes when it is asked for, in their order, as often as it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from bond_core.windows.program import Program


@attrs.define(eq=False)
class KeptPanes:
    """The closed panes of one symbol and kind.

    Attributes:
        lengths_ns: Of the larger windows that lie side by side: what leaves `panes` before such
            a window is over is kept for it, merged.
        panes: By start, ns; only those that had an event.
        merged: What has left `panes`, by a window's length and start, ns.
    """

    program: Program
    lengths_ns: Sequence[int]
    panes: dict[int, Any] = attrs.field(factory=dict)
    merged: dict[tuple[int, int], Any] = attrs.field(factory=dict)

    def pane(self, start_ns: int) -> Any:
        """Return a closed pane, a new one where it had no event yet."""
        pane = self.panes.get(start_ns)
        if pane is None:
            pane = self.panes[start_ns] = self.program.new_pane()
        return pane

    def window(self, start_ns: int, end_ns: int) -> Any:
        """Return what the panes in `[start, end)` add up to; None if there was no event."""
        older = self.merged.get((end_ns - start_ns, start_ns))
        starts = sorted(start for start in self.panes if start_ns <= start < end_ns)
        if older is None and not starts:
            return None
        if older is None and len(starts) == 1:
            return self.panes[starts[0]]
        into = self.program.new_pane()
        if older is not None:
            self.program.absorb(into, older)
        for start in starts:
            self.program.absorb(into, self.panes[start])
        return into

    def forget(self, before_ns: int) -> None:
        """Let go panes that start before a time, and windows that end by then."""
        for start_ns in sorted(start for start in self.panes if start < before_ns):
            pane = self.panes.pop(start_ns)
            for length_ns in self.lengths_ns:
                key = (length_ns, start_ns - start_ns % length_ns)
                into = self.merged.get(key)
                if into is None:
                    into = self.merged[key] = self.program.new_pane()
                self.program.absorb(into, pane)
        for key in [key for key in self.merged if sum(key) <= before_ns]:
            del self.merged[key]
