"""One client's place in a stream: replay and live are the same walk along the shared tail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from bond_core.log.event_log import Entry
from bond_core.log.offset import LAST_N, Offset
from bond_core.log.tail import Tail

_ALL = 1_000_000_000


@attrs.frozen(kw_only=True)
class Hole:
    """What a reader can't be given any more: everything after `after` and before `until`.

    `reason`: `trimmed`, older than what is kept; `slow`, trimmed while the reader was here;
    `takeover`, never published, because the stream's owner died or began anew.
    """

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
    """Walks a tail from a position on. Never goes back, never yields an entry twice.

    Attributes:
        tail: What it walks on.
        position: What it stands after.
    """

    def __init__(
        self, tail: Tail, after: Offset | None = None, *,
        on_close: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Stand after `after`; None stands at the top, so that only what is new comes."""
        self.tail = tail
        self._on_close = on_close
        self.position = tail.top if after is None else after
        self._is_first = after is not None
        self._is_closed = False
        tail.readers += 1

    def close(self) -> None:
        """Leave the tail. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self.tail.readers -= 1
        if self._on_close is not None:
            self._on_close()

    def ready(
        self, limit: int = 256, max_bytes: int | None = None, until: Offset | None = None
    ) -> Batch:
        """Return what is there already, possibly nothing.

        Args:
            limit: Entries at most.
            max_bytes: And so many bytes of records; but the first entry always comes.
            until: None behind this position.
        """
        entries = _unbroken(self.tail.after(self.position, limit))
        if until is not None:
            entries = tuple(entry for entry in entries if entry.offset <= until)
        if max_bytes is not None:
            entries = _no_larger(entries, max_bytes)
        if not entries:
            return Batch(entries=())
        hole = None
        if self.position < entries[0].prev:
            reason = "trimmed" if self._is_first else "slow"
            if entries[0].prev.n == LAST_N:  # as a new owner writes it
                reason = "takeover"
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
            batch = self.ready(limit)
            if batch.entries:
                return batch
            if self.tail.has_ended:
                raise StreamEnded
            more = asyncio.Event()
            wake = more.set
            self.tail.attach(wake)
            try:
                await more.wait()
            finally:
                self.tail.detach(wake)

    def skip_to_newest_window(self) -> tuple[int, Hole | None]:
        """Leave out whatever comes before the newest window; return how much, and the hole.

        What was trimmed meanwhile is in the hole and not in the number: nobody knows it.
        """
        waiting = self.tail.after(self.position, _ALL)
        newest = [entry for entry in waiting if entry.offset.ms == waiting[-1].offset.ms]
        if len(newest) == len(waiting):
            return 0, None
        hole = Hole(after=self.position, until=newest[0].offset, reason="slow")
        self.position = newest[0].prev
        return len(waiting) - len(newest), hole


def _no_larger(entries: tuple[Entry, ...], max_bytes: int) -> tuple[Entry, ...]:
    total = 0
    for i, entry in enumerate(entries):
        total += len(entry.data)
        if total > max_bytes and i:
            return entries[:i]
    return entries


def _unbroken(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries up to where the log itself lost some: a hole stands before a batch."""
    for i in range(1, len(entries)):
        if entries[i].prev > entries[i - 1].offset:
            return entries[:i]
    return entries
