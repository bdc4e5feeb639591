"""Speak the protocol of Coinbase's Advanced Trade: ccxt id `coinbase`.

Source: https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket (channels
market_trades, ticker, level2) and its REST products. Messages of one connection are numbered.
A trade's `side` is the maker's there; ours is the taker's.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from attrs import frozen

from bond_sim.books import BookChange, BookState, Level
from bond_sim.clients import Client
from bond_sim.coinbase_rest import OTHER_SIDE, iso
from bond_sim.contracts import Contracts
from bond_sim.instruments import Instrument
from bond_sim.market import Quote, Summary, Trade
from bond_sim.subscriptions import Subscription
from bond_sim.unrecorded import Unrecorded
from bond_sim.venue import Desk, subscribe

_CHANNELS = {"market_trades": "trades", "ticker": "quotes", "level2": "book"}


def _dumps(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@frozen
class CoinbaseAdvanced(Unrecorded):
    """Coinbase's Advanced Trade."""

    name: str = "coinbase"
    socket_paths: Sequence[str] = ("/ws",)

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers."""

        def products(request: web.Request) -> web.Response:
            is_spot = request.query.get("product_type", "SPOT") == "SPOT"
            rows = [_product(i) for i in desk.listed(self.name)] if is_spot else []
            return web.json_response({"products": rows, "num_products": len(rows)})

        return {
            "/api/v3/brokerage/market/products": products,
            "/v2/currencies": lambda _: web.json_response({"data": []}),
            "/v2/currencies/crypto": lambda _: web.json_response({"data": []}),
            "/v2/exchange-rates": lambda _: web.json_response({"data": {"rates": {}}}),
        }

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return what numbers the messages of one connection."""
        numbers = itertools.count()
        return lambda _wire, text: text.replace(
            '"sequence_num":0', f'"sequence_num":{next(numbers)}', 1
        )

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do subscribe and unsubscribe; the answer lists what the client has."""
        try:
            asked = json.loads(text)
            kind, channel = asked["type"], str(asked["channel"])
            wires = [f"{channel}:{product}" for product in asked["product_ids"]]
        except (ValueError, KeyError, TypeError):
            return [_dumps({"type": "error", "message": "failed to parse the request"})]
        if unknown := [wire for wire in wires if not desk.carried(self.name, wire)]:
            return [
                _dumps({"type": "error", "message": f"invalid product or channel {unknown[0]}"})
            ]
        first: list[str] = []
        for wire in wires:
            if kind == "subscribe":
                first += subscribe(self, client, wire, desk)
            else:
                desk.clients.unsubscribe(client, wire)
        had: dict[str, list[str]] = {}
        for wire in sorted(client.wires):
            name, _, product = wire.partition(":")
            had.setdefault(name, []).append(product)
        answer = _message("subscriptions", [{"subscriptions": had}], desk.clock.now_ns())
        return [*first, client.dress("", answer)]

    def about(self, wire: str) -> Subscription:
        """Return what `level2:BTC-USD` carries: the book of BTC-USD."""
        channel, _, product = wire.partition(":")
        return Subscription(self.name, _CHANNELS.get(channel, channel), product)

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        return wire.partition(":")[0] in _CHANNELS

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return a message of market_trades."""
        t = trade
        row = {
            "trade_id": str(t.id),
            "product_id": instrument.id,
            "price": t.price,
            "size": t.size,
            "time": iso(t.at_ns),
            "side": OTHER_SIDE[t.side].upper(),
        }
        return _message("market_trades", [{"type": "update", "trades": [row]}], t.at_ns)

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return a message of ticker."""
        q, s = quote, summary
        row = {
            "type": "ticker",
            "product_id": instrument.id,
            "price": s.last,
            "volume_24_h": s.base_volume,
            "low_24_h": s.low,
            "high_24_h": s.high,
            "low_52_w": s.low,
            "high_52_w": s.high,
            "price_percent_chg_24_h": "0.1",
            "best_bid": q.bid,
            "best_bid_quantity": q.bid_size,
            "best_ask": q.ask,
            "best_ask_quantity": q.ask_size,
        }
        return _message("ticker", [{"type": "update", "tickers": [row]}], q.at_ns)

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return a snapshot of the book."""
        return [_book(instrument, book, book.bids, book.asks, "snapshot")]

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return an update of the book."""
        return _book(instrument, change.now, change.bids, change.asks, "update")

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return nothing: ccxt asks for no candles here."""
        return []


def _message(channel: str, events: Sequence[object], at_ns: int) -> str:
    said = {"channel": channel, "client_id": "", "timestamp": iso(at_ns), "sequence_num": 0}
    return _dumps({**said, "events": events})


def _book(
    i: Instrument, now: BookState, bids: Sequence[Level], asks: Sequence[Level], kind: str
) -> str:
    updates = [
        {"side": side, "event_time": iso(now.at_ns), "price_level": price, "new_quantity": size}
        for side, levels in (("bid", bids), ("offer", asks))
        for price, size in levels
    ]
    event = {"type": kind, "product_id": i.id, "updates": updates}
    return _message("l2_data", [event], now.at_ns)


def _product(i: Instrument) -> dict[str, object]:
    return {
        "product_id": i.id,
        "price": "1",
        "base_increment": i.lot,
        "quote_increment": i.tick,
        "price_increment": i.tick,
        "base_min_size": i.lot,
        "base_max_size": "9000000",
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_currency_id": i.base,
        "quote_currency_id": i.quote,
        "product_type": "SPOT",
        "status": "online",
        "trading_disabled": False,
        "is_disabled": False,
        "alias": "",
    }
