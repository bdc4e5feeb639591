"""What a trade or quote frame costs from its text to an event, against ccxt.pro.

Ratios of process time. Both ways begin where ccxt.pro hands over a frame's text; ccxt.pro's ends
with its own dictionary kept, as an exchange object that nobody listens to leaves it; Bond's ends
with the event handed to the supervisor. Beside it stands cryptofeed, where BOND_CRYPTOFEED_PYTHON
names a Python that has it (ccxt pins other versions of what both need): its parser, to its own
trade at a callback. It speaks neither Kraken's v2 nor Coinbase Exchange, and of Binance the
summed trades.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.figure import Figure

COUNT = 4_000
ROUNDS = 9
GOAL = 1 / 8

_T = 1_786_538_760_218
_ISO = "2026-08-12T19:27:47.532655Z"
Frame = dict[str, Any]
Peer = Callable[[str], tuple[float | None, str]]
PEER_VENUES = ("binance", "okx", "bybit", "coinbase")
_SUMMED: Frame = {"stream": "btcusdt@aggTrade", "data": {
    "e": "aggTrade", "E": _T, "s": "BTCUSDT", "a": 4_000_000_000, "p": "64040.20000000",
    "q": "0.00240000", "f": 9_000_000_000, "l": 9_000_000_000, "T": _T, "m": True, "M": True,
}}  # fmt: skip


def run() -> Iterable[Figure]:
    """Yield a figure for each venue's trades and quotes."""
    for venue, id, symbol, url, frames in _cases():
        for what, frame in frames.items():
            text = json.dumps(frame, separators=(",", ":"))
            plain, ours = _medians([_ccxt(venue, id, symbol, url), _bond(venue, id, symbol, url)],
                                   text)  # fmt: skip
            figure = Figure(
                bench="ingest", case=f"{venue} {what}", against="ccxt.pro", ratio=ours / plain
            )
            yield figure.at_most(GOAL) if what == "trade" else figure
    yield from _against_cryptofeed()


def _against_cryptofeed() -> Iterable[Figure]:
    python = os.environ.get("BOND_CRYPTOFEED_PYTHON")
    with contextlib.ExitStack() as stack:
        peer = None if python is None else stack.enter_context(_peer(python))
        for venue, id, symbol, url, frames in _cases():
            if venue not in PEER_VENUES:
                continue
            text = json.dumps(frames["trade"], separators=(",", ":"))
            ratio = None if peer is None else _ratio(peer, venue, id, symbol, url, text)
            yield Figure(
                bench="ingest", case=f"{venue} trade", against="cryptofeed", ratio=ratio
            ).at_most(1.0)


def _ratio(peer: Peer, venue: str, id: str, symbol: str, url: str, text: str) -> float | None:
    theirs = json.dumps(_SUMMED, separators=(",", ":")) if venue == "binance" else text
    asked = json.dumps({"venue": venue, "id": id, "text": theirs, "count": COUNT})
    read, ours, others = _bond(venue, id, symbol, url), [], []
    for n in range(ROUNDS + 1):  # the first warms up
        began = time.process_time()
        for _ in range(COUNT):
            read(text)
        taken, (other, why) = time.process_time() - began, peer(asked)
        if other is None and why.startswith("ModuleNotFoundError"):
            return None
        if other is None:
            raise RuntimeError(f"cryptofeed, {venue}: {why}")
        if n:
            ours.append(taken)
            others.append(other)
    return statistics.median(ours) / statistics.median(others)


@contextlib.contextmanager
def _peer(python: str) -> Iterator[Peer]:
    program = str(Path(__file__).with_name("peer_cryptofeed.py"))
    with subprocess.Popen(
        [python, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        asking, answers = process.stdin, process.stdout

        def ask(line: str) -> tuple[float | None, str]:
            asking.write(line + "\n")
            seconds, why = json.loads(answers.readline() or '[null, "it ended"]')
            return seconds, why

        try:
            yield ask
        finally:
            asking.close()


def _medians(ways: Sequence[Callable[[str], None]], text: str) -> list[float]:
    """Return each way's median time for so many frames, the ways by turns."""
    taken: list[list[float]] = [[] for _ in ways]
    for way in ways:
        for _ in range(COUNT // 10):
            way(text)
    for _ in range(ROUNDS):
        for way, times in zip(ways, taken, strict=True):
            began = time.process_time()
            for _ in range(COUNT):
                way(text)
            times.append(time.process_time() - began)
    return [statistics.median(times) for times in taken]


def _exchange(venue: str, id: str, symbol: str) -> Any:
    pro = importlib.import_module("ccxt.pro")
    exchange = getattr(pro, venue)({"enableRateLimit": False, "options": {"tradesLimit": 1000}})
    base, _, quote = symbol.partition("/")
    market = {"id": id, "lowercaseId": id.lower(), "symbol": symbol, "base": base, "quote": quote,
              "baseId": base, "quoteId": quote, "type": "spot", "spot": True, "swap": False,
              "contract": False, "future": False, "option": False, "margin": False,
              "active": True, "info": {}, "limits": {}, "linear": None, "inverse": None,
              "precision": {"amount": 1e-8, "price": 0.01}}  # fmt: skip
    exchange.set_markets([market])
    return exchange


def _ccxt(venue: str, id: str, symbol: str, url: str) -> Callable[[str], None]:
    async def made() -> Any:
        exchange = _exchange(venue, id, symbol)
        client = exchange.client(url)
        await exchange.close()  # what it has open; nothing is connected
        return client

    client = asyncio.run(made())
    read: Callable[[str], None] = client.handle_text_or_binary_message
    return read


def _bond(venue: str, id: str, symbol: str, url: str) -> Callable[[str], None]:
    from bond_ccxt.tap import Tap
    from bond_ccxt.venues import VENUES
    from bond_core.plugin import Subscription

    heard = 0

    def emit(_: str, events: Sequence[Any]) -> None:
        nonlocal heard
        heard += len(events)

    async def made() -> Any:
        exchange = _exchange(venue, id, symbol)
        ctx: Any = SimpleNamespace(
            clock=SimpleNamespace(now_ns=time.time_ns), emit=emit, live=lambda *_: None
        )
        wanted = {Subscription(channel, symbol) for channel in ("trades", "quotes")}
        client = Tap(ctx, exchange, VENUES[venue], wanted=wanted).exchange.client(url)
        await exchange.close()
        return client

    client = asyncio.run(made())

    read: Callable[[str], None] = client.handle_text_or_binary_message
    for frames in (frames for name, *_, frames in _cases() if name == venue):
        for n, frame in enumerate(frames.values(), 1):
            read(json.dumps(frame, separators=(",", ":")))
            if heard != n:
                raise RuntimeError(f"{venue}: nothing was read of {frame}")
    return read


def _cases() -> Iterable[tuple[str, str, str, str, dict[str, Frame]]]:
    yield "binance", "BTCUSDT", "BTC/USDT", "wss://stream.binance.com:9443/stream/ws/0", {
        "trade": {"e": "trade", "E": _T, "s": "BTCUSDT", "t": 9_000_000_000,
                  "p": "64040.20000000", "q": "0.00240000", "T": _T, "m": True, "M": True},
        "quote": {"u": 98494969448, "s": "BTCUSDT", "b": "63704.00000000", "B": "4.77471000",
                  "a": "63704.01000000", "A": "11.33198000"},
    }  # fmt: skip
    row = {"instId": "BTC-USDT", "ts": str(_T)}
    yield "okx", "BTC-USDT", "BTC/USDT", "wss://ws.okx.com:8443/ws/v5/public", {
        "trade": {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [
            {**row, "tradeId": "1040968613", "px": "64040.2", "sz": "0.00240857", "side": "buy",
             "count": "2", "source": "0", "seqId": 79706765242}]},
        "quote": {"arg": {"channel": "tickers", "instId": "BTC-USDT"}, "data": [
            {"instType": "SPOT", **row, "last": "64028.6", "lastSz": "0.0011553",
             "askPx": "64028.7", "askSz": "1.2", "bidPx": "64028.6", "bidSz": "0.9",
             "open24h": "64330", "high24h": "64500", "low24h": "63238", "sodUtc0": "64000",
             "sodUtc8": "64000", "volCcy24h": "940099726", "vol24h": "14724"}]},
    }  # fmt: skip
    yield "bybit", "BTCUSDT", "BTC/USDT", "wss://stream.bybit.com/v5/public/spot", {
        "trade": {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": _T, "data": [
            {"i": "2290000000123456", "T": _T, "p": "16578.50", "v": "0.001", "S": "Sell",
             "s": "BTCUSDT", "BT": False, "RPI": False, "seq": 73}]},
        "quote": {"topic": "orderbook.1.BTCUSDT", "ts": _T, "type": "snapshot", "data": {
            "s": "BTCUSDT", "b": [["63705.3", "2.045546"]], "a": [["63705.4", "0.5"]],
            "u": 7961638724, "seq": 7961638724}, "cts": _T},
    }  # fmt: skip
    yield "kraken", "XXBTZUSD", "BTC/USD", "wss://ws.kraken.com/v2", {
        "trade": {"channel": "trade", "type": "update", "data": [
            {"symbol": "BTC/USD", "side": "sell", "price": 63297.7, "qty": 0.00159,
             "ord_type": "market", "trade_id": 4665906, "timestamp": _ISO}]},
        "quote": {"channel": "ticker", "type": "update", "data": [
            {"symbol": "BTC/USD", "bid": 63297.6, "bid_qty": 0.5, "ask": 63297.7, "ask_qty": 0.1,
             "last": 63297.7, "volume": 1500.0, "vwap": 63300.0, "low": 63000.0, "high": 64000.0,
             "change": -1.0, "change_pct": -0.01, "timestamp": _ISO}]},
    }  # fmt: skip
    yield "coinbase", "BTC-USD", "BTC/USD", "wss://advanced-trade-ws.coinbase.com", {
        "trade": {"channel": "market_trades", "client_id": "", "timestamp": _ISO,
                  "sequence_num": 0, "events": [{"type": "update", "trades": [
                      {"product_id": "BTC-USD", "trade_id": "1069726291", "price": "63310.25",
                       "size": "0.00000043", "time": _ISO, "side": "BUY"}]}]},
        "quote": {"channel": "ticker", "client_id": "", "timestamp": _ISO, "sequence_num": 0,
                  "events": [{"type": "update", "tickers": [
                      {"type": "ticker", "product_id": "BTC-USD", "price": "63320.73",
                       "volume_24_h": "6629.92", "low_24_h": "63235.88", "high_24_h": "64500",
                       "low_52_w": "50000", "high_52_w": "120000",
                       "price_percent_chg_24_h": "-0.5", "best_bid": "63320.72",
                       "best_bid_quantity": "0.1", "best_ask": "63320.73",
                       "best_ask_quantity": "0.2"}]}]},
    }  # fmt: skip
    yield "coinbaseexchange", "BTC-USD", "BTC/USD", "wss://ws-feed.exchange.coinbase.com", {
        "trade": {"type": "match", "trade_id": 82047307, "maker_order_id": "0f358725-2134",
                  "taker_order_id": "252b7002-87a3", "side": "sell", "size": "0.00513192",
                  "price": "9314.78", "product_id": "BTC-USD", "sequence": 12038915443,
                  "time": _ISO},
        "quote": {"type": "ticker", "sequence": 12042642428, "product_id": "BTC-USD",
                  "price": "9380.55", "open_24h": "9450.81", "volume_24h": "9611.79",
                  "low_24h": "9195.49", "high_24h": "9475.19", "volume_30d": "327812.0",
                  "best_bid": "9380.54", "best_bid_size": "0.1", "best_ask": "9380.55",
                  "best_ask_size": "0.2", "side": "buy", "time": _ISO, "trade_id": 82062566,
                  "last_size": "0.41969131"},
    }  # fmt: skip
