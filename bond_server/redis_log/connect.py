"""Connect to Redis or Valkey, and find out whether it is one server or a cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bond_core.errors import LogUnavailableError

LOST = (RedisError, OSError, RuntimeError)
"""What is raised where there is no answer. RuntimeError is uvloop's, of a write to a connection
that has broken in this very moment; redis-py knows the OSErrors of asyncio, and lets it through."""

# Who asks decides what to do about a failure: it knows what it asked for.
_OPTIONS: dict[str, Any] = {
    "protocol": 2,
    "socket_timeout": 5.0,
    "socket_connect_timeout": 5.0,
}


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Redis | RedisCluster, None]:
    """Give a client for what answers at `url`; it is closed at the end.

    Raises:
        LogUnavailableError: Nothing answers there, or it refuses us. The URL's password is
            not repeated.
    """
    one: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_OPTIONS)
    try:
        about = await one.info("cluster")
    except LOST as error:
        await one.aclose()
        kwargs = one.connection_pool.connection_kwargs
        where = kwargs.get("path") or f"{kwargs.get('host')}:{kwargs.get('port')}"
        detail = f"no Redis at {where}: {type(error).__name__}: {error}; see REDIS_URL"
        raise LogUnavailableError(detail) from error
    if not about.get("cluster_enabled"):
        async with one:
            yield one
        return
    await one.aclose()
    async with RedisCluster.from_url(url, **_OPTIONS) as cluster:
        yield cluster
