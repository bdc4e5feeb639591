"""Speak Kraken's protocol: WebSocket v2, and the REST calls that list its markets.

Source: https://docs.kraken.com/api/docs/websocket-v2 (trade, ticker, book, ohlc) and
https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 for the checksum of books.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from attrs import frozen

from bond_sim.books import BookChange, BookState, Level
from bond_sim.clients import Client
from bond_sim.coinbase_rest import iso
from bond_sim.contracts import Contracts
from bond_sim.instruments import Instrument
from bond_sim.market import Quote, Summary, Trade
from bond_sim.subscriptions import Subscription
from bond_sim.unrecorded import Unrecorded
from bond_sim.venue import Desk, subscribe

_CHANNELS = {"trade": "trades", "ticker": "quotes", "book": "book", "ohlc": "candles"}


def _dumps(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@frozen
class Kraken(Unrecorded):
    """Kraken's spot market."""

    name: str = "kraken"
    socket_paths: Sequence[str] = ("/v2",)

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers."""
        listed = desk.listed(self.name)
        return {
            "/0/public/Assets": lambda _: _ok({}),
            "/0/public/AssetPairs": lambda _: _ok({_altname(i): _pair(i) for i in listed}),
        }

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return a frame as it is: it names its channel itself."""
        return lambda _wire, text: text

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do subscribe, unsubscribe and ping; each symbol is answered by itself."""
        try:
            asked = json.loads(text)
            method, number = asked["method"], asked.get("req_id")
        except (ValueError, KeyError, TypeError):
            return [_dumps({"error": "Malformed request", "success": False})]
        if method == "ping":
            return [_dumps({"method": "pong", "req_id": number})]
        params = asked.get("params", {})
        channel, answers = str(params.get("channel")), []
        for symbol in params.get("symbol", ()):
            wire = f"{channel}:{symbol}"
            said: dict[str, object] = {"method": method, "req_id": number}
            if not desk.carried(self.name, wire):
                why = f"Currency pair not supported {symbol}"
                answers.append(_dumps(said | {"success": False, "error": why, "symbol": symbol}))
                continue
            result: dict[str, object] = {"channel": channel, "symbol": symbol}
            if channel == "book":
                result["depth"] = params.get("depth", 10)
            answers.append(_dumps(said | {"success": True, "result": result}))
            if method == "subscribe":
                answers += subscribe(self, client, wire, desk)
            else:
                desk.clients.unsubscribe(client, wire)
        return answers

    def about(self, wire: str) -> Subscription:
        """Return what `book:BTC/USD` carries: the book of BTC/USD."""
        channel, _, symbol = wire.partition(":")
        return Subscription(self.name, _CHANNELS.get(channel, channel), symbol)

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        return wire.partition(":")[0] in _CHANNELS

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return a frame of the trade channel; numbers are JSON's."""
        t = trade
        row = (
            f'{{"symbol":"{instrument.id}","side":"{t.side}","price":{t.price},"qty":{t.size},'
            f'"ord_type":"market","trade_id":{t.id},"timestamp":"{iso(t.at_ns)}"}}'
        )
        return f'{{"channel":"trade","type":"update","data":[{row}]}}'

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return a frame of the ticker channel."""
        q, s = quote, summary
        row = (
            f'{{"symbol":"{instrument.id}","bid":{q.bid},"bid_qty":{q.bid_size},"ask":{q.ask},'
            f'"ask_qty":{q.ask_size},"last":{s.last},"volume":{s.base_volume},"vwap":{s.last},'
            f'"low":{s.low},"high":{s.high},"change":0.0,"change_pct":0.0,'
            f'"timestamp":"{iso(q.at_ns)}"}}'
        )
        return f'{{"channel":"ticker","type":"update","data":[{row}]}}'

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return a snapshot of the book."""
        return [_book(instrument, book, book.bids, book.asks, "snapshot")]

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return an update of the book."""
        return _book(instrument, change.now, change.bids, change.asks, "update")

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return a frame of the ohlc channel."""
        m = contracts.minute(instrument, end_ns)
        if m is None:
            return []
        start, end = iso(m.start_ns), iso(end_ns)
        row = (
            f'{{"symbol":"{instrument.id}","open":{m.open},"high":{m.high},"low":{m.low},'
            f'"close":{m.close},"trades":{m.trades},"volume":{m.volume},"vwap":{m.close},'
            f'"interval_begin":"{start}","interval":1,"timestamp":"{end}"}}'
        )
        return [f'{{"channel":"ohlc","type":"update","timestamp":"{end}","data":[{row}]}}']


def _book(
    i: Instrument, now: BookState, bids: Sequence[Level], asks: Sequence[Level], kind: str
) -> str:
    def side(levels: Sequence[Level]) -> str:
        return ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in levels)

    row = (
        f'{{"symbol":"{i.id}","bids":[{side(bids)}],"asks":[{side(asks)}],'
        f'"checksum":{_checksum(now)},"timestamp":"{iso(now.at_ns)}"}}'
    )
    return f'{{"channel":"book","type":"{kind}","data":[{row}]}}'


def _checksum(now: BookState) -> int:
    """CRC32 of the digits of the best ten asks, then bids: price and size of each."""
    text = ""
    for price, size in (*now.asks[:10], *now.bids[:10]):
        text += price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")
    return zlib.crc32(text.encode())


def _ok(result: object) -> web.Response:
    return web.json_response({"error": [], "result": result})


def _altname(i: Instrument) -> str:
    return i.id.replace("/", "").replace("BTC", "XBT")


def _pair(i: Instrument) -> dict[str, object]:
    return {
        "altname": _altname(i),
        "wsname": i.id.replace("BTC", "XBT"),
        "aclass_base": "currency",
        "base": "XXBT" if i.base == "BTC" else i.base,
        "aclass_quote": "currency",
        "quote": {"USD": "ZUSD", "BTC": "XXBT"}.get(i.quote, i.quote),
        "pair_decimals": len(i.tick.partition(".")[2]),
        "lot_decimals": len(i.lot.partition(".")[2]),
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.26]],
        "fees_maker": [[0, 0.16]],
        "ordermin": i.lot,
        "tick_size": i.tick,
        "status": "online",
    }
