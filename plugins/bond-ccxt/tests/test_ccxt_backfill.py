"""What was missed is fetched over each venue's REST, as the venue documents it, by plain ccxt.

The venues here trade on their own, and speak WebSocket and REST of one list of trades. Frames
are lost, the socket is dropped, and what was sent is sent again after a reconnect; the records
of a stream must come to what was traded, summed up here.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import attrs
import pytest
from aiohttp import WSMsgType, web

import bond_ccxt.connector
from bond_ccxt.backfill import fetch
from bond_ccxt.config import CcxtConfig
from bond_ccxt.connector import CcxtConnector
from bond_ccxt.venues import unproven
from bond_core.clock import NS
from bond_core.errors import Fatal, Retryable
from bond_core.plugin import Hole
from bond_server.local import stream

MS = 1_000_000
WITHIN_S = 25.0


@attrs.frozen
class Deal:
    """One trade of a venue: `side` is the taker's."""

    number: int
    ts: int
    price: str
    size: str
    side: str


def iso(ns, decimals=6):
    """`2026-08-12T19:29:00.000706Z`."""
    whole = datetime.fromtimestamp(ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ns % NS:09d}"[: 20 + decimals] + "Z"


OTHER = {"buy": "sell", "sell": "buy"}


class Binance:
    """https://developers.binance.com/docs/binance-spot-api-docs."""

    id, symbol = "BTCUSDT", "BTC/USDT"
    unit_ns = MS
    rest = ("/api/v3/historicalTrades", "/api/v3/trades")

    def subscribed(self, asked):
        return [{"result": None, "id": asked["id"]}]

    def frame(self, deal):
        return {"e": "trade", "E": deal.ts // MS, "s": self.id, "t": deal.number, "p": deal.price,
                "q": deal.size, "T": deal.ts // MS, "m": deal.side == "sell",
                "M": True}  # fmt: skip

    def answer(self, query, deals):
        limit = min(int(query.get("limit", 500)), 1000)
        if "fromId" in query:
            found = [d for d in deals if d.number >= int(query["fromId"])][:limit]
        else:
            found = deals[-limit:]
        return [{"id": d.number, "price": d.price, "qty": d.size, "quoteQty": "1",
                 "time": d.ts // MS, "isBuyerMaker": d.side == "sell", "isBestMatch": True}
                for d in found]  # fmt: skip


class Okx:
    """https://www.okx.com/docs-v5/en/: one frame may stand for several trades."""

    id, symbol = "BTC-USDT", "BTC/USDT"
    unit_ns = MS
    rest = ("/api/v5/market/history-trades",)

    def subscribed(self, asked):
        return [{"event": "subscribe", "arg": arg, "connId": "a"} for arg in asked["args"]]

    def frame(self, deal):
        row = self._row(deal) | {"count": "1"}
        return {"arg": {"channel": "trades", "instId": self.id}, "data": [row]}

    def _row(self, d):
        return {"instId": self.id, "tradeId": str(d.number), "px": d.price, "sz": d.size,
                "side": d.side, "ts": str(d.ts // MS)}  # fmt: skip

    def answer(self, query, deals):
        limit = min(int(query.get("limit", 100)), 100)
        if "after" in query:
            deals = [d for d in deals if d.number < int(query["after"])]
        return {"code": "0", "msg": "", "data": [self._row(d) for d in deals[::-1][:limit]]}


class Bybit:
    """https://bybit-exchange.github.io/docs/v5/: ids are no numbers, the newest only."""

    id, symbol = "BTCUSDT", "BTC/USDT:USDT"
    unit_ns = MS
    rest = ("/v5/market/recent-trade",)

    def uuid(self, d):
        return f"20f43950-d8dd-5b31-9112-{d.number:012d}"

    def subscribed(self, asked):
        return [{"success": True, "ret_msg": "", "conn_id": "a", "req_id": str(asked["req_id"]),
                 "op": "subscribe"}]  # fmt: skip

    def frame(self, d):
        return {"topic": f"publicTrade.{self.id}", "type": "snapshot", "ts": d.ts // MS, "data": [
            {"T": d.ts // MS, "s": self.id, "S": d.side.title(), "v": d.size, "p": d.price,
             "L": "PlusTick", "i": self.uuid(d), "BT": False}]}  # fmt: skip

    def answer(self, query, deals):
        limit = min(int(query.get("limit", 500)), 1000)
        rows = [{"execId": self.uuid(d), "symbol": self.id, "price": d.price, "size": d.size,
                 "side": d.side.title(), "time": str(d.ts // MS), "isBlockTrade": False}
                for d in deals[::-1][:limit]]  # fmt: skip
        return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows},
                "retExtInfo": {}, "time": 1}  # fmt: skip


class Coinbase:
    """https://docs.cdp.coinbase.com/api-reference/advanced-trade-api: times in whole seconds."""

    id, symbol = "BTC-USD", "BTC/USD"
    unit_ns = 1000
    rest = ("/api/v3/brokerage/market/products/BTC-USD/ticker",)

    def _row(self, d):
        return {"trade_id": str(d.number), "product_id": self.id, "price": d.price,
                "size": d.size, "side": OTHER[d.side].upper(), "time": iso(d.ts)}  # fmt: skip

    def subscribed(self, asked):
        return [{"channel": "subscriptions", "client_id": "", "timestamp": iso(time.time_ns()),
                 "sequence_num": 0,
                 "events": [{"subscriptions": {"market_trades": [self.id]}}]}]  # fmt: skip

    def frame(self, d):
        return {"channel": "market_trades", "client_id": "", "timestamp": iso(d.ts),
                "sequence_num": 0,
                "events": [{"type": "update", "trades": [self._row(d)]}]}  # fmt: skip

    def answer(self, query, deals):
        start, end = (int(query[k]) * NS for k in ("start", "end"))
        found = [d for d in deals if start <= d.ts <= end][::-1][: int(query["limit"])]
        return {"trades": [self._row(d) for d in found], "best_bid": "1", "best_ask": "2"}


class CoinbaseExchange:
    """https://docs.cdp.coinbase.com/exchange: the last match comes again on subscribing."""

    id, symbol = "BTC-USD", "BTC/USD"
    unit_ns = 1000
    rest = ("/products/BTC-USD/trades",)

    def subscribed(self, asked):
        channels = [{"name": "matches", "product_ids": [self.id]}]
        return [{"type": "subscriptions", "channels": channels}]

    def frame(self, d, kind="match"):
        return {"type": kind, "trade_id": d.number, "maker_order_id": "m", "taker_order_id": "t",
                "side": OTHER[d.side], "size": d.size, "price": d.price, "product_id": self.id,
                "sequence": d.number, "time": iso(d.ts)}  # fmt: skip

    def again(self, deals):
        return [self.frame(d, "last_match") for d in deals[-1:]]

    def answer(self, query, deals):
        if "after" in query:
            deals = [d for d in deals if d.number < int(query["after"])]
        return [{"trade_id": d.number, "side": OTHER[d.side], "size": d.size, "price": d.price,
                 "time": iso(d.ts)}
                for d in deals[::-1][: int(query.get("limit", 1000))]]  # fmt: skip


class Kraken:
    """https://docs.kraken.com/api/: rows without names, and 50 trades again on subscribing."""

    id, symbol = "XXBTZUSD", "BTC/USD"
    unit_ns = 1000
    rest = ("/0/public/Trades",)

    def _row(self, d):
        return {"symbol": self.symbol, "side": d.side, "price": float(d.price),
                "qty": float(d.size), "ord_type": "limit", "trade_id": d.number,
                "timestamp": iso(d.ts)}  # fmt: skip

    def subscribed(self, asked):
        result = {"channel": "trade", "symbol": self.symbol, "snapshot": True}
        return [{"method": "subscribe", "success": True, "result": result,
                 "req_id": asked["req_id"]}]  # fmt: skip

    def frame(self, d):
        return {"channel": "trade", "type": "update", "data": [self._row(d)]}

    def again(self, deals):
        rows = [self._row(d) for d in deals[-50:]]
        return [{"channel": "trade", "type": "snapshot", "data": rows}] if rows else []

    def answer(self, query, deals):
        found = [d for d in deals if d.ts > int(query["since"])][: int(query["count"])]
        rows = [[d.price, d.size, d.ts / NS, d.side[0], "l", "", d.number] for d in found]
        last = str(found[-1].ts if found else query["since"])
        return {"error": [], "result": {self.id: rows, "last": last}}


SPEAKS = {
    "binance": Binance(), "okx": Okx(), "bybit": Bybit(), "coinbase": Coinbase(),
    "coinbaseexchange": CoinbaseExchange(), "kraken": Kraken(),
}  # fmt: skip
every_venue = pytest.mark.parametrize("venue", SPEAKS)


class TradingVenue:
    """A venue on loopback.

    Attributes:
        deals: All that were traded.
        loses: Whether frames are lost just now.
        status: What REST answers with, where it isn't 200.
        asked: The queries that REST was asked, in order.
    """

    def __init__(self, speaks):
        self.speaks = speaks
        self.deals = []
        self.loses = self.refuses = False
        self.status = 200
        self.asked = []
        self._sockets = []

    async def __aenter__(self):
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_):
        self.drop()
        await self._runner.cleanup()

    def drop(self):
        """Lose every socket, as a network does."""
        for _, transport in self._sockets:
            transport.abort()
        self._sockets.clear()

    async def trade(self, ago_s=0.0):
        """Trade once, so long ago, and tell whoever listens."""
        n = len(self.deals)
        ts = (time.time_ns() - round(ago_s * NS)) // self.speaks.unit_ns * self.speaks.unit_ns
        side = "buy" if n % 3 else "sell"
        deal = Deal(9_000_001 + n, ts, f"{64000 + n}.5", f"{1 + n % 7}.25", side)
        self.deals.append(deal)
        if not self.loses:
            for socket, _ in tuple(self._sockets):
                await socket.send_str(json.dumps(self.speaks.frame(deal)))

    async def _serve(self, request):
        if request.headers.get("Upgrade") != "websocket":
            assert request.path in self.speaks.rest, request.path
            self.asked.append(dict(request.query))
            if self.status != 200:
                return web.json_response({}, status=self.status)
            return web.json_response(self.speaks.answer(request.query, self.deals))
        if self.refuses:
            return web.Response(status=503)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data not in ("ping", '{"op":"ping"}'):
                asked = json.loads(message.data)
                for answer in self.speaks.subscribed(asked):
                    await socket.send_str(json.dumps(answer))
                for frame in getattr(self.speaks, "again", lambda _: ())(self.deals):
                    await socket.send_str(json.dumps(frame))
                self._sockets.append((socket, request.transport))
        return socket


def _aimed(api, there):
    """Replace every address in ccxt's table of them, keeping the paths."""
    if isinstance(api, dict):
        return {key: _aimed(value, there) for key, value in api.items()}
    return f"{there}/{api.partition('://')[2].partition('/')[2]}".rstrip("/")


@pytest.fixture(name="there")
def _there(kit, monkeypatch):
    """Start a venue, with ccxt's every address pointing at it and its markets known."""
    real = bond_ccxt.connector.open_session
    venues = {}

    async def open_there(config, ctx):
        session = await real(config, ctx)
        there, exchange = venues[config.venue], session.exchange
        for key, value in exchange.urls["api"].items():
            scheme = "ws" if key == "ws" else "http"
            exchange.urls["api"][key] = _aimed(value, f"{scheme}://127.0.0.1:{there.port}")
        exchange.enableRateLimit = False
        speaks = there.speaks
        markets = [kit.market(speaks.id, speaks.symbol, contractSize=1)]

        async def load_markets():
            exchange.set_markets(markets)

        exchange.load_markets = load_markets
        return session

    monkeypatch.setattr(bond_ccxt.connector, "open_session", open_there)

    @asynccontextmanager
    async def start(venue):
        async with TradingVenue(SPEAKS[venue]) as venues[venue]:
            yield venues[venue]

    return start


@every_venue
def test_pages_hold_what_the_socket_would_have_said(kit, there, venue):
    """Every trade of a hole comes once, with the id, time, side, price and size of its frame."""
    symbol = SPEAKS[venue].symbol

    async def go():
        async with there(venue) as market:
            ctx = kit.Context([kit.Want("trades", symbol)])
            connector = CcxtConnector(CcxtConfig(venue))
            async with kit.running(connector, ctx):
                await ctx.until(lambda: ctx.lives)
                for n in range(2300):
                    await market.trade(ago_s=4.6 - n * 0.002)
                await ctx.until(lambda: len(ctx.events("trades")) == 2300)
                heard = ctx.events("trades")
                first, last = heard[60 if venue != "bybit" else 1400], heard[2200]
                hole = Hole(channel="trades", symbol=symbol, after_ts_ns=first.ts,
                            until_ts_ns=last.ts, after_id=first.id, until_id=last.id)  # fmt: skip
                pages, rest = [], hole
                while rest is not None:
                    pages.append(await connector.backfill(ctx, rest))
                    assert pages[-1].end is None
                    assert pages[-1].rest != rest
                    rest = pages[-1].rest
            return heard, pages, first, last

    heard, pages, first, last = asyncio.run(go())
    between = heard[heard.index(first) + 1 : heard.index(last)]
    found = {event.id: event for page in pages for event in page.events}
    for event in between:
        fetched = found[event.id]
        if venue == "kraken":  # whose REST writes a time as a float of seconds
            assert abs(fetched.ts - event.ts) <= 1000
            fetched = attrs.evolve(fetched, ts=event.ts)
        assert fetched == event


async def trouble(market, *, shows):
    """Lose frames, if it shows in the ids, then the connection for a while."""
    await asyncio.sleep(2.2)
    if shows:
        market.loses = True
        await asyncio.sleep(0.3)
        market.loses = False
        await asyncio.sleep(0.8)
    market.refuses = True
    market.drop()
    await asyncio.sleep(1.6)
    market.refuses = False


async def trading(market):
    """Trade on and on."""
    while True:
        await market.trade()
        await asyncio.sleep(0.02)


async def troubled(venue, there):
    """Return the records of a stream that has troubles, and what was traded."""
    spec = {
        "sources": [{"type": "ccxt", "exchanges": [venue]}],
        "symbols": [SPEAKS[venue].symbol],
        "interval_sec": 1,
        "fields": ["trades", "volume_sum", "price_open", "price_close"],
        "late": "update",
    }
    records, after, causing = [], 0, None
    async with asyncio.timeout(WITHIN_S), there(venue) as market:
        going = asyncio.create_task(trading(market))
        try:
            async with stream(spec) as said:
                async for record in said:
                    records.append(record)
                    if causing is None and record["trades"]:
                        shows = venue not in ("okx", "bybit")
                        causing = asyncio.create_task(trouble(market, shows=shows))
                    if causing is not None and causing.done():
                        is_live = record["sources"][venue]["status"] == "live"
                        after += is_live and not record["rev"]
                    if after > 4:
                        break
        finally:
            going.cancel()
            await asyncio.gather(going, causing, return_exceptions=True)
    return records, market.deals


def test_streams_say_in_the_end_what_was_traded(there):
    """Frames are lost, sockets break off in mid-window, and every sum is the venue's."""

    async def go():
        return await asyncio.gather(*(troubled(venue, there) for venue in SPEAKS))

    for venue, (records, deals) in zip(SPEAKS, asyncio.run(go()), strict=True):
        said = {}
        for record in records:
            start = record["window_start"]
            assert record["rev"] == (said[start]["rev"] + 1 if start in said else 0)
            said[start] = record
        heard = [r["sources"][venue]["coverage"] == 1.0 for r in said.values()]
        whole = list(said.values())[heard.index(True) : -1]
        assert len(whole) > 5
        for record in whole:
            start_s = round(datetime.fromisoformat(record["window_start"]).timestamp())
            its = [d for d in deals if d.ts // NS == start_s]
            assert record["trades"] == len(its), (venue, record)
            assert record["volume_sum"] == pytest.approx(sum(float(d.size) for d in its))
            assert record["price_open"] == float(its[0].price)
            assert record["price_close"] == float(its[-1].price)
        assert any(r["rev"] for r in whole)
        assert any("repaired" in r["raw_data"] for r in whole)
        notices = {n["code"] for r in records for n in r["notices"]}
        assert {"gap", "repaired", "revised"} <= notices


def test_trades_that_came_as_one_are_not_fetched_one_by_one(kit, there):
    """A frame of okx that stands for three trades fills the place of all three."""
    speaks = SPEAKS["okx"]

    async def go():
        async with there("okx") as market:
            ctx = kit.Context([kit.Want("trades", speaks.symbol)])
            connector = CcxtConnector(CcxtConfig("okx"))
            async with kit.running(connector, ctx):
                await ctx.until(lambda: ctx.lives)
                await market.trade()
                market.loses = True
                for _ in range(5):
                    await market.trade()
                frame = speaks.frame(market.deals[-1])
                frame["data"][0]["count"] = "3"
                await market._sockets[0][0].send_str(json.dumps(frame))
                await ctx.until(lambda: len(ctx.events("trades")) == 2)
                first, last = ctx.events("trades")
                hole = Hole(channel="trades", symbol=speaks.symbol, after_ts_ns=first.ts,
                            until_ts_ns=last.ts, after_id=first.id, until_id=last.id)  # fmt: skip
                page = await connector.backfill(ctx, hole)
            return first, page

    first, page = asyncio.run(go())
    assert [e.seq for e in page.events if e.seq > first.seq] == [first.seq + 1, first.seq + 2]


def test_a_venue_says_no(kit, there):
    """A refusal may pass or not, as it does while listening; without a session it may pass."""

    async def go(status, error):
        async with there("kraken") as market:
            symbol = SPEAKS["kraken"].symbol
            ctx = kit.Context([kit.Want("trades", symbol)])
            connector = CcxtConnector(CcxtConfig("kraken"))
            hole = Hole(channel="trades", symbol=symbol, after_ts_ns=1, until_ts_ns=2)
            with pytest.raises(Retryable, match="not connected"):
                await connector.backfill(ctx, hole)
            async with kit.running(connector, ctx):
                await ctx.until(lambda: ctx.lives)
                market.status = status
                with pytest.raises(error):
                    await connector.backfill(ctx, hole)

    for status, error in ((429, Retryable), (503, Retryable), (451, Fatal), (403, Fatal)):
        asyncio.run(go(status, error))


def test_a_venue_without_a_test_is_not_asked():
    """Its ids may be others there, and then trades would be counted twice."""
    session = SimpleNamespace(venue=unproven("bitstamp", {}))
    hole = Hole(channel="trades", symbol="BTC/USD", after_ts_ns=1, until_ts_ns=2)
    with pytest.raises(Fatal, match="no test covers"):
        asyncio.run(fetch(session, hole))


class RecordedKraken(Kraken):
    """Gives a real answer of the venue, from its first row after the time asked for."""

    id, symbol = "XBTUSDT", "BTC/USDT"

    def __init__(self, rows, last):
        self.rows, self.last = rows, last

    def answer(self, query, deals):
        rows = [row for row in self.rows if row[2] * NS > int(query["since"])]
        rows = rows[: int(query["count"])]
        return {"error": [], "result": {self.id: rows, "last": self.last}}


def test_a_real_answer_of_kraken_is_read_to_the_last_digit(kit, there, recorded, monkeypatch):
    """Its ids rise by one; price, size and side are the file's, times as fine as its floats."""
    file = json.loads((recorded / "venue-rest" / "kraken-http_trades.json").read_text())
    rows, last = file["result"]["XBTUSDT"], file["result"]["last"]
    monkeypatch.setitem(SPEAKS, "kraken", RecordedKraken(rows, last))

    async def go():
        async with there("kraken"):
            ctx = kit.Context([kit.Want("trades", "BTC/USDT")])
            connector = CcxtConnector(CcxtConfig("kraken"))
            async with kit.running(connector, ctx):
                await ctx.until(lambda: ctx.lives)
                first, end = round(rows[0][2] * NS), round(rows[-1][2] * NS)
                hole = Hole(channel="trades", symbol="BTC/USDT", after_ts_ns=first,
                            until_ts_ns=end, after_id=str(rows[0][6]),
                            until_id=str(rows[-1][6]))  # fmt: skip
                return await connector.backfill(ctx, hole)

    page = asyncio.run(go())
    numbers = [row[6] for row in rows]
    assert numbers == list(range(numbers[0], numbers[0] + len(rows)))
    assert [e.seq for e in page.events] == numbers[-len(page.events) :]
    assert len(page.events) >= len(rows) - 1
    sides = {"b": "buy", "s": "sell"}
    for event, row in zip(page.events, rows[-len(page.events) :], strict=True):
        price, size, seconds, side, _, _, number = row
        assert (event.id, event.price, event.size) == (str(number), float(price), float(size))
        assert event.side == sides[side]
        assert abs(event.ts - round(seconds * 1e6) * 1000) <= 1000
