"""The conformance kit, on what the massive library hands over in its raw mode.

Without aggregates: those count by the time they are heard, which is another on each run.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import ClassVar

from bond_core.testing import ConnectorConformance

T_MS = 1_700_000_000_000


def trade(n, price):
    """Return a trade as Massive sends it."""
    return {"ev": "T", "sym": "AAPL", "x": 4, "i": str(n), "z": 3, "p": price, "s": 100,
            "c": [14, 41], "t": T_MS + n, "q": n}  # fmt: skip


SAID = [
    [trade(1, 131.5), trade(2, 131.55)],
    [{"ev": "Q", "sym": "AAPL", "bx": 4, "bp": 131.5, "bs": 100, "ax": 7, "ap": 131.625,
      "as": 160, "c": 0, "t": T_MS + 5, "q": 9, "z": 3}],
    [trade(8, 131.75)],
]  # fmt: skip


class AuthError(Exception):
    """The library's."""


class GoneError(Exception):
    """What websockets raises."""


GoneError.__module__ = "websockets.exceptions"


class Client:
    """The library's client: greeted and authenticated at once, it plays what is subscribed to."""

    def __init__(self, api_key, **_):
        assert api_key == "canary-9b1e"
        self.websocket, self.schedule_resub = None, True
        self.transport = SimpleNamespace(abort=lambda: None)
        self._frames = None

    async def connect(self, processor, **_):
        self._frames = asyncio.Queue()
        self.websocket, self.schedule_resub = self, False
        try:
            while (frame := await self._frames.get()) is not None:
                await processor(frame)
            raise GoneError("no close frame received or sent")
        finally:
            self.websocket, self.schedule_resub = None, True

    async def send(self, text):
        asked = json.loads(text)
        if asked["action"] == "subscribe":
            answers = [
                {"ev": "status", "status": "success", "message": f"subscribed to: {topic}"}
                for topic in asked["params"].split(",")
            ]
            for message in (answers, *SAID):
                self._frames.put_nowait(json.dumps(message))

    async def close(self):
        """Close as a connection, and as a client, too."""

    def drop(self):
        self._frames.put_nowait(None)


class TestPolygon(ConnectorConformance):
    spec = "polygon"
    symbols = ("AAPL",)
    env: ClassVar = {"POLYGON_API_KEY": "canary-9b1e"}
    config: ClassVar = {"key": {"$env": "POLYGON_API_KEY"}}
    bad_configs: ClassVar = {
        "no key": {},
        "a feed that is late": {"key": {"$env": "POLYGON_API_KEY"}, "feed": "delayed"},
        "bars of hours": {"key": {"$env": "POLYGON_API_KEY"}, "bars": "hour"},
    }
    sdks: ClassVar = {"massive": SimpleNamespace(WebSocketClient=Client, AuthError=AuthError)}
    auth_failure = AuthError("authentication failed")

    def drop_sdk(self, clients):
        for client in clients:
            client.drop()
