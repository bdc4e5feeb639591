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
    """

    def __init__(self, engine: StreamEngine) -> None:
        self._parts = engine.parts if isinstance(engine, WindowEngine) else None
        self._until_ns = 0

    def lasts(self, now_ns: int) -> bool:
        """Whether a tick at that time can be left out."""
        return now_ns < self._until_ns and not (self._parts and self._parts.grid.revised)

    def begin(self) -> None:
        """Begin; nothing may be due. It stays true whatever events come."""
        if self._parts is None or not self._parts.sources:
            return
        grid = self._parts.grid
        marks = [source.watermark for source in self._parts.sources.values()]
        waits_ns = (mark.lateness_ns + (mark.idle_ns if mark.gates else 0) for mark in marks)
        self._until_ns = grid.done_ns + grid.pane_ns + min(waits_ns)

    def end(self) -> None:
        """End: the engine is told of something else than events, which may make anything due."""
        self._until_ns = 0
