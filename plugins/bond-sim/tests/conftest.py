"""Point unmodified ccxt.pro at the simulator, and speak to it with a bare WebSocket."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

RECORDINGS = Path(
    os.environ.get("BOND_RECORDINGS", Path(__file__).parents[4] / "shared/data/recordings")
)


def settings(venue: str, base: str) -> dict:
    """Return the ccxt config that sends a venue's traffic to the simulator at `base`."""
    ws = "ws" + base.removeprefix("http")
    match venue:
        case "binance":
            api = {
                "public": f"{base}/binance/api/v3",
                "fapiPublic": f"{base}/binance/fapi/v1",
                "dapiPublic": f"{base}/binance/dapi/v1",
                "ws": {"spot": f"{ws}/binance/stream/ws"},  # ccxt knows spot by "/stream"
            }
            options = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
        case "okx":
            api = {"rest": f"{base}/okx", "ws": f"{ws}/okx/ws/v5"}
            options = {"fetchMarkets": {"types": ["spot", "swap", "future"]}}
        case "coinbaseexchange":
            api = {"public": f"{base}/coinbaseexchange", "ws": f"{ws}/coinbaseexchange/ws"}
            options = {}
    return {"urls": {"api": api}, "options": options, "enableRateLimit": False}


@pytest.fixture(scope="session")
def ccxt_settings():
    """Return the function that makes the settings."""
    return settings


@pytest.fixture(scope="session")
def open_ccxt():
    """Return what opens a ccxt.pro exchange at a simulator, and closes it."""
    import ccxt.pro

    @asynccontextmanager
    async def opened(venue, base, **more):
        exchange = getattr(ccxt.pro, venue)(settings(venue, base) | more)
        try:
            yield exchange
        finally:
            await exchange.close()

    return opened


@pytest.fixture(scope="session")
def recording():
    """Return what finds a recorded session, or skips the test."""

    def found(name):
        path = RECORDINGS / "cryptofeed" / name
        if not path.exists():
            pytest.skip(f"no recording {name} in {RECORDINGS}: set BOND_RECORDINGS")
        return path

    return found


class Plain:
    """A bare WebSocket at OKX, for frames as they are."""

    def __init__(self, socket):
        self.socket = socket

    async def ask(self, message):
        """Send a message."""
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def text(self, within_s=5.0):
        """Return the next text frame, answering pings on the way."""
        async with asyncio.timeout(within_s):
            while True:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.PING:
                    await self.socket.pong(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    return message.data
                elif message.type is not aiohttp.WSMsgType.PONG:
                    raise ConnectionError(f"{message.type.name} {message.data}")

    async def texts(self):
        """Return all text frames sent so far: those before the answer to a ping of OKX's."""
        await self.ask("ping")
        frames = []
        while (frame := await self.text()) != "pong":
            frames.append(frame)
        return frames


@pytest.fixture(scope="session")
def open_plain():
    """Return what opens a bare WebSocket at the simulated OKX."""

    @asynccontextmanager
    async def opened(base, *subscribed):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{base}/okx/ws/v5/public", autoping=False) as socket,
        ):
            plain = Plain(socket)
            if subscribed:
                args = [
                    dict(zip(("channel", "instId"), s.split(":"), strict=True)) for s in subscribed
                ]
                await plain.ask({"op": "subscribe", "args": args})
                for _ in args:
                    await plain.text()
            yield plain

    return opened
