"""The scripts that run inside Redis, where a stream's keys change in one step."""

from __future__ import annotations

import hashlib
from importlib import resources

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster


class Scripts:
    """Knows the scripts' digests, and loads them where they are missing.

    A server forgets its scripts when it restarts, and a node that has just become a primary may
    never have had them.
    """

    def __init__(self, redis: Redis | RedisCluster) -> None:
        self._redis = redis
        self._texts = {
            name: resources.files("bond_server.redis_log").joinpath(f"lua/{name}.lua").read_text()
            for name in ("append", "open", "read", "delete")
        }
        digests = {
            name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            for name, text in self._texts.items()
        }
        self.append = digests["append"]
        self.open = digests["open"]
        self.read = digests["read"]
        self.delete = digests["delete"]

    async def load(self) -> None:
        """Hand the scripts to the server, in a cluster to each primary."""
        for text in self._texts.values():
            await self._redis.script_load(text)
