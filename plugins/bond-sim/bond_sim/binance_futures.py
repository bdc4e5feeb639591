"""Speak the protocol of Binance's USDT-margined futures.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures (market streams,
REST).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web
from attrs import field, frozen

from bond_sim.binance import CHANNELS, Binance, depth_update, kline
from bond_sim.books import BookChange, BookState
from bond_sim.clients import Client
from bond_sim.contracts import Contracts
from bond_sim.instruments import Instrument
from bond_sim.market import SLOT_NS, Quote, Summary, Trade
from bond_sim.subscriptions import Subscription
from bond_sim.unrecorded import Unrecorded
from bond_sim.venue import MS, Desk

NAME = "binancefutures"
_MORE = {"forceOrder": "liquidations", "markPrice@1s": "funding", "markPrice": "funding"}
_CHANNELS: Mapping[str, str] = {**CHANNELS, **_MORE}


def _dumps(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@frozen
class BinanceFutures(Unrecorded):
    """Binance's USDT-margined futures; what they share with its spot market is asked of that."""

    name: str = NAME
    socket_paths: Sequence[str] = tuple(
        f"{prefix}/ws{end}" for prefix in ("", "/public", "/market") for end in ("", "/{number}")
    )
    _spot: Binance = field(factory=lambda: Binance(NAME))

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers."""

        def of_one(answer: Callable[[Instrument], object]) -> Callable[..., web.Response]:
            def handle(request: web.Request) -> web.Response:
                i = desk.instrument(NAME, request.query.get("symbol", ""))
                if i is None:
                    return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
                return web.json_response(answer(i))

            return handle

        def depth(i: Instrument) -> object:
            now_ns = desk.clock.now_ns()
            state = desk.books.state(i, now_ns)
            levels = {"bids": [], "asks": []} if state is None else _levels(state)
            number = 0 if state is None else state.number
            return {"lastUpdateId": number, "E": now_ns // MS, "T": now_ns // MS, **levels}

        def interest(i: Instrument) -> object:
            now_ns = desk.clock.now_ns()
            said = desk.contracts.stated(i, now_ns).open_interest if desk.contracts else "0"
            return {"symbol": i.id, "openInterest": said, "time": now_ns // MS}

        return {
            "/fapi/v1/ping": lambda _: web.json_response({}),
            "/fapi/v1/time": lambda _: web.json_response({"serverTime": desk.clock.now_ns() // MS}),
            "/fapi/v1/exchangeInfo": lambda _: web.json_response(
                {"symbols": [_symbol(i) for i in desk.listed(NAME)]}
            ),
            "/fapi/v1/depth": of_one(depth),
            "/fapi/v1/openInterest": of_one(interest),
        }

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return a frame as it is."""
        return lambda _wire, text: text

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do what the spot market's sockets do."""
        return self._spot.receive(text, client, desk)

    def about(self, wire: str) -> Subscription:
        """Return what `btcusdt@markPrice@1s` carries."""
        symbol, _, kind = wire.partition("@")
        return Subscription(NAME, _CHANNELS.get(kind, kind), symbol.upper())

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        return self._spot.synthesised(wire) or wire.partition("@")[2] in _CHANNELS

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return a `trade` or `aggTrade` event, as of the market; futures say so by `X`."""
        return self._spot.trade(wire, instrument, trade)

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return an event with the times that only futures have."""
        said = json.loads(self._spot.quote(wire, instrument, quote, summary))
        ms = quote.at_ns // MS
        return _dumps({"e": "bookTicker", **said, "E": ms, "T": ms})

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return nothing: the first state of a book is had over HTTP."""
        return []

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return a `depthUpdate` event, with the number that it follows."""
        said = depth_update(instrument, change)
        return _dumps({**said, "T": said["E"], "pu": change.before})

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return events `kline`, `forceOrder` or `markPriceUpdate`."""
        i = instrument
        match _CHANNELS[wire.partition("@")[2]]:
            case "candles":
                minute = contracts.minute(i, end_ns)
                return [_dumps(kline(i, minute))] if minute else []
            case "liquidations":
                found = contracts.liquidations(i, (end_ns - 1) // SLOT_NS)
                return [_dumps(_forced(i, t)) for t in found]
        s = contracts.stated(i, end_ns)
        return [
            _dumps(
                {
                    "e": "markPriceUpdate",
                    "E": s.at_ns // MS,
                    "s": i.id,
                    "p": s.mark_price,
                    "i": s.index_price,
                    "P": s.mark_price,
                    "r": s.funding_rate,
                    "T": s.next_funding_ns // MS,
                }
            )
        ]


def _levels(state: BookState) -> dict[str, Any]:
    return {"bids": [list(b) for b in state.bids], "asks": [list(a) for a in state.asks]}


def _forced(i: Instrument, t: Trade) -> dict[str, object]:
    order = {
        "s": i.id,
        "S": t.side.upper(),
        "o": "LIMIT",
        "f": "IOC",
        "q": t.size,
        "p": t.price,
        "ap": t.price,
        "X": "FILLED",
        "l": t.size,
        "z": t.size,
        "T": t.at_ns // MS,
    }
    return {"e": "forceOrder", "E": t.at_ns // MS, "o": order}


def _symbol(i: Instrument) -> dict[str, object]:
    lot = {"minQty": i.lot, "maxQty": "1000", "stepSize": i.lot}
    return {
        "symbol": i.id,
        "pair": i.id,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": i.base,
        "quoteAsset": i.quote,
        "marginAsset": i.settle,
        "pricePrecision": len(i.tick.partition(".")[2]),
        "quantityPrecision": len(i.lot.partition(".")[2]),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": i.tick,
                "maxPrice": "9000000",
                "tickSize": i.tick,
            },
            {"filterType": "LOT_SIZE", **lot},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC"],
    }
