"""The conformance kit, on ccxt itself: only what its venue says is played."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import ccxt.pro
from aiohttp import WSMessage, WSMsgType

from bond_core.testing import ConnectorConformance

T_MS = 1_700_000_000_000
BAD = {
    "no venue": {},
    "a typo": {"venu": "binance"},
    "no time": {"venue": "binance", "timeout_s": 0.0},
}


def trade(n, price):
    """Return a trade as Binance sends it."""
    return json.dumps({
        "e": "trade", "E": T_MS + n, "s": "BTCUSDT", "t": 9_000_000 + n, "p": price,
        "q": "0.00240000", "T": T_MS + n, "m": False, "M": True,
    })  # fmt: skip


def quote(n, bid, ask):
    """Return a best bid and ask as Binance sends it."""
    said = {"u": n, "s": "BTCUSDT", "b": bid, "B": "31.2", "a": ask, "A": "40.6"}
    return json.dumps(said)


SAID = {
    "trade": [trade(0, "64040.21000000"), trade(100, "64041.07000000")],
    "bookTicker": [quote(400, "64040.20000000", "64040.22000000")],
}
TICKER = {"last": 64040.21, "bid": 64040.2, "ask": 64040.22}


class Socket:
    """A socket of the venue: says what is subscribed to, and nothing after it."""

    def __init__(self):
        self.closed = False
        self._conn = None
        self._said = asyncio.Queue()

    async def receive(self):
        return await self._said.get()

    async def send_str(self, text):
        asked = json.loads(text)
        self._say(json.dumps({"result": None, "id": asked["id"]}))
        for name in asked["params"]:
            for frame in SAID[name.partition("@")[2]]:
                self._say(frame)

    async def ping(self):
        """Hear a ping."""

    async def close(self):
        if not self.closed:
            self.closed = True
            self._said.put_nowait(WSMessage(WSMsgType.CLOSED, None, None))

    def drop(self):
        self._said.put_nowait(WSMessage(WSMsgType.CLOSE, 1006, None))

    def _say(self, text):
        self._said.put_nowait(WSMessage(WSMsgType.TEXT, text, None))


class Binance(ccxt.pro.binance):
    """ccxt's own, but for where it dials and asks."""

    def __init__(self, options):
        super().__init__(options)
        self.enableRateLimit = False
        self.sockets, self.is_gone, self.is_silent = [], False, False

    async def load_markets(self, reload=False, params=None):
        self.set_markets([self.safe_market_structure({
            "id": "BTCUSDT", "lowercaseId": "btcusdt", "symbol": "BTC/USDT", "base": "BTC",
            "quote": "USDT", "type": "spot", "spot": True, "contract": False, "active": True,
            "info": {},
        })])  # fmt: skip
        return self.markets

    async def fetch_ticker(self, symbol, params=None):
        if self.is_gone:
            raise ccxt.NetworkError("the connection was dropped by the test")
        if self.is_silent:
            await asyncio.Event().wait()
        return {"symbol": symbol, **TICKER}

    def client(self, url):
        client = super().client(url)
        client.create_connection = self._dialled
        return client

    async def _dialled(self, session):
        self.sockets.append(Socket())
        return self.sockets[-1]


class Ccxt(ConnectorConformance):
    """What both connectors are tested with."""

    config = {"venue": "binance"}
    bad_configs = BAD
    sdks = {"ccxt.pro": SimpleNamespace(exchanges=["binance"], binance=Binance)}

    def drop_sdk(self, clients):
        for exchange in clients:
            exchange.is_gone = True
            for socket in exchange.sockets:
                socket.drop()

    def silence_sdk(self, clients):
        for exchange in clients:
            exchange.is_silent = True


class TestCcxt(Ccxt):
    """Trades and quotes over the WebSocket."""

    spec = "ccxt"
    channels = ("trades", "quotes")
    cassette = [*SAID["trade"], *SAID["bookTicker"]]


class TestTicker(Ccxt):
    """Samples over HTTP."""

    spec = "ccxt.ticker"
    cassette = [TICKER]
