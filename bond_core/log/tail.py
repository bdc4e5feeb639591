"""The newest part of one stream's log, shared by every reader in this process.

A tail is the only one who watches the log. It keeps the entries that were appended, in
order and without a hole: where `prev` shows that the hint lost something, it reads it from
the log. Entries are kept once, however many cursors walk over them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

from bond_core.errors import LogUnavailableError
from bond_core.log.event_log import Entry, EventLog, PushedLog, Retention
from bond_core.log.offset import Offset
from bond_core.log.ring import Ring


class Tail:
    """A window on the log that moves on by itself while `run` runs.

    Attributes:
        readers: How many cursors stand on it.
        epoch: Which life of the log it shows.
        has_ended: Whether nothing more will come.
    """

    def __init__(self, log: EventLog, stream_id: str, retention: Retention) -> None:
        self._log = log
        self._stream_id = stream_id
        self._ring = Ring(retention)
        self._waiting: tuple[Callable[[], object], ...] = ()  # calling them is what is frequent
        self.readers = 0
        self.epoch = ""
        self.has_ended = False

    @property
    def oldest(self) -> Entry | None:
        """The oldest entry still here."""
        return self._ring.oldest

    @property
    def top(self) -> Offset:
        """The newest position; `START` before the first."""
        return self._ring.top

    @property
    def entries(self) -> int:
        """How many entries are kept."""
        return self._ring.entries

    @property
    def size_bytes(self) -> int:
        """How many bytes of records are kept."""
        return self._ring.size_bytes

    def after(self, position: Offset, limit: int) -> tuple[Entry, ...]:
        """Return up to `limit` entries after a position."""
        return self._ring.after(position, limit)

    def attach(self, wake: Callable[[], object]) -> None:
        """Have `wake` called whenever there is more, or the stream ends. It must not raise."""
        if wake not in self._waiting:
            self._waiting = (*self._waiting, wake)

    def detach(self, wake: Callable[[], object]) -> None:
        """Stop calling `wake`."""
        self._waiting = tuple(other for other in self._waiting if other != wake)

    async def load(self) -> None:
        """Read what the log keeps. Call once before `run` and before the first cursor."""
        await self._repair()

    async def run(self) -> None:
        """Follow the log until the stream is deleted."""
        if isinstance(self._log, PushedLog):
            await self._follow(self._log)
        else:
            await self._watch()
        self.end()

    async def _follow(self, log: PushedLog) -> None:
        stirred = asyncio.Event()
        is_over = False

        def take(entries: Sequence[Entry]) -> None:
            if entries and entries[0].prev > self._ring.top:
                stirred.set()
            else:
                self._take(entries)

        def over() -> None:
            nonlocal is_over
            is_over = True
            stirred.set()

        with log.follow(self._stream_id, take, over):
            while not is_over:
                await self._repair()
                await stirred.wait()
                stirred.clear()

    async def _watch(self) -> None:
        async with aclosing(self._log.watch(self._stream_id)) as appended:
            async for entries in appended:
                if self.has_ended:
                    return
                if not entries or entries[0].prev > self.top:
                    await self._repair_if_possible()
                if entries and entries[0].prev <= self.top:
                    self._take(entries)

    def end(self) -> None:
        """Let every reader know that nothing more will come."""
        self.has_ended = True
        self._wake_all()

    async def _repair_if_possible(self) -> None:
        """Read what is missing; while the log can't be reached, the next hint does it."""
        with suppress(LogUnavailableError):
            await self._repair()

    async def _repair(self) -> None:
        """Read from the log whatever is newer than the tail's own top."""
        while True:
            page = await self._log.read(self._stream_id, self.top)
            self.epoch = page.epoch
            self._take(page.entries)
            if not page.entries:  # what lies between our top and the log's was never there
                self._ring.top = max(self._ring.top, page.top)
            if self.top >= page.top:
                return

    def _take(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        top = self._ring.top
        if entries[0].prev < top:  # some are here already
            entries = [entry for entry in entries if entry.offset > top]
        if entries:
            self._ring.extend(entries)
            self._wake_all()

    def _wake_all(self) -> None:
        for wake in self._waiting:
            wake()
