"""Give closed windows their ids, encode them once, and append them to the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import attrs

from bond_core.log.event_log import EventLog, Retention
from bond_core.log.offset import LAST_N, START, Offset
from bond_core.model.record import Notice, Record
from bond_core.spec.duration import format_duration
from bond_core.windows.engine import ClosedWindow
from bond_core.wire.codec import encode_record

_MS = 1_000_000

MAX_WAITING = 1_000
"""As many windows wait for a log that is away; then the oldest go, and it is told."""


@attrs.frozen
class Takeover:
    """A stream that ran before goes on with another owner, or after a restart.

    Attributes:
        at_ns: Since when the new owner listens, ns.
        every_ns: How far apart windows end, ns.
    """

    at_ns: int
    every_ns: int

    def lost_until_ms(self, first_end_ns: int) -> int:
        """Return where the first window that nobody lost begins, ms."""
        return min(self.at_ns // self.every_ns * self.every_ns, first_end_ns - self.every_ns) // _MS


class Publisher:
    """Writes one stream's records.

    An id is `<ms>-<n>`: `ms` is the end of the newest window published so far, `n` counts
    within it. Two owners that close the same windows give them the same ids.

    Args:
        log: Where to.
        stream_id: Whose.
        retention: How much of them is kept.
        fence: Whose turn it is to write; whoever had an earlier one can't any more.
        takeover: If the stream ran before: then the first record tells, and windows between
            what the log has and the first one are a hole in it.

    Attributes:
        published: Records that are in the log.
        lost: Records that never came there, because it could not be reached for long.
    """

    def __init__(
        self, log: EventLog, stream_id: str, retention: Retention, *, fence: int = 0,
        takeover: Takeover | None = None,
    ) -> None:  # fmt: skip
        self._log = log
        self._stream_id = stream_id
        self._retention = retention
        self._fence = fence
        self._takeover = takeover  # until it is told
        self._last = START
        self._goes_on_ms: int | None = None
        self._found_ms = 0  # what the owner before published: windows until then are there
        self._pending: deque[ClosedWindow] = deque()
        self._lost: list[ClosedWindow] = []
        self.published = 0
        self.lost = 0

    @property
    def waiting(self) -> Sequence[ClosedWindow]:
        """What is not known to be in the log yet, in order."""
        return tuple(self._pending)

    def goes_on(self, until_ns: int) -> None:
        """Go on behind windows that were published, with none lost in between. Before `open`."""
        self._goes_on_ms = until_ns // _MS

    async def open(self) -> None:
        """Find out where the log stands."""
        self._last = await self._log.open_stream(self._stream_id, self._retention)
        if self._takeover is None:
            return
        if self._last == START:
            # Another life of the log: what was before is not known here, and must look so.
            before_ms = self._goes_on_ms
            if before_ms is None:
                before_ms = self._takeover.at_ns // _MS
            self._last = Offset(before_ms, LAST_N)
            await self._log.append(self._stream_id, (), fence=self._fence, lost_until=self._last)
        self._found_ms = self._last.ms
        if self._goes_on_ms is not None:
            self._takeover = None  # the windows themselves say what they lack

    def found(self, top: Offset) -> None:
        """Take in where the log stands, which somebody else writes: what is there isn't wanted.

        Only while an append can't be under way.
        """
        self._last = max(self._last, top)
        self._found_ms = max(self._found_ms, top.ms)
        self._pending = deque(w for w in self._pending if not self._is_there(w))
        self._lost, self.lost = [], 0

    async def publish(self, windows: Iterable[ClosedWindow] = ()) -> None:
        """Append windows in order, each window's records in one step.

        Raises:
            FencedError: Somebody else writes this stream now.
            LogUnavailableError: Call again, with no windows: the rest is kept, in order.
        """
        self._pending.extend(w for w in windows if not self._is_there(w))
        while len(self._pending) > MAX_WAITING:
            self._lose(self._pending.popleft())
        while self._pending:
            await self._append(self._pending[0])
            self._pending.popleft()

    def _is_there(self, window: ClosedWindow) -> bool:
        """Whether the owner before published this window, whole."""
        return not window.is_revision and window.window_end_ns // _MS <= self._found_ms

    def _lose(self, window: ClosedWindow) -> None:
        """Let a window go that waited too long; the next record that is published tells."""
        self.lost += len(window.records)
        self._lost = [*self._lost[:1], window]  # the first and the last: from when to when

    def _told(self, record: Record, takeover: Sequence[Notice]) -> Record:
        if not self._lost:
            return attrs.evolve(record, notices=(*record.notices, *takeover))
        gap = Notice(
            code="gap",
            detail=f"the log could not be reached for long: {self.lost} records are lost",
            from_ns=self._lost[0].window_end_ns,
            to_ns=self._lost[-1].window_end_ns,
        )
        return attrs.evolve(record, notices=(*record.notices, *takeover, gap))

    async def _append(self, window: ClosedWindow) -> None:
        items: list[tuple[Offset, bytes]] = []
        last = self._last
        end_ms = window.window_end_ns // _MS
        # A log that lost what it had taken (a failover, an empty restart) must look so to readers.
        found_from, takeover = self._take_over(window.window_end_ns)
        lost_until = max(found_from, self._last)
        for record in window.records:
            last = Offset(end_ms, 0) if end_ms > last.ms else Offset(last.ms, last.n + 1)
            data = encode_record(
                self._told(record, takeover) if takeover or self._lost else record,
                stream_id=self._stream_id,
                offset=last,
                timeframe=_timeframe(record),
            )
            items.append((last, data))
        await self._log.append(self._stream_id, items, fence=self._fence, lost_until=lost_until)
        self._last = last
        self._lost = []
        self._takeover = None
        self.published += len(items)

    def _take_over(self, end_ns: int) -> tuple[Offset, Sequence[Notice]]:
        """Return what the first window of a new owner tells: until when some are lost."""
        if self._takeover is None:
            return START, ()
        until_ms = self._takeover.lost_until_ms(end_ns)
        if until_ms > self._found_ms:
            detail = "the stream's owner is new: windows in between were lost"
            return Offset(until_ms, LAST_N), [
                Notice(
                    code="takeover", detail=detail, from_ns=self._found_ms * _MS,
                    to_ns=until_ms * _MS,
                )
            ]  # fmt: skip
        if end_ns - self._takeover.every_ns >= self._takeover.at_ns:
            return START, ()  # it listened all the while
        detail = "the stream's owner is new: this window may lack what came before"
        return START, [Notice(code="takeover", detail=detail, to_ns=self._takeover.at_ns)]


def _timeframe(record: Record) -> str:
    return record.bar.timeframe if record.bar else format_duration(record.timeframe_ns // _MS)
