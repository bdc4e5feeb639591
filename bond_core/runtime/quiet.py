"""Know until when the clock can make nothing due in a stream, so that it need not be shown it.

Most ticks close nothing, and a thousand streams see twenty thousand a second. What has ended is
closed by an event, at once, or by the clock, when a source was silent for long enough: never
before the end of the next pane, and the shortest time that the clock waits for a source behind
it (`bond_core.windows.watermark`). Until then a tick more or less changes no window, unless late
events are let in: what they change is sent again with the next tick, so there events end the quiet.
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

    __slots__ = ("_done_ns", "_is_for_late", "_parts", "left_out_ns", "until_ns")

    def __init__(self, engine: StreamEngine) -> None:
        self._parts = engine.parts if isinstance(engine, WindowEngine) else None
        self._is_for_late = self._parts is not None and self._parts.plan.late == "update"
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
        """Look anew, the engine was told of events: they may have closed windows."""
        if self.until_ns and self._parts and self._parts.grid.done_ns != self._done_ns:
            self.begin()

    def heard(self) -> int | None:
        """Take note that the engine is told of events; see `end`."""
        return self.end() if self._is_for_late else None

    def end(self) -> int | None:
        """End, since the engine is told of something else than events, which may make anything due.

        Returns the newest tick that was left out, which the engine must see before.
        """
        self.until_ns = 0
        left_out_ns, self.left_out_ns = self.left_out_ns, None
        return left_out_ns
