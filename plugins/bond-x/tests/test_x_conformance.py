"""The conformance kit, on what tweepy's stream would hand over."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import ClassVar

from bond_core.plugin import Retryable
from bond_core.testing import ConnectorConformance

LINES = [
    {
        "data": {
            "id": str(1_700_000_000_000_000_000 + n),
            "text": text,
            "author_id": "7",
            "created_at": f"2026-01-01T00:00:0{n}.000Z",
            "edit_history_tweet_ids": [str(1_700_000_000_000_000_000 + n)],
            "public_metrics": {"like_count": n, "retweet_count": 0},
        },
        "includes": {"users": [{"id": "7", "username": "lena", "name": "Lena"}]},
    }
    for n, text in enumerate(("BTC up", "bitcoin down", "$BTC sideways"))
]


class Client:
    """tweepy's streaming client, playing lines until it is closed."""

    def __init__(self, bearer, **_):
        assert bearer == "a-bearer-token"
        self._broken = asyncio.Event()

    async def get_rules(self):
        return {}

    async def add_rules(self, _):
        return {}

    async def delete_rules(self, _):
        return {}

    def filter(self, **_):
        return asyncio.create_task(self._play())

    async def _play(self):
        await self.on_connect()
        for line in LINES:
            await self.on_data(json.dumps(line).encode())
        await self._broken.wait()
        try:
            await self.on_connection_error()
        except Retryable as error:  # tweepy catches whatever is raised
            await self.on_exception(error)

    def close(self):
        self._broken.set()


class TestX(ConnectorConformance):
    spec = "x"
    env: ClassVar = {"X_BEARER": "a-bearer-token"}
    config: ClassVar = {"bearer": {"$env": "X_BEARER"}}
    bad_configs: ClassVar = {
        "mode": {"bearer": {"$env": "X_BEARER"}, "mode": "guess"},
        "no key": {},
        "too often": {"bearer": {"$env": "X_BEARER"}, "every_s": 0.1},
    }
    symbols = ("BTC",)
    # aiohttp is the real one: nobody asks anything of its session.
    sdks: ClassVar = {"tweepy.asynchronous": SimpleNamespace(AsyncStreamingClient=Client)}

    def work(self):
        """Registering must not load aiohttp either."""
        return [*super().work(), "aiohttp"]
