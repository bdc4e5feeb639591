"""The event log in this process's own memory: what a Bond without Redis uses."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager

from bond_core.errors import FencedError, LogError
from bond_core.log.event_log import Entry, Page, Retention
from bond_core.log.offset import START, Offset
from bond_core.log.ring import Ring


class MemoryLog:
    """An EventLog that lasts as long as the process."""

    def __init__(self) -> None:
        self._streams: dict[str, _Kept] = {}

    async def open_stream(self, stream_id: str, retention: Retention) -> Offset:
        """See EventLog."""
        kept = self._streams.setdefault(stream_id, _Kept(retention))
        return kept.ring.top

    async def append(
        self, stream_id: str, items: Sequence[tuple[Offset, bytes]], *, fence: int = 0,
        lost_until: Offset = START,
    ) -> None:  # fmt: skip
        """See EventLog."""
        kept = self._streams.get(stream_id)
        if kept is None:
            raise LogError(f"stream {stream_id} isn't open: it was deleted, or never opened")
        if fence != kept.fence:
            kept.turn_to(fence, stream_id)
        ring = kept.ring
        if lost_until > ring.top:  # noqa: PLR1730 -- max takes a fifth of what the rest does
            ring.top = lost_until
        entries = ring.write(items)
        if entries:
            for watcher in kept.watchers:
                watcher.put_nowait(entries)
            for take, _ in kept.followers:
                take(entries)

    async def read(self, stream_id: str, after: Offset, limit: int = 1000) -> Page:
        """See EventLog."""
        kept = self._streams.get(stream_id)
        if kept is None:
            return Page(entries=(), oldest=None, top=START, epoch="")
        oldest = kept.ring.oldest
        return Page(
            entries=kept.ring.after(after, limit),
            oldest=None if oldest is None else oldest.offset,
            top=kept.ring.top,
            epoch=kept.epoch,
        )

    async def watch(self, stream_id: str) -> AsyncGenerator[Sequence[Entry], None]:
        """See EventLog."""
        kept = self._streams.get(stream_id)
        if kept is None:
            return
        # Unbounded, but its one reader is the process's Tail, which takes without awaiting.
        appended: asyncio.Queue[Sequence[Entry] | None] = asyncio.Queue()
        kept.watchers.add(appended)
        try:
            yield ()
            while (entries := await appended.get()) is not None:
                yield entries
        finally:
            kept.watchers.discard(appended)

    @contextmanager
    def follow(
        self, stream_id: str, take: Callable[[Sequence[Entry]], None], over: Callable[[], None]
    ) -> Iterator[None]:
        """See PushedLog."""
        kept = self._streams.get(stream_id)
        if kept is None:
            over()
            yield
            return
        follower = (take, over)
        kept.followers.append(follower)
        try:
            yield
        finally:
            kept.followers.remove(follower)

    async def delete(self, stream_id: str) -> None:
        """See EventLog."""
        kept = self._streams.pop(stream_id, None)
        if kept is not None:
            for watcher in kept.watchers:
                watcher.put_nowait(None)
            for _, over in tuple(kept.followers):
                over()


class _Kept:
    """One stream's entries, which life of it this is, its highest fence, and who watches it."""

    def __init__(self, retention: Retention) -> None:
        self.ring = Ring(retention)
        self.epoch = secrets.token_hex(4)
        self.fence = 0
        self.watchers: set[asyncio.Queue[Sequence[Entry] | None]] = set()
        self.followers: list[tuple[Callable[[Sequence[Entry]], None], Callable[[], None]]] = []

    def turn_to(self, fence: int, stream_id: str) -> None:
        """Have another owner write, unless that is one of before."""
        if fence < self.fence:
            detail = f"stream {stream_id} is written by owner {self.fence} now, not {fence}"
            raise FencedError(detail)
        self.fence = fence
