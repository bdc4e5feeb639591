"""Speak Coinbase Exchange's protocol (not Advanced Trade): ccxt id `coinbaseexchange`.

Source: https://docs.cdp.coinbase.com/exchange (WebSocket channels, products endpoints).
A trade's `side` is the maker's there; ours is the taker's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web
from attrs import frozen

from bond_sim.books import BookChange, BookState
from bond_sim.clients import Client
from bond_sim.coinbase_rest import OTHER_SIDE, from_iso, iso, routes
from bond_sim.contracts import Contracts
from bond_sim.instruments import Instrument, coinbase_instrument
from bond_sim.market import Quote, Summary, Trade
from bond_sim.subscriptions import Subscription
from bond_sim.venue import Desk, Seen, subscribe

_CHANNELS = {"matches": "trades", "ticker": "quotes", "level2": "book", "level2_batch": "book"}
_TYPES = {
    "match": "matches",
    "last_match": "matches",
    "ticker": "ticker",
    "snapshot": "level2",
    "l2update": "level2",
}


def _dumps(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@frozen
class Coinbase:
    """Coinbase Exchange."""

    name: str = "coinbaseexchange"
    socket_paths: Sequence[str] = ("/ws",)

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers."""
        return routes(desk)

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return a frame as it is: it names its product itself."""
        return lambda _wire, text: text

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do subscribe and unsubscribe; the answer lists what the client has."""
        try:
            asked = json.loads(text)
            kind, wires = asked["type"], _wires(asked)
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_error("could not be read as JSON with a type and channels")]
        if kind not in ("subscribe", "unsubscribe"):
            return [_error(f"type {kind} is not valid")]
        for wire in wires:
            if not desk.carried(self.name, wire):
                channel, _, product = wire.partition(":")
                return [_error(f"{channel} of {product} is not a valid product or channel")]
        first: list[str] = []
        for wire in wires:
            if kind == "subscribe":
                first += subscribe(self, client, wire, desk)
            else:
                desk.clients.unsubscribe(client, wire)
        had: dict[str, list[str]] = {}
        for wire in sorted(client.wires):
            channel, _, product = wire.partition(":")
            had.setdefault(channel, []).append(product)
        channels = [{"name": c, "product_ids": p} for c, p in had.items()]
        return [_dumps({"type": "subscriptions", "channels": channels}), *first]

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return a `snapshot` frame, which has no time."""
        sides = {"bids": book.bids, "asks": book.asks}
        return [_dumps({"type": "snapshot", "product_id": instrument.id, **sides})]

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return an `l2update` frame: nothing in it is numbered."""
        sides = {"buy": change.bids, "sell": change.asks}
        changes = [[side, *level] for side, levels in sides.items() for level in levels]
        return _dumps(
            {
                "type": "l2update",
                "product_id": instrument.id,
                "changes": changes,
                "time": iso(change.now.at_ns),
            }
        )

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return nothing: there are no candles, and no contracts."""
        return []

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        return wire.partition(":")[0] in _CHANNELS

    def about(self, wire: str) -> Subscription:
        """Return what `matches:BTC-USD` carries: trades of BTC-USD."""
        channel, _, product = wire.partition(":")
        return Subscription(self.name, _CHANNELS.get(channel, channel), product)

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return a `match` frame."""
        maker = OTHER_SIDE[trade.side]
        return (
            f'{{"type":"match","trade_id":{trade.id},"maker_order_id":"{_order(trade.id, 1)}",'
            f'"taker_order_id":"{_order(trade.id, 2)}","side":"{maker}","size":"{trade.size}",'
            f'"price":"{trade.price}","product_id":"{instrument.id}","sequence":{trade.id},'
            f'"time":"{iso(trade.at_ns)}"}}'
        )

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return a `ticker` frame."""
        q, s = quote, summary
        return _dumps(
            {
                "type": "ticker",
                "sequence": q.number,
                "product_id": instrument.id,
                "price": s.last,
                "open_24h": s.open,
                "volume_24h": s.base_volume,
                "low_24h": s.low,
                "high_24h": s.high,
                "volume_30d": s.base_volume,
                "best_bid": q.bid,
                "best_bid_size": q.bid_size,
                "best_ask": q.ask,
                "best_ask_size": q.ask_size,
                "side": "buy",
                "time": iso(q.at_ns),
                "trade_id": q.number,
                "last_size": s.last_size,
            }
        )

    def recorded(self, message: Any) -> list[tuple[str, Any]]:
        """Return a data frame under the channel it was subscribed by."""
        channel = _TYPES.get(message.get("type"))
        if channel is None:
            return []
        # The public channel of today has the same frames as the one that was recorded.
        channels = (channel, "level2_batch") if channel == "level2" else (channel,)
        return [(f"{each}:{message['product_id']}", message) for each in channels]

    def seen(self, message: Any) -> Seen:
        """Return the trade of a match, or the quote of a ticker (sizes unknown in old ones)."""
        m, id = message, message["product_id"]
        if m["type"] in ("match", "last_match"):
            side = OTHER_SIDE[m["side"]]
            trade = Trade(m["trade_id"], from_iso(m["time"]), m["price"], m["size"], side)
            return Seen(id, [trade])
        if m["type"] == "ticker":
            sizes = m.get("best_bid_size", ""), m.get("best_ask_size", "")
            bid, ask = m["best_bid"], m["best_ask"]
            quote = Quote(m["sequence"], from_iso(m["time"]), bid, sizes[0], ask, sizes[1])
            return Seen(id, quote=quote)
        return Seen(id)

    def retimed(self, message: Any, shift_ns: int) -> Any:
        """Move `time` (ISO 8601, microseconds)."""
        if "time" not in message:
            return message
        return {**message, "time": iso(from_iso(message["time"]) + shift_ns)}

    def read_instrument(self, id: str, tick: str, lot: str) -> Instrument:
        """Split `SKL-GBP`."""
        return coinbase_instrument(id, tick, lot)


def _wires(asked: Mapping[str, Any]) -> list[str]:
    """Read channels given by name, for all `product_ids`, or each with its own."""
    wires = []
    for channel in asked["channels"]:
        if isinstance(channel, str):
            name, products = channel, asked.get("product_ids", ())
        else:
            name = channel["name"]
            products = channel.get("product_ids", asked.get("product_ids", ()))
        wires += [f"{name}:{product}" for product in products]
    return wires


def _order(number: int, part: int) -> str:
    return f"{part:08x}-0000-4000-8000-{number:012x}"


def _error(reason: str) -> str:
    return _dumps({"type": "error", "message": "Failed to subscribe", "reason": reason})
