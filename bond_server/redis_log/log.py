"""The event log in Redis Streams: an EventLog that processes share and that outlives them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from bond_core.clock import Clock, SystemClock
from bond_core.errors import FencedError, LogError
from bond_core.log.event_log import Entry, Page, Retention
from bond_core.log.offset import START, Offset
from bond_server.redis_log.appends import AHEAD, DELETED, FENCED, NOT_OPEN, Appends
from bond_server.redis_log.bus import Bus
from bond_server.redis_log.connect import connected
from bond_server.redis_log.keys import keys_of
from bond_server.redis_log.message import offset_of, read_entries
from bond_server.redis_log.scripts import Scripts
from bond_server.redis_log.stopping import stopped

_LOOK_AGAIN_S = 5.0
"""A watcher that hears nothing for so long is asked to look: a hint may have been lost."""


class RedisLog:
    """See EventLog. Made by `redis_log`."""

    def __init__(self, redis: Redis | RedisCluster, clock: Clock) -> None:
        self._redis = redis
        is_cluster = isinstance(redis, RedisCluster)
        self._publish = "SPUBLISH" if is_cluster else "PUBLISH"
        self._scripts = Scripts(redis, ("append", "open", "read", "delete"))
        self.appends = Appends(redis, self._scripts, self._publish)
        self.bus = Bus(redis, clock, is_cluster=is_cluster)
        self._opened: dict[str, Retention] = {}

    async def open_stream(self, stream_id: str, retention: Retention) -> Offset:
        """See EventLog."""
        self._opened[stream_id] = retention
        top = await self._scripts.run(
            "open",
            [keys_of(stream_id).meta],
            secrets.token_hex(4),
            round(retention.seconds * 1000),
            retention.windows,
            retention.max_bytes,
        )
        return offset_of(top)

    async def append(
        self, stream_id: str, items: Sequence[tuple[Offset, bytes]], *, fence: int = 0,
        lost_until: Offset = START,
    ) -> None:  # fmt: skip
        """See EventLog."""
        keys = keys_of(stream_id)
        answer = await self.appends.append(keys, items, fence, lost_until)
        if answer == NOT_OPEN and stream_id in self._opened:
            # It was not deleted here: the server has lost it.
            await self.open_stream(stream_id, self._opened[stream_id])
            answer = await self.appends.append(keys, items, fence, lost_until)
        if answer < 0:
            raise _refusal(stream_id, answer)

    async def read(self, stream_id: str, after: Offset, limit: int = 1000) -> Page:
        """See EventLog."""
        keys = keys_of(stream_id)
        reply = await self._scripts.run("read", [keys.log, keys.meta], str(after), limit)
        if not reply:
            return Page(entries=(), oldest=None, top=START, epoch="")
        epoch, top, oldest, found = reply
        return Page(
            entries=tuple(read_entries(found)),
            oldest=offset_of(oldest) if oldest else None,
            top=offset_of(top),
            epoch=epoch.decode(),
        )

    async def watch(self, stream_id: str) -> AsyncGenerator[Sequence[Entry], None]:
        """See EventLog."""
        async with self.bus.watching(keys_of(stream_id).bus) as heard:
            while True:
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        entries = await heard.get()
                except TimeoutError:
                    entries = ()
                if entries is None:
                    return
                yield entries

    async def delete(self, stream_id: str) -> None:
        """See EventLog."""
        self._opened.pop(stream_id, None)
        keys = keys_of(stream_id)
        await self._scripts.run("delete", [keys.log, keys.meta, keys.ends], self._publish, keys.bus)


@asynccontextmanager
async def redis_log(url: str, clock: Clock | None = None) -> AsyncGenerator[RedisLog, None]:
    """Connect to a server or a cluster, and give its log.

    Args:
        url: `redis://host:6379/0`, or `rediss://` for TLS; of a cluster any node.
        clock: Paces the coming back after a lost connection.

    Raises:
        LogUnavailableError: It can't be reached.
    """
    async with connected(url) as redis, log_on(redis, clock) as log:
        yield log


@asynccontextmanager
async def log_on(
    redis: Redis | RedisCluster, clock: Clock | None = None
) -> AsyncGenerator[RedisLog, None]:
    """Give the log of a server or cluster that one is connected to."""
    log = RedisLog(redis, clock or SystemClock())
    running = (
        asyncio.create_task(log.appends.run(), name="append to redis"),
        asyncio.create_task(log.bus.run(), name="hear of appends in redis"),
    )
    try:  # no task group: what is raised here is the user's, and stays as it is
        yield log
    finally:
        await stopped(*running)


def _refusal(stream_id: str, answer: int) -> LogError:
    if answer == FENCED:
        return FencedError(f"stream {stream_id} is written by another owner now")
    if answer == AHEAD:
        detail = f"a window of stream {stream_id} is yet to end, by the clock of Redis"
        return LogError(f"{detail}: this machine's is ahead")
    how = "it was deleted" if answer == DELETED else "it was deleted, or never opened"
    return LogError(f"stream {stream_id} isn't open: {how}")
