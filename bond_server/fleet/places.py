"""Keep how far sinks have come where all workers find it: whoever takes a stream over goes on.

A hash beside the stream's log: by the sink's name, `AFTER EPOCH`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from bond_core.log.offset import parse_offset
from bond_core.runtime.places import Place
from bond_server.redis_log.connect import LOST
from bond_server.redis_log.heeding import heeding_cancellation
from bond_server.redis_log.keys import keys_of

_KEPT_MS = 30 * 86_400_000
"""What a crash left behind of a stream that nobody has any more goes after 30 days."""


class RedisPlaces:
    """Places in the Redis that a fleet shares."""

    def __init__(self, redis: Redis | RedisCluster) -> None:
        self._redis = redis

    async def read(self, stream_id: str, sink: str) -> Place | None:
        """See Places."""
        found: bytes | None = await self._do("HGET", keys_of(stream_id).sinks, sink)
        text, _, epoch = (found or b"").decode().partition(" ")
        after = parse_offset(text)
        return None if after is None else Place(after=after, epoch=epoch)

    async def keep(self, stream_id: str, sink: str, place: Place) -> None:
        """See Places."""
        key = keys_of(stream_id).sinks
        await self._do("HSET", key, sink, f"{place.after} {place.epoch}")
        await self._do("PEXPIRE", key, _KEPT_MS)

    async def forget(self, stream_id: str) -> None:
        """See Places. What can't be forgotten now goes by itself."""
        with suppress(OSError):
            await self._do("DEL", keys_of(stream_id).sinks)

    async def _do(self, *words: Any) -> Any:
        try:
            with heeding_cancellation():
                return await self._redis.execute_command(*words)
        except LOST as error:
            raise OSError(0, f"Redis did not answer: {type(error).__name__}: {error}") from error
