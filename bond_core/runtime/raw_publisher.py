"""Give raw items their ids, and append those of one turn to the log together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from bond_core.log.event_log import EventLog, Retention
from bond_core.log.offset import LAST_N, START, Offset
from bond_core.model.record import Notice
from bond_core.runtime.raw_engine import RawBatch, RawItem
from bond_core.windows.engine import ClosedWindow
from bond_core.wire.raw import status_as_json, tail_of, with_id

_MS = 1_000_000

TOGETHER = 500
"""So many items enter the log in one step at most: a shared log does nothing else meanwhile."""

MAX_WAITING = 100_000
"""As many items wait for a log that is away; then the oldest go, and it is told."""


class RawPublisher:
    """Writes one stream's items.

    An id is `<ms>-<n>`: `ms` is when the newest item so far was heard, by the clock of the
    process that heard it, and `n` counts within it.

    Args:
        log: Where to.
        stream_id: Whose.
        retention: How much of them is kept.
        fence: Whose turn it is to write; whoever had an earlier one can't any more.
        takes_over_ns: If the stream ran before, since when this owner listens: the first item
            tells of it.

    Attributes:
        published: Items that are in the log.
        lost: Items that never came there, because it could not be reached for long.
    """

    def __init__(
        self, log: EventLog, stream_id: str, retention: Retention, *, fence: int = 0,
        takes_over_ns: int | None = None,
    ) -> None:  # fmt: skip
        self._log = log
        self._stream_id = stream_id
        self._retention = retention
        self._fence = fence
        self._takes_over_ns = takes_over_ns  # until it is told
        self._goes_on_ns: int | None = None
        self._last = START
        self._pending: deque[Sequence[RawItem]] = deque()
        self._waiting = 0
        self._lost: tuple[int, int, int] | None = None  # of this outage: from and to, ms; how many
        self.published = 0
        self.lost = 0

    @property
    def waiting(self) -> Sequence[ClosedWindow]:
        """No windows; items that wait are `remembered`."""
        return ()

    def remembered(self) -> Iterable[tuple[Any, Any]]:
        """See Remembering: what is not known to be in the log yet."""
        for number, items in enumerate(self._pending):
            yield number, [[ms, tail.decode()] for ms, tail in items]

    def recall(self, key: Any, known: Any) -> None:
        """See Remembering."""
        items = [(int(ms), str(tail).encode()) for ms, tail in known]
        self._pending.append(items)
        self._waiting += len(items)

    def goes_on(self, until_ns: int) -> None:
        """Go on after a restart: what was missed meanwhile is told as gaps. Before `open`."""
        self._goes_on_ns = until_ns

    async def open(self) -> None:
        """Find out where the log stands."""
        self._last = await self._log.open_stream(self._stream_id, self._retention)
        if self._takes_over_ns is not None and self._last == START:
            # Another life of the log: what was before is not known here, and must look so.
            before_ns = self._goes_on_ns or self._takes_over_ns
            self._last = Offset(before_ns // _MS, LAST_N)
            await self._log.append(self._stream_id, (), fence=self._fence, lost_until=self._last)
        if self._goes_on_ns is not None:
            self._takes_over_ns = None

    def found(self, top: Offset) -> None:
        """Take in where the log stands, which somebody else writes: what is there isn't wanted.

        Only while an append can't be under way.
        """
        self._last = max(self._last, top)
        kept = [[item for item in items if item[0] > self._last.ms] for items in self._pending]
        self._pending = deque(items for items in kept if items)
        self._waiting = sum(map(len, self._pending))
        self._lost, self.lost = None, 0

    async def publish(self, batches: Iterable[RawBatch] = ()) -> None:
        """Append batches in order.

        Raises:
            FencedError: Somebody else writes this stream now.
            LogUnavailableError: Call again, with no batches: the rest is kept, in order.
        """
        for batch in batches:
            for at in range(0, len(batch.items), TOGETHER):
                self._pending.append(batch.items[at : at + TOGETHER])
            self._waiting += len(batch.items)
        while self._waiting > MAX_WAITING:
            self._lose(self._take_first())
        while self._pending:
            await self._append(self._pending[0])
            self._take_first()
            if self._pending:
                await asyncio.sleep(0)  # others may have waited for as long as that took

    def _take_first(self) -> Sequence[RawItem]:
        items = self._pending.popleft()
        self._waiting -= len(items)
        return items

    def _lose(self, items: Sequence[RawItem]) -> None:
        """Let items go that waited too long; the next ones that are published tell.

        Whether they are in the log after all is not known, so their ids are left out.
        """
        self.lost += len(items)
        from_ms, _, before = self._lost or (items[0][0], 0, 0)
        self._lost = from_ms, items[-1][0], before + len(items)
        self._last = max(self._last, Offset(items[-1][0], LAST_N))

    async def _append(self, items: Sequence[RawItem]) -> None:
        lost_until, told = self._to_tell(items[0][0])
        entries: list[tuple[Offset, bytes]] = []
        last = lost_until
        for ms, tail in (*told, *items):
            last = _next(last, ms)
            entries.append((last, with_id(last, tail)))
        await self._log.append(self._stream_id, entries, fence=self._fence, lost_until=lost_until)
        self._last = last
        self._lost = self._takes_over_ns = None
        self.published += len(entries)

    def _to_tell(self, ms: int) -> tuple[Offset, Sequence[RawItem]]:
        """Return until when all is lost, and the items that tell why."""
        lost_until, notices = self._last, []
        if (since_ns := self._takes_over_ns) is not None:
            from_ns = self._last.ms * _MS
            if since_ns // _MS > self._last.ms:
                detail = "the stream's owner is new: events in between were lost"
            else:  # it stood by
                detail = "the stream's owner is new: events of then may be missing, or come twice"
            to_ns = max(from_ns, since_ns)
            notices.append(Notice(code="takeover", detail=detail, from_ns=from_ns, to_ns=to_ns))
            lost_until = max(lost_until, Offset(since_ns // _MS, LAST_N))
        if self._lost is not None:
            from_ms, to_ms, lost = self._lost
            detail = f"the log could not be reached for long: {lost} events are lost"
            notices.append(
                Notice(code="gap", detail=detail, from_ns=from_ms * _MS, to_ns=to_ms * _MS)
            )
        if not notices:
            return lost_until, ()
        body = status_as_json(ms * _MS, {}, [(None, notice) for notice in notices])
        return lost_until, [(ms, tail_of(self._stream_id, body))]


def _next(last: Offset, ms: int) -> Offset:
    """Return the id after `last` of what was heard at `ms`, which is never below it."""
    if ms > last.ms:
        return Offset(ms, 0)
    return Offset(last.ms, last.n + 1) if last.n < LAST_N else Offset(last.ms + 1, 0)
