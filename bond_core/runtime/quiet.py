"""Know until when the clock can make nothing due in a stream, so that it need not be shown it.

Most ticks close nothing, and a thousand streams see twenty thousand a second. What has ended is
closed by an event, at once, or by the clock, when a source was silent for long enough: never
before the end of the next pane, and the shortest time that the clock waits for a source behind
it (`bond_core.windows.watermark`). Until then a tick more or less changes no window; and
a window that is to be sent again, of which a late event was heard, is sent with the next one.
"""

from __future__ import annotations

from bond_core.runtime.making import StreamEngine
from bond_core.windows.engine import WindowEngine


class Quiet:
    """The time in which an engine's windows wait for events alone.

    Args:
        engine: Whose. In raw mode it is never quiet.

    Attributes:
        until_ns: Ticks before this are left out.
        left_out_ns: The newest that was.
    """

    __slots__ = ("_done_ns", "_parts", "left_out_ns", "until_ns")

    def __init__(self, engine: StreamEngine) -> None:
        self._parts = engine.parts if isinstance(engine, WindowEngine) else None
        self.until_ns = 0
        self.left_out_ns: int | None = None
        self._done_ns = 0

    def begin(self) -> None:
        """Begin; the engine has seen the clock, and nothing is due."""
        if self._parts is None or not self._parts.sources:
            return
        grid = self._parts.grid
        self._done_ns = grid.done_ns
        marks = [source.watermark for source in self._parts.sources.values()]
        waits_ns = (mark.lateness_ns + (mark.idle_ns if mark.gates else 0) for mark in marks)
        self.until_ns = grid.done_ns + grid.pane_ns + min(waits_ns)

    def took_in(self) -> None:
        """Look anew, the engine was told: events may have closed windows, or been late."""
        if self._parts is None or not self.until_ns:
            return
        if self._parts.grid.revised:
            self.until_ns = 0
        elif self._parts.grid.done_ns != self._done_ns:
            self.begin()

    def end(self) -> int | None:
        """End, since the engine is told of something else than events, which may make anything due.

        Returns the newest tick that was left out, which the engine must see before.
        """
        self.until_ns = 0
        left_out_ns, self.left_out_ns = self.left_out_ns, None
        return left_out_ns
