"""Keep closed panes of one symbol and kind for as long as a record may be made from them.

Needed where windows slide, and where late events correct windows. A larger window is then
put together when it closes, and again when it is corrected:

    larger window = base (what its panes that are no longer kept add up to) + its kept panes

so panes always join in order of time, and memory is bounded by how long they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from bond_core.windows.program import Program


@attrs.define(eq=False)
class Kept:
    """Closed panes, and what older ones add up to.

    Attributes:
        lengths_ns: Of the larger timeframes.
        panes: By start, ns; only those that had an event.
        bases: For each larger timeframe, by its window's start.
    """

    program: Program
    lengths_ns: Sequence[int]
    panes: dict[int, Any] = attrs.field(factory=dict)
    bases: list[dict[int, Any]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.bases = [{} for _ in self.lengths_ns]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self.panes and not any(self.bases)

    def window(self, start_ns: int, end_ns: int, base: Any = None) -> Any:
        """Return what the panes of `[start, end)` add up to; None if they had no event."""
        starts = sorted(start for start in self.panes if start_ns <= start < end_ns)
        if base is None and len(starts) < 2:
            return self.panes[starts[0]] if starts else None
        into = self.program.new_pane()
        if base is not None:
            self.program.absorb(into, base)
        for start in starts:
            self.program.absorb(into, self.panes[start])
        return into

    def larger(self, place: int, end_ns: int) -> Any:
        """Return a window of a larger timeframe; None if it had no event."""
        start_ns = end_ns - self.lengths_ns[place]
        return self.window(start_ns, end_ns, self.bases[place].get(start_ns))

    def forget(self, panes_ns: int, windows_ns: int) -> None:
        """Let panes go that start before a time, and windows that end before another.

        Panes go into the larger windows that are still needed.
        """
        for start in sorted(start for start in self.panes if start < panes_ns):
            pane = self.panes.pop(start)
            for bases, length_ns in zip(self.bases, self.lengths_ns, strict=True):
                first = start - start % length_ns
                if first + length_ns > windows_ns:
                    if first not in bases:
                        bases[first] = self.program.new_pane()
                    self.program.absorb(bases[first], pane)
        for bases, length_ns in zip(self.bases, self.lengths_ns, strict=True):
            for first in [first for first in bases if first + length_ns <= windows_ns]:
                del bases[first]
