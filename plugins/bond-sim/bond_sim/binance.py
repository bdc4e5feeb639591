"""Speak Binance's spot protocol.

Source: https://developers.binance.com/docs/binance-spot-api-docs (market streams, REST).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web
from attrs import frozen

from bond_sim.binance_rest import eight, routes, sides
from bond_sim.books import BookChange, BookState
from bond_sim.clients import Client
from bond_sim.contracts import Contracts, Minute
from bond_sim.instruments import Instrument, binance_instrument
from bond_sim.market import Quote, Summary, Trade
from bond_sim.subscriptions import Subscription
from bond_sim.venue import MS, Desk, Seen, at_ns, subscribe

CHANNELS = {
    "trade": "trades", "aggTrade": "trades", "bookTicker": "quotes", "depth@100ms": "book",
    "depth": "book", "kline_1m": "candles",
}  # fmt: skip
_SYNTHETIC = (*CHANNELS, "ticker", "miniTicker")


def _dumps(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@frozen
class Binance:
    """Binance spot."""

    name: str = "binance"
    socket_paths: Sequence[str] = ("/stream/ws", "/stream/ws/{number}", "/ws", "/stream")

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers. There are no futures: their lists are empty."""
        return routes(desk)

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return the combined form on `/stream`, the raw one elsewhere."""
        if path.endswith("/stream"):
            return lambda wire, text: f'{{"stream":"{wire}","data":{text}}}'
        return lambda _wire, text: text

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        try:
            asked = json.loads(text)
            number, method = asked.get("id"), asked["method"]
            wires = [str(wire) for wire in asked.get("params", ())]
        except (ValueError, AttributeError, KeyError, TypeError):
            return [_error(None, "Invalid request: could not be read as JSON with a method")]
        if method == "LIST_SUBSCRIPTIONS":
            return [_dumps({"result": sorted(client.wires), "id": number})]
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return [_error(number, f"Invalid request: unknown method {method}")]
        for wire in wires:
            if not desk.carried(self.name, wire):
                return [_error(number, f"Invalid request: no stream {wire} here")]
        for wire in wires:
            if method == "SUBSCRIBE":
                subscribe(self, client, wire, desk)  # books come over HTTP at first
            else:
                desk.clients.unsubscribe(client, wire)
        return [_dumps({"result": None, "id": number})]

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return nothing: the first state of a book is had over HTTP."""
        return []

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return a `depthUpdate` event."""
        return _dumps(depth_update(instrument, change))

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return a `kline` event."""
        return [_dumps(kline(instrument, m)) for m in [contracts.minute(instrument, end_ns)] if m]

    def about(self, wire: str) -> Subscription:
        """Return what `btcusdt@trade` carries: trades of BTCUSDT."""
        symbol, _, kind = wire.partition("@")
        return Subscription(self.name, CHANNELS.get(kind, kind), symbol.upper())

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        return wire.partition("@")[2] in _SYNTHETIC

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return a `trade` or `aggTrade` event."""
        ms, maker = trade.at_ns // MS, "true" if trade.side == "sell" else "false"
        price, size = eight(trade.price), eight(trade.size)
        kind = wire.partition("@")[2]
        ids = (
            f'"t":{trade.id}'
            if kind == "trade"
            else f'"a":{trade.id},"f":{trade.id},"l":{trade.id}'
        )
        return (
            f'{{"e":"{kind}","E":{ms},"s":"{instrument.id}",{ids},"p":"{price}","q":"{size}",'
            f'"T":{ms},"m":{maker},"M":true}}'
        )

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return a `bookTicker`, `24hrTicker` or `24hrMiniTicker` event."""
        q, s = quote, summary
        match wire.partition("@")[2]:
            case "bookTicker":
                return _dumps({"u": q.number, "s": instrument.id, **sides(q)})
            case "ticker":
                event = {"e": "24hrTicker", **sides(q), **_window(s)}
            case _:
                event = {"e": "24hrMiniTicker"}
        event |= {
            "E": q.at_ns // MS,
            "s": instrument.id,
            "o": eight(s.open),
            "h": eight(s.high),
            "l": eight(s.low),
            "c": eight(s.last),
            "v": eight(s.base_volume),
            "q": eight(s.quote_volume),
        }
        return _dumps(event)

    def recorded(self, message: Any) -> list[tuple[str, Any]]:
        """Return a combined frame's stream and payload, and for an `aggTrade` a `trade` too.

        The made `trade` has the aggregate's own id, which rises by one as trade ids do.
        """
        if "stream" not in message:
            return []
        wire, data = message["stream"], message["data"]
        if data.get("e") != "aggTrade":
            return [(wire, data)]
        single = {"e": "trade", "t": data["a"]}
        single |= {k: v for k, v in data.items() if k not in ("e", "a", "f", "l")}
        return [(wire, data), (wire.replace("@aggTrade", "@trade"), single)]

    def seen(self, message: Any) -> Seen:
        """Return the trade of an `aggTrade` or the quote of a `bookTicker`."""
        data, wire = message["data"], message["stream"]
        symbol, kind = self.about(wire).symbol, wire.partition("@")[2]
        if kind == "aggTrade":
            side = "sell" if data["m"] else "buy"
            return Seen(symbol, [Trade(data["a"], at_ns(data["T"]), data["p"], data["q"], side)])
        if kind == "bookTicker":
            edges = (data["b"], data["B"], data["a"], data["A"])
            return Seen(symbol, quote=Quote(data["u"], 0, *edges))
        return Seen(symbol)

    def retimed(self, message: Any, shift_ns: int) -> Any:
        """Move E and T (ms), and a kline's own t and T."""
        data = _moved(message["data"], ("E", "T"), shift_ns // MS)
        if "k" in data:
            data["k"] = _moved(data["k"], ("t", "T"), shift_ns // MS)
        return {**message, "data": data}

    def read_instrument(self, id: str, tick: str, lot: str) -> Instrument:
        """Split `NKNUSDT` at its quote currency."""
        return binance_instrument(id, tick, lot)


def depth_update(i: Instrument, change: BookChange) -> dict[str, object]:
    """Return the event of a change of a book; its numbers follow the change before it."""
    return {
        "e": "depthUpdate",
        "E": change.now.at_ns // MS,
        "s": i.id,
        "U": change.before + 1,
        "u": change.now.number,
        "b": [[eight(price), eight(size)] for price, size in change.bids],
        "a": [[eight(price), eight(size)] for price, size in change.asks],
    }


def kline(i: Instrument, m: Minute) -> dict[str, object]:
    """Return the event of a candle of a minute."""
    candle = {
        "t": m.start_ns // MS,
        "T": m.start_ns // MS + 59_999,
        "s": i.id,
        "i": "1m",
        "f": -1,
        "L": -1,
        "o": eight(m.open),
        "c": eight(m.close),
        "h": eight(m.high),
        "l": eight(m.low),
        "v": eight(m.volume),
        "n": m.trades,
        "x": m.is_closed,
        "q": "0",
        "V": "0",
        "Q": "0",
        "B": "0",
    }
    return {"e": "kline", "E": m.at_ns // MS, "s": i.id, "k": candle}


def _moved(data: Mapping[str, Any], names: Sequence[str], ms: int) -> dict[str, Any]:
    return {k: v + ms if k in names and isinstance(v, int) else v for k, v in data.items()}


def _error(number: object, text: str) -> str:
    return _dumps({"error": {"code": 2, "msg": text}, "id": number})


def _window(s: Summary) -> dict[str, object]:
    change = float(s.last) - float(s.open)
    return {
        "p": f"{change:.8f}",
        "P": f"{100 * change / float(s.open):.3f}",
        "w": eight(s.last),
        "x": eight(s.open),
        "Q": eight(s.last_size),
        "O": s.at_ns // MS - 86_400_000,
        "C": s.at_ns // MS,
    }
