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


def levels(n, bid, ask):
    """Return an update of the order book as Binance sends it."""
    return json.dumps({
        "e": "depthUpdate", "E": T_MS + 10 * n, "s": "BTCUSDT", "U": n, "u": n,
        "b": [[bid, "1.50000000"]], "a": [[ask, "2.25000000"]],
    })  # fmt: skip


def minute(n, close, volume):
    """Return a candle as Binance sends it while its minute lasts."""
    start = T_MS // 60_000 * 60_000
    return json.dumps({
        "e": "kline", "E": start + n, "s": "BTCUSDT",
        "k": {
            "t": start, "T": start + 59_999, "s": "BTCUSDT", "i": "1m", "x": False,
            "o": "64040.21000000", "h": "64051.07000000", "l": "64031.03000000",
            "c": close, "v": volume,
        },
    })  # fmt: skip


def liquidated(n, price):
    """Return a liquidation as Binance's futures send it."""
    order = {
        "s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.014", "p": "9910",
        "ap": price, "X": "FILLED", "l": "0.014", "z": "0.014", "T": T_MS + n,
    }  # fmt: skip
    return json.dumps({"e": "forceOrder", "E": T_MS + n, "o": order})


def funded(n, mark):
    """Return mark price and funding rate as Binance's futures send them."""
    return json.dumps({
        "e": "markPriceUpdate", "E": T_MS + 1_000 * n, "s": "BTCUSDT", "p": mark,
        "i": "64039.62653185", "P": "64039.25", "r": "0.00038167", "T": T_MS + 3_600_000,
    })  # fmt: skip


SAID = {
    "trade": [trade(0, "64040.21000000"), trade(100, "64041.07000000")],
    "depth@100ms": [levels(101, "64040.20", "64040.30"), levels(102, "64040.10", "64040.40")],
    "kline_1m": [minute(1_000, "64041.05000000", "1.25"), minute(3_000, "64042.06000000", "1.5")],
    "forceOrder": [liquidated(0, "9910.52"), liquidated(1_100, "9911.71")],
    "markPrice@1s": [funded(0, "64038.19"), funded(1, "64038.27")],
    "bookTicker": [quote(400, "64040.20000000", "64040.22000000")],
}
BOOK = {"bids": [[64040.1, 1.0], [64039.9, 3.0]], "asks": [[64040.4, 1.0], [64040.7, 3.0]]}
OPEN_INTEREST = {"openInterestAmount": 81_042.125, "openInterestValue": None, "info": {}}
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
        both = {"id": "BTCUSDT", "lowercaseId": "btcusdt", "base": "BTC", "quote": "USDT",
                "active": True, "info": {}}  # fmt: skip
        spot = {"symbol": "BTC/USDT", "type": "spot", "spot": True, "contract": False}
        swap = {
            "symbol": "BTC/USDT:USDT", "settle": "USDT", "type": "swap", "subType": "linear",
            "swap": True, "contract": True, "linear": True, "inverse": False, "contractSize": 1.0,
        }  # fmt: skip
        self.set_markets([self.safe_market_structure(both | each) for each in (spot, swap)])
        return self.markets

    async def throttle(self, cost=None):
        """Wait for nothing."""

    async def fetch(self, url, method="GET", headers=None, body=None):
        await self._asked()
        return []  # nothing was missed

    async def fetch_order_book(self, symbol, limit=None, params=None):
        await self._asked()
        return {"symbol": symbol, "nonce": 100, "timestamp": T_MS, **BOOK}

    async def fetch_open_interest(self, symbol, params=None):
        await self._asked()
        return {"symbol": symbol, **OPEN_INTEREST}

    async def fetch_ticker(self, symbol, params=None):
        await self._asked()
        return {"symbol": symbol, **TICKER}

    def client(self, url):
        client = super().client(url)
        client.create_connection = self._dialled
        return client

    async def _asked(self):
        if self.is_gone:
            raise ccxt.NetworkError("the connection was dropped by the test")
        if self.is_silent:
            await asyncio.Event().wait()

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


class TestBooks(Ccxt):
    """Order books: a snapshot over HTTP, and what changes in it."""

    spec = "ccxt"
    channels = ("book",)
    cassette = [*SAID["depth@100ms"], BOOK]


class TestCandles(Ccxt):
    """The venue's own minutes."""

    spec = "ccxt"
    channels = ("candles",)
    cassette = SAID["kline_1m"]


class TestSwaps(Ccxt):
    """Funding rates and mark prices of a swap; its open interest, which is asked for."""

    spec = "ccxt"
    channels = ("funding", "open_interest")
    symbols = ("BTC/USDT:USDT",)
    cassette = [*SAID["markPrice@1s"], OPEN_INTEREST]


class TestLiquidations(Ccxt):
    """Liquidations of an asset: of all its linear swaps."""

    spec = "ccxt.liquidations"
    symbols = ("BTC",)
    cassette = SAID["forceOrder"]


class TestTicker(Ccxt):
    """Samples over HTTP."""

    spec = "ccxt.ticker"
    cassette = [TICKER]
