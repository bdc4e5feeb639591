"""Put windows that slide together from kept panes, with a few merges each instead of all.

A window is two parts, in order of time:

    [start ........ split)[split ....... end)
     what all panes from   what the panes since
     start on add up to    the split add up to

Both are known: the second grows by a pane at a time, and the first was computed for every
start when the split was set. The split moves to the end once in as many windows as a window
has panes, at a turn of its own for each key, so that no boundary pays for all keys.
"""

from __future__ import annotations

from typing import Any

import attrs

from bond_core.windows.kept import Kept

_NEVER = -(1 << 100)


@attrs.define(eq=False)
class Sliding:
    """The windows of one symbol and kind.

    Attributes:
        kept: Their panes.
        step_ns: How far windows are apart: a pane.
        window_ns: How long they are.
        turn: At which of as many windows as a window has panes the split moves.
    """

    kept: Kept
    step_ns: int
    window_ns: int
    turn: int
    _split_ns: int = _NEVER
    _end_ns: int = _NEVER
    _from: dict[int, Any] = attrs.field(factory=dict, init=False)
    _since: Any = attrs.field(default=None, init=False)

    def window(self, end_ns: int) -> Any:
        """Return the window that ends at a time, a step after the last; None if it is empty."""
        start_ns = end_ns - self.window_ns
        steps = self.window_ns // self.step_ns
        is_turn = end_ns // self.step_ns % steps == self.turn % steps
        if is_turn or self._end_ns + self.step_ns != end_ns or self._split_ns <= start_ns:
            self._split(start_ns, end_ns)
        else:
            self._since = self._join(self._since, self.kept.panes.get(end_ns - self.step_ns))
            self._from.pop(start_ns - self.step_ns, None)
        self._end_ns = end_ns
        return self._join(self._from.get(start_ns), self._since)

    def changed(self) -> None:
        """Forget what panes added up to: one of them is another now."""
        self._end_ns = _NEVER

    def _split(self, start_ns: int, end_ns: int) -> None:
        self._split_ns, self._since = end_ns, None
        self._from.clear()
        later = None
        for at in range(end_ns - self.step_ns, start_ns - 1, -self.step_ns):
            later = self._join(self.kept.panes.get(at), later)
            if later is not None:
                self._from[at] = later

    def _join(self, earlier: Any, later: Any) -> Any:
        """Return what two neighbours add up to; both stay as they were."""
        if earlier is None or later is None:
            return later if earlier is None else earlier
        program = self.kept.program
        into = program.new_pane()
        program.absorb(into, earlier)
        program.absorb(into, later)
        return into
