"""The engines that keep a log: each test of the contract runs on all of them."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from bond_core.log.memory import MemoryLog
from bond_server.redis_log.log import redis_log
from tests.log.servers import redis_cluster, redis_server


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """A server's URL."""
    with redis_server(tmp_path_factory.mktemp("redis")) as (_, port):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory):
    """A cluster's URL: that of one of its three nodes."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as ports:
        yield f"redis://127.0.0.1:{ports[0]}/0"


@pytest.fixture(params=["memory", "redis", "cluster"])
def opened(request):
    """What opens the log of each engine, to be used as an async context."""
    if request.param == "memory":

        @asynccontextmanager
        async def in_memory():
            yield MemoryLog()

        return in_memory
    url = request.getfixturevalue(f"{request.param}_url")
    return lambda: redis_log(url)
