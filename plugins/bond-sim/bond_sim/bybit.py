"""Speak Bybit's v5 protocol, public part: spot, and linear swaps as a venue of their own.

Source: https://bybit-exchange.github.io/docs/v5/ (websocket/public, market).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from attrs import frozen

from bond_sim.books import BookChange, BookState, Level
from bond_sim.clients import Client
from bond_sim.contracts import Contracts
from bond_sim.instruments import Instrument
from bond_sim.market import SLOT_NS, Quote, Summary, Trade
from bond_sim.subscriptions import Subscription
from bond_sim.unrecorded import Unrecorded
from bond_sim.venue import MS, Desk, subscribe

_CHANNELS = {
    "publicTrade": "trades", "orderbook.1": "quotes", "orderbook.50": "book",
    "orderbook.200": "book", "kline.1": "candles", "allLiquidation": "liquidations",
    "tickers": "funding",
}  # fmt: skip
_CATEGORIES = {"spot": "bybit", "linear": "bybitlinear"}
_OTHER = {"buy": "Sell", "sell": "Buy"}


def _dumps(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@frozen
class Bybit(Unrecorded):
    """Bybit's spot market, or its linear swaps."""

    name: str = "bybit"
    socket_paths: Sequence[str] = ("/v5/public/{category}",)

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers: one address for all categories."""
        return {
            "/v5/market/time": lambda _: _ok(
                {"timeSecond": str(desk.clock.now_ns() // 10**9)}, desk
            ),
            "/v5/market/instruments-info": lambda r: _instruments(r, desk),
            "/v5/market/open-interest": lambda r: _interest(r, desk),
        }

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return a frame as it is: it names its topic itself."""
        return lambda _wire, text: text

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do subscribe, unsubscribe and ping."""
        try:
            asked = json.loads(text)
            op, topics = asked["op"], [str(topic) for topic in asked.get("args", ())]
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_dumps({"success": False, "ret_msg": "invalid request", "op": ""})]
        said = {"conn_id": "bond5a1b", "req_id": str(asked.get("req_id", "")), "op": op}
        if op == "ping":
            return [_dumps({"success": True, "ret_msg": "pong", **said})]
        unknown = [topic for topic in topics if not desk.carried(self.name, topic)]
        if op not in ("subscribe", "unsubscribe") or unknown:
            why = f"error:handler not found,topic:{','.join(unknown)}"
            return [_dumps({"success": False, "ret_msg": why, **said})]
        first: list[str] = []
        for topic in topics:
            if op == "subscribe":
                first += subscribe(self, client, topic, desk)
            else:
                desk.clients.unsubscribe(client, topic)
        return [_dumps({"success": True, "ret_msg": op, **said}), *first]

    def about(self, wire: str) -> Subscription:
        """Return what `orderbook.200.BTCUSDT` carries: the book of BTCUSDT."""
        kind, _, symbol = wire.rpartition(".")
        return Subscription(self.name, _CHANNELS.get(kind, kind), symbol)

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        return wire.rpartition(".")[0] in _CHANNELS

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return a frame of publicTrade."""
        t, ms = trade, trade.at_ns // MS
        row = {
            "T": ms,
            "s": instrument.id,
            "S": t.side.capitalize(),
            "v": t.size,
            "p": t.price,
            "L": "PlusTick",
            "i": str(t.id),
            "BT": False,
        }
        return _dumps({"topic": wire, "type": "snapshot", "ts": ms, "data": [row]})

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return a snapshot of orderbook.1."""
        q, ms = quote, quote.at_ns // MS
        data = {
            "s": instrument.id,
            "b": [[q.bid, q.bid_size]],
            "a": [[q.ask, q.ask_size]],
            "u": q.number,
            "seq": q.number,
        }
        return _dumps({"topic": wire, "ts": ms, "type": "snapshot", "data": data, "cts": ms})

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return a snapshot of the book."""
        return [_book(wire, instrument, book, book.bids, book.asks, "snapshot")]

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return a delta of the book."""
        return _book(wire, instrument, change.now, change.bids, change.asks, "delta")

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return a frame of kline.1, allLiquidation or tickers."""
        i, ms = instrument, end_ns // MS
        match self.about(wire).channel:
            case "candles":
                m = contracts.minute(i, end_ns)
                if m is None:
                    return []
                row = {
                    "start": m.start_ns // MS,
                    "end": m.start_ns // MS + 59_999,
                    "interval": "1",
                    "open": m.open,
                    "close": m.close,
                    "high": m.high,
                    "low": m.low,
                    "volume": m.volume,
                    "turnover": "0",
                    "confirm": m.is_closed,
                    "timestamp": ms,
                }
                return [_dumps({"topic": wire, "data": [row], "ts": ms, "type": "snapshot"})]
            case "liquidations":
                found = contracts.liquidations(i, (end_ns - 1) // SLOT_NS)
                # It names the side of the position, not that of the order.
                rows = [
                    {"T": t.at_ns // MS, "s": i.id, "S": _OTHER[t.side], "v": t.size, "p": t.price}
                    for t in found
                ]
                said = {"topic": wire, "type": "snapshot", "ts": ms, "data": rows}
                return [_dumps(said)] if rows else []
        s = contracts.stated(i, end_ns)
        data = {
            "symbol": i.id,
            "markPrice": s.mark_price,
            "indexPrice": s.index_price,
            "fundingRate": s.funding_rate,
            "nextFundingTime": str(s.next_funding_ns // MS),
            "openInterest": s.open_interest,
        }
        said = {"topic": wire, "type": "snapshot", "data": data, "cs": s.at_ns, "ts": ms}
        return [_dumps(said)]


def _book(
    wire: str, i: Instrument, now: BookState, bids: Sequence[Level], asks: Sequence[Level],
    kind: str,
) -> str:  # fmt: skip
    ms = now.at_ns // MS
    # Bybit's numbers grow by one, message by message.
    number = now.number // 10
    data = {"s": i.id, "b": bids, "a": asks, "u": number, "seq": number * 7}
    return _dumps({"topic": wire, "type": kind, "ts": ms, "data": data, "cts": ms - 1})


def _ok(result: object, desk: Desk) -> web.Response:
    now_ms = desk.clock.now_ns() // MS
    body = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ms}
    return web.json_response(body)


def _instruments(request: web.Request, desk: Desk) -> web.Response:
    category = request.query.get("category", "spot")
    is_live = request.query.get("status", "Trading") == "Trading"
    listed = desk.listed(_CATEGORIES.get(category, "")) if is_live else []
    rows = [_instrument(i) for i in listed]
    return _ok({"category": category, "list": rows, "nextPageCursor": ""}, desk)


def _instrument(i: Instrument) -> dict[str, object]:
    lot = {"basePrecision": i.lot, "quotePrecision": "0.0000001", "qtyStep": i.lot}
    row: dict[str, object] = {
        "symbol": i.id,
        "baseCoin": i.base,
        "quoteCoin": i.quote,
        "status": "Trading",
        "lotSizeFilter": lot | {"minOrderQty": i.lot, "maxOrderQty": "9000000"},
        "priceFilter": {"tickSize": i.tick},
    }
    if i.kind == "swap":
        more = {"contractType": "LinearPerpetual", "settleCoin": i.settle, "deliveryTime": "0"}
        row |= {**more, "launchTime": "1584230400000", "leverageFilter": {"maxLeverage": "100"}}
    return row


def _interest(request: web.Request, desk: Desk) -> web.Response:
    category, id = request.query.get("category", ""), request.query.get("symbol", "")
    i = desk.instrument(_CATEGORIES.get(category, ""), id)
    if i is None or desk.contracts is None:
        return web.json_response({"retCode": 10001, "retMsg": "params error", "result": {}})
    s = desk.contracts.stated(i, desk.clock.now_ns())
    row = {"openInterest": s.open_interest, "timestamp": str(s.at_ns // MS)}
    return _ok({"symbol": id, "category": category, "list": [row], "nextPageCursor": ""}, desk)
