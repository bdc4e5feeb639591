"""Answer Coinbase Exchange's REST calls for market data, and read and write its times.

Source: https://docs.cdp.coinbase.com/exchange/reference (products, currencies, time).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from aiohttp import web

from bond_core.clock import NS
from bond_sim.instruments import Instrument
from bond_sim.levels import levels
from bond_sim.venue import Desk

OTHER_SIDE = {"buy": "sell", "sell": "buy"}
"""The taker's side by the maker's, which is the one Coinbase names."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def iso(at_ns: int) -> str:
    """Write a time as Coinbase does: `2021-04-17T16:43:30.244075Z`."""
    when = _EPOCH + dt.timedelta(microseconds=at_ns // 1000)
    return f"{when:%Y-%m-%dT%H:%M:%S.%f}Z"


def from_iso(text: str) -> int:
    """Read such a time, in ns, exactly to its microseconds."""
    return (dt.datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND * 1000


def routes(desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
    """Return the handlers by route pattern."""
    return {
        "/time": lambda _: web.json_response(
            {"iso": iso(desk.clock.now_ns()), "epoch": desk.clock.now_ns() / NS}
        ),
        "/products": lambda _: web.json_response(
            [_product(i) for i in desk.listed("coinbaseexchange")]
        ),
        "/currencies": lambda _: web.json_response(_currencies(desk)),
        "/products/spark-lines": lambda _: web.json_response(_spark_lines(desk)),
        "/products/{id}/ticker": lambda r: _of_one(r, desk, _ticker),
        "/products/{id}/stats": lambda r: _of_one(r, desk, _stats),
        "/products/{id}/trades": lambda r: _of_one(r, desk, _trades),
        "/products/{id}/book": lambda r: _of_one(r, desk, _book),
    }


def _product(i: Instrument) -> dict[str, object]:
    return {
        "id": i.id,
        "base_currency": i.base,
        "quote_currency": i.quote,
        "quote_increment": i.tick,
        "base_increment": i.lot,
        "display_name": f"{i.base}/{i.quote}",
        "min_market_funds": "1",
        "margin_enabled": False,
        "fx_stablecoin": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "trading_disabled": False,
        "status": "online",
        "status_message": "",
        "auction_mode": False,
    }


def _currencies(desk: Desk) -> list[dict[str, object]]:
    listed = desk.listed("coinbaseexchange")
    return [
        {
            "id": name,
            "name": name,
            "min_size": "0.00000001",
            "status": "online",
            "message": "",
            "max_precision": "0.00000001",
            "convertible_to": [],
            "details": {"type": "fiat" if name in ("USD", "EUR", "GBP") else "crypto"},
            "default_network": "",
            "supported_networks": [],
        }
        for name in sorted({i.base for i in listed} | {i.quote for i in listed})
    ]


def _spark_lines(desk: Desk) -> dict[str, object]:
    now_ns, lines = desk.clock.now_ns(), {}
    for i in desk.listed("coinbaseexchange"):
        s = desk.market.summary(i, now_ns)
        if s is not None:
            row = [float(s.low), float(s.high), float(s.open), float(s.last)]
            lines[i.id] = [[now_ns // NS, *row]]
    return dict(lines)


_Body = Callable[[Desk, Instrument, web.Request], object | None]


def _of_one(request: web.Request, desk: Desk, body: _Body) -> web.Response:
    instrument = desk.instrument("coinbaseexchange", request.match_info["id"])
    answer = None if instrument is None else body(desk, instrument, request)
    if answer is None:
        return web.json_response({"message": "NotFound"}, status=404)
    return web.json_response(answer)


def _ticker(desk: Desk, i: Instrument, _: web.Request) -> object | None:
    now_ns = desk.clock.now_ns()
    s, q = desk.market.summary(i, now_ns), desk.market.quote(i, now_ns)
    if s is None or q is None:
        return None
    return {
        "trade_id": q.number,
        "price": s.last,
        "size": s.last_size,
        "time": iso(s.at_ns),
        "bid": q.bid,
        "ask": q.ask,
        "volume": s.base_volume,
    }


def _stats(desk: Desk, i: Instrument, _: web.Request) -> object | None:
    s = desk.market.summary(i, desk.clock.now_ns())
    if s is None:
        return None
    prices = {"open": s.open, "high": s.high, "low": s.low, "last": s.last}
    return prices | {"volume": s.base_volume}


def _trades(desk: Desk, i: Instrument, request: web.Request) -> object | None:
    limit = min(int(request.query.get("limit", "100")), 1000)
    after = request.query.get("after")  # the cursor goes back in time: older than this trade
    below = None if after is None else int(after)
    return [
        {
            "time": iso(t.at_ns),
            "trade_id": t.id,
            "price": t.price,
            "size": t.size,
            "side": OTHER_SIDE[t.side],
        }
        for t in reversed(desk.market.recent(i, desk.clock.now_ns(), limit, below=below))
    ]


def _book(desk: Desk, i: Instrument, _: web.Request) -> object | None:
    quote = desk.market.quote(i, desk.clock.now_ns())
    if quote is None:
        return None
    bids, asks = levels(i, quote, 50)
    return {
        "sequence": quote.number,
        "bids": [[*level, 1] for level in bids],
        "asks": [[*level, 1] for level in asks],
    }
