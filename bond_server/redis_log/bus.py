"""Hear of appends to streams over one connection, whatever number of streams is watched.

What is heard is a hint. Whenever something may have been missed (the subscription has just
begun, the connection was lost, nothing came for a while) every watcher gets an empty batch,
which asks it to read the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from bond_core.clock import Clock
from bond_core.log.event_log import Entry
from bond_server.redis_log.message import read_message

_POLL_S = 1.0
_AGAIN_S = 0.2

Heard = Sequence[Entry] | None
"""An append's entries; nothing in it: read the log; None: the stream is gone."""


class Bus:
    """Hands each stream's appends to those who watch it. `run` listens until cancelled."""

    def __init__(self, redis: Redis | RedisCluster, clock: Clock, *, is_cluster: bool) -> None:
        self._redis = redis
        self._clock = clock
        self._is_cluster = is_cluster
        self._watchers: dict[str, set[asyncio.Queue[Heard]]] = {}
        self._pubsub: Any = None  # redis-py types neither of its two kinds
        self._wanted = asyncio.Event()
        self._log = logging.getLogger("bond.redis")

    @asynccontextmanager
    async def watching(self, channel: str) -> AsyncGenerator[asyncio.Queue[Heard], None]:
        """Give a queue of what is heard of a channel; the first batch is empty."""
        # Unbounded, but its one reader is the process's Tail, which takes without awaiting.
        heard: asyncio.Queue[Heard] = asyncio.Queue()
        watchers = self._watchers.setdefault(channel, set())
        watchers.add(heard)
        if len(watchers) == 1:
            await self._subscribe(channel)
        else:
            heard.put_nowait(())
        try:
            yield heard
        finally:
            watchers.discard(heard)
            if not watchers and self._watchers.get(channel) is watchers:
                del self._watchers[channel]
                await self._unsubscribe(channel)

    async def run(self) -> None:
        """Listen, and come back after whatever ends it."""
        while True:
            await self._wanted.wait()
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                self._log.warning("lost the connection that tells of appends: %s", error)
            finally:
                await self._drop()
            self._tell_all(())
            await self._clock.sleep(_AGAIN_S)

    async def _listen(self) -> None:
        self._pubsub = self._redis.pubsub()
        if self._watchers:
            await self._command("subscribe", *self._watchers)
        while True:
            message = await self._next()
            if message is None:
                continue
            self._hear(message["type"], message["channel"].decode(), message["data"])

    async def _next(self) -> dict[str, Any] | None:
        if not self._pubsub.subscribed:
            await self._clock.sleep(0.05)
            return None
        if self._is_cluster:
            found: dict[str, Any] | None = await self._pubsub.get_sharded_message(timeout=_POLL_S)
        else:
            found = await self._pubsub.get_message(timeout=_POLL_S)
        return found

    def _hear(self, kind: str, channel: str, data: Any) -> None:
        watchers = self._watchers.get(channel, ())
        if kind in ("message", "smessage"):
            heard: Heard = read_message(data) or None
        elif kind in ("subscribe", "ssubscribe"):
            heard = ()
        else:
            return
        for watcher in watchers:
            watcher.put_nowait(heard)

    def _tell_all(self, heard: Heard) -> None:
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.put_nowait(heard)

    async def _subscribe(self, channel: str) -> None:
        self._wanted.set()
        if self._pubsub is not None:
            with suppress(RedisError, OSError):  # `run` comes back, and subscribes to all
                await self._command("subscribe", channel)

    async def _unsubscribe(self, channel: str) -> None:
        if self._pubsub is not None:
            with suppress(RedisError, OSError):
                await self._command("unsubscribe", channel)

    async def _command(self, name: str, *channels: str) -> None:
        prefix = "s" if self._is_cluster else ""
        await getattr(self._pubsub, prefix + name)(*channels)

    async def _drop(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(RedisError, OSError):
                await pubsub.aclose()
