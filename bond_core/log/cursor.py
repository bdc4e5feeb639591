"""One client's place in a stream: replay and live are the same walk along the shared tail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from bond_core.log.event_log import Entry
from bond_core.log.offset import Offset
from bond_core.log.tail import Tail


@attrs.frozen(kw_only=True)
class Hole:
    """What a reader can't be given any more: everything after `after` and before `until`."""

    after: Offset
    until: Offset
    reason: str


@attrs.frozen(kw_only=True)
class Batch:
    """What comes next. `hole` lies before the entries."""

    entries: tuple[Entry, ...]
    hole: Hole | None = None


class StreamEnded(Exception):  # noqa: N818 -- like StopIteration: the end, not a mishap
    """The stream was deleted or is complete; nothing more will come."""


class Cursor:
    """Walks a tail from a position on. Never goes back, never yields an entry twice."""

    def __init__(
        self, tail: Tail, after: Offset | None = None, *,
        on_close: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Stand after `after`; None stands at the top, so that only what is new comes."""
        self._tail = tail
        self._on_close = on_close
        self._wake = asyncio.Event()
        self.position = tail.top if after is None else after
        self._is_first = True
        tail.attach(self._wake)

    def close(self) -> None:
        """Leave the tail. May be called twice."""
        self._tail.detach(self._wake)
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def ready(self, limit: int = 256) -> Batch:
        """Return what is there already, possibly nothing."""
        entries = _unbroken(self._tail.after(self.position, limit))
        if not entries:
            return Batch(entries=())
        hole = None
        if self.position < entries[0].prev:
            reason = "trimmed" if self._is_first else "slow"
            hole = Hole(after=self.position, until=entries[0].offset, reason=reason)
        self._is_first = False
        self.position = entries[-1].offset
        return Batch(entries=entries, hole=hole)

    async def next(self, limit: int = 256) -> Batch:
        """Return what comes next, waiting for it.

        Raises:
            StreamEnded: Nothing more will come.
        """
        while True:
            self._wake.clear()
            batch = self.ready(limit)
            if batch.entries:
                return batch
            if self._tail.has_ended:
                raise StreamEnded
            await self._wake.wait()


def _unbroken(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries up to where the log itself lost some: a hole stands before a batch."""
    for i in range(1, len(entries)):
        if entries[i].prev > entries[i - 1].offset:
            return entries[:i]
    return entries
