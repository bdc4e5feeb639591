"""Talk to one Redis server over a connection that is kept for it.

redis-py's own way to run a command takes a connection from a pool, looks whether it is still good
and gives it back, with a timer and a task for each step. Here the whole trip has one timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import ResponseError

_WITHIN_S = 5.0


class Wire:
    """One connection, for one task at a time; `close` it at the end."""

    def __init__(self, redis: Redis) -> None:
        pool = redis.connection_pool
        kwargs = {**pool.connection_kwargs, "socket_timeout": None}
        self._connection = pool.connection_class(**kwargs)

    async def trip(self, calls: Sequence[bytes]) -> list[Any]:
        """Send calls in one packet and return their replies, an error as itself.

        The connection may have been lost since it was used last. So they are sent again over a new
        one if it breaks: only what may be repeated goes here.

        Raises:
            RedisError, RuntimeError: The server can't be reached, or refuses us; see `LOST`.
            OSError: It can't be reached, or does not answer in time.
        """
        async with asyncio.timeout(_WITHIN_S):
            if self._connection.is_connected:
                try:
                    return await self._sent(calls)
                except (LostError, RuntimeError):  # the latter is uvloop's, of a write
                    pass
            return await self._sent(calls)

    async def _sent(self, calls: Sequence[bytes]) -> list[Any]:
        connection = self._connection
        try:
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py
            await connection.send_packed_command(calls)
            return [await self._reply() for _ in calls]
        except BaseException:
            await self.close()  # replies may still come: it is of no more use
            raise

    async def _reply(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error.with_traceback(None)  # that leads back here: a cycle for each

    async def close(self) -> None:
        """Close the connection; the next trip opens it again."""
        await self._connection.disconnect(nowait=True)
