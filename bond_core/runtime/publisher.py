"""Give closed windows their ids, encode them once, and append them to the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import attrs

from bond_core.log.event_log import EventLog, Retention
from bond_core.log.offset import START, Offset
from bond_core.model.record import Notice, Record
from bond_core.spec.duration import format_duration
from bond_core.windows.engine import ClosedWindow
from bond_core.wire.codec import encode_record

_MS = 1_000_000

MAX_WAITING = 1_000
"""As many windows wait for a log that is away; then the oldest go, and it is told."""


class Publisher:
    """Writes one stream's records.

    An id is `<ms>-<n>`: `ms` is the end of the newest window published so far, `n` counts
    within it. Two owners that close the same windows give them the same ids.

    Attributes:
        published: Records that are in the log.
        lost: Records that never came there, because it could not be reached for long.
    """

    def __init__(
        self, log: EventLog, stream_id: str, retention: Retention, *, fence: int = 0
    ) -> None:
        self._log = log
        self._stream_id = stream_id
        self._retention = retention
        self._fence = fence
        self._last = START
        self._pending: deque[ClosedWindow] = deque()
        self._lost: list[ClosedWindow] = []
        self.published = 0
        self.lost = 0

    @property
    def waiting(self) -> Sequence[ClosedWindow]:
        """What is not known to be in the log yet, in order."""
        return tuple(self._pending)

    async def open(self) -> None:
        """Find out where the log stands."""
        self._last = await self._log.open_stream(self._stream_id, self._retention)

    async def publish(self, windows: Iterable[ClosedWindow] = ()) -> None:
        """Append windows in order, each window's records in one step.

        Raises:
            FencedError: Somebody else writes this stream now.
            LogUnavailableError: Call again, with no windows: the rest is kept, in order.
        """
        self._pending.extend(windows)
        while len(self._pending) > MAX_WAITING:
            self._lose(self._pending.popleft())
        while self._pending:
            await self._append(self._pending[0])
            self._pending.popleft()

    def _lose(self, window: ClosedWindow) -> None:
        """Let a window go that waited too long; the next record that is published tells."""
        self.lost += len(window.records)
        self._lost = [*self._lost[:1], window]  # the first and the last: from when to when

    def _told(self, record: Record) -> Record:
        if not self._lost:
            return record
        gap = Notice(
            code="gap",
            detail=f"the log could not be reached for long: {self.lost} records are lost",
            from_ns=self._lost[0].window_end_ns,
            to_ns=self._lost[-1].window_end_ns,
        )
        return attrs.evolve(record, notices=(*record.notices, gap))

    async def _append(self, window: ClosedWindow) -> None:
        items: list[tuple[Offset, bytes]] = []
        last = self._last
        end_ms = window.window_end_ns // _MS
        for record in window.records:
            last = Offset(end_ms, 0) if end_ms > last.ms else Offset(last.ms, last.n + 1)
            data = encode_record(
                self._told(record),
                stream_id=self._stream_id,
                offset=last,
                timeframe=_timeframe(record),
            )
            items.append((last, data))
        await self._log.append(self._stream_id, items, fence=self._fence)
        self._last = last
        self._lost = []
        self.published += len(items)


def _timeframe(record: Record) -> str:
    return record.bar.timeframe if record.bar else format_duration(record.timeframe_ns // _MS)
