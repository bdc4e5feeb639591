"""A Redis for each test that has one: what a fleet shares is one whole database."""

from __future__ import annotations

import pytest

from tests.log.servers import redis_server


@pytest.fixture
def redis_port(tmp_path):
    """A server's port."""
    with redis_server(tmp_path / "redis") as (_, port):
        yield port


@pytest.fixture
def redis_url(redis_port):
    """A server's URL."""
    return f"redis://127.0.0.1:{redis_port}/0"
