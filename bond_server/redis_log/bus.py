"""Hear of appends to streams over one connection, whatever number of streams is watched.

What is heard is a hint. Whenever something may have been missed (the subscription has just
begun, the connection was lost, nothing came for a while) every watcher gets an empty batch,
which asks it to read the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Never

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster

from bond_core.clock import Clock
from bond_core.log.event_log import Entry
from bond_server.redis_log.connect import LOST
from bond_server.redis_log.heeding import heeding_cancellation
from bond_server.redis_log.message import read_message
from bond_server.redis_log.stopping import stopped

_POLL_S = 1.0
_AGAIN_S = 0.2
_IDLE_S = 0.05

_LOST = (*LOST, AttributeError)
"""Some subscribe while another task reads, and drops what is lost: redis-py then writes to None."""

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
            except _LOST as error:
                self._log.warning("lost the connection that tells of appends: %s", error)
            except Exception:  # noqa: BLE001 -- a bug must not leave everybody deaf, unheard
                self._log.exception("listening for appends failed; it begins again")
            finally:
                await self._drop()
            self._tell_all(())
            await self._clock.sleep(_AGAIN_S)

    async def _listen(self) -> None:
        self._pubsub = self._redis.pubsub()
        if self._watchers:
            await self._command("subscribe", *self._watchers)
        if isinstance(self._redis, RedisCluster):
            await self._listen_to_nodes(self._redis)
        while True:
            if not self._pubsub.subscribed:
                await self._clock.sleep(_IDLE_S)
                continue
            self._hear(await self._pubsub.get_message(timeout=_POLL_S))

    async def _listen_to_nodes(self, cluster: RedisCluster) -> Never:
        """Listen to each node by itself: redis-py would wait for the silent ones in turn."""
        readers: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for node in cluster.get_primaries():
                    if node.name not in readers:
                        readers[node.name] = asyncio.create_task(self._listen_to(node))
                over, _ = await asyncio.wait(
                    readers.values(), timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED
                )
                for reader in over:
                    reader.result()  # raises: they come back together
        finally:
            await stopped(*readers.values())

    async def _listen_to(self, node: ClusterNode) -> None:
        while True:
            if node.name not in self._pubsub.node_pubsub_mapping:  # nothing there is watched
                await self._clock.sleep(_IDLE_S)
                continue
            self._hear(await self._pubsub.get_sharded_message(timeout=_POLL_S, target_node=node))

    def _hear(self, message: Mapping[str, Any] | None) -> None:
        if message is None:
            return
        kind, channel, data = message["type"], message["channel"].decode(), message["data"]
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
            with suppress(*_LOST):  # `run` comes back, and subscribes to all
                await self._command("subscribe", channel)

    async def _unsubscribe(self, channel: str) -> None:
        if self._pubsub is not None:
            with suppress(*_LOST):
                await self._command("unsubscribe", channel)

    async def _command(self, name: str, *channels: str) -> None:
        prefix = "s" if self._is_cluster else ""
        with heeding_cancellation():
            await getattr(self._pubsub, prefix + name)(*channels)

    async def _drop(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(*_LOST):
                await pubsub.aclose()
