"""The scripts that run inside Redis, where a stream's keys change in one step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

from bond_core.errors import LogUnavailableError
from bond_server.redis_log.connect import LOST
from bond_server.redis_log.heeding import heeding_cancellation


class Scripts:
    """Knows the scripts' digests, and loads them where they are missing.

    A server forgets its scripts when it restarts, and a node that has just become a primary may
    never have had them.
    """

    def __init__(
        self, redis: Redis | RedisCluster, names: Iterable[str], package: str = __package__
    ) -> None:
        """Read the scripts of these names in a package's folder `lua`."""
        self._redis = redis
        self._texts = {
            name: resources.files(package).joinpath(f"lua/{name}.lua").read_text() for name in names
        }
        self._digests = {
            name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            for name, text in self._texts.items()
        }

    def digest(self, name: str) -> str:
        """Return what a script is called by."""
        return self._digests[name]

    async def run(self, name: str, keys: Sequence[str], *args: str | int | bytes) -> Any:
        """Run a script, and return its reply.

        Raises:
            LogUnavailableError: There is no answer.
        """
        call: tuple[Any, ...] = ("EVALSHA", self._digests[name], len(keys), *keys, *args)
        try:
            with heeding_cancellation():
                try:
                    return await self._redis.execute_command(*call)
                except NoScriptError as error:
                    error.with_traceback(None)  # of frames that hold it: a cycle of 4 KB each
                    await self.load()
                    return await self._redis.execute_command(*call)
        except LOST as error:
            detail = f"Redis did not answer: {type(error).__name__}: {error}"
            raise LogUnavailableError(detail) from error

    async def load(self) -> None:
        """Hand the scripts to the server, in a cluster to each primary."""
        for text in self._texts.values():
            await self._redis.script_load(text)
