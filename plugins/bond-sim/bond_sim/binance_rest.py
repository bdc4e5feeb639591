"""Answer Binance's REST calls for spot market data.

Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from aiohttp import web

from bond_core.clock import NS
from bond_sim.instruments import Instrument
from bond_sim.levels import levels
from bond_sim.market import Quote
from bond_sim.venue import MS, Desk


def eight(number: str) -> str:
    """Write a number as Binance does, with eight decimals."""
    whole, _, part = number.partition(".")
    return f"{whole}.{part:0<8}"


def sides(q: Quote) -> dict[str, object]:
    """Name a quote's numbers as Binance's streams do."""
    return {
        "b": eight(q.bid),
        "B": eight(q.bid_size),
        "a": eight(q.ask),
        "A": eight(q.ask_size),
    }


def routes(desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
    """Return the handlers by route pattern. There are no futures: their lists are empty."""
    return {
        "/api/v3/ping": lambda _: web.json_response({}),
        "/api/v3/time": lambda _: web.json_response({"serverTime": desk.clock.now_ns() // MS}),
        "/api/v3/exchangeInfo": lambda _: web.json_response(_exchange_info(desk, spot=True)),
        "/fapi/v1/exchangeInfo": lambda _: web.json_response(_exchange_info(desk, spot=False)),
        "/dapi/v1/exchangeInfo": lambda _: web.json_response(_exchange_info(desk, spot=False)),
        "/api/v3/ticker/24hr": lambda r: _answer(r, desk, _day),
        "/api/v3/ticker/bookTicker": lambda r: _answer(r, desk, _book_ticker),
        "/api/v3/ticker/price": lambda r: _answer(r, desk, _last),
        "/api/v3/depth": lambda r: _answer(r, desk, _depth),
        "/api/v3/trades": lambda r: _trades(r, desk, aggregate=False),
        "/api/v3/historicalTrades": lambda r: _trades(r, desk, aggregate=False),
        "/api/v3/aggTrades": lambda r: _trades(r, desk, aggregate=True),
    }


def _exchange_info(desk: Desk, *, spot: bool) -> dict[str, object]:
    return {
        "timezone": "UTC",
        "serverTime": desk.clock.now_ns() // MS,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [_symbol(i) for i in desk.listed("binance")] if spot else [],
    }


def _symbol(i: Instrument) -> dict[str, object]:
    step = {"minQty": i.lot, "maxQty": "9000000", "stepSize": i.lot}
    return {
        "symbol": i.id,
        "status": "TRADING",
        "baseAsset": i.base,
        "baseAssetPrecision": 8,
        "quoteAsset": i.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": i.tick,
                "maxPrice": "1000000",
                "tickSize": i.tick,
            },
            {"filterType": "LOT_SIZE", **step},
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
    }


_Row = Callable[[Desk, Instrument, web.Request], dict[str, object] | None]


def _answer(request: web.Request, desk: Desk, row: _Row) -> web.Response:
    """Answer for `symbol`, for the JSON list `symbols`, or for every market."""
    query = request.query
    if "symbol" in query:
        ids = [query["symbol"]]
    elif "symbols" in query:
        ids = json.loads(query["symbols"])
    else:
        ids = [i.id for i in desk.listed("binance")]
    rows = []
    for id in ids:
        instrument = desk.instrument("binance", id)
        if instrument is None:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        rows.append(row(desk, instrument, request))
    known = [r for r in rows if r is not None]
    if "symbol" not in query:
        return web.json_response(known)
    if not known:
        return web.json_response({"code": -1000, "msg": "nothing known yet"}, status=503)
    return web.json_response(known[0])


def _day(desk: Desk, i: Instrument, _: web.Request) -> dict[str, object] | None:
    now_ns = desk.clock.now_ns()
    s, q = desk.market.summary(i, now_ns), desk.market.quote(i, now_ns)
    if s is None:
        return None
    edges = {} if q is None else _quoted(q)
    change = float(s.last) - float(s.open)
    return {
        "symbol": i.id,
        "priceChange": f"{change:.8f}",
        "priceChangePercent": f"{100 * change / float(s.open):.3f}",
        "weightedAvgPrice": eight(s.last),
        "prevClosePrice": eight(s.open),
        "lastPrice": eight(s.last),
        "lastQty": eight(s.last_size),
        **edges,
        "openPrice": eight(s.open),
        "highPrice": eight(s.high),
        "lowPrice": eight(s.low),
        "volume": eight(s.base_volume),
        "quoteVolume": eight(s.quote_volume),
        "openTime": (s.at_ns - 86_400 * NS) // MS,
        "closeTime": s.at_ns // MS,
        "count": 1,
    }


def _quoted(q: Quote) -> dict[str, object]:
    names = {"b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty"}
    return {names[k]: v for k, v in sides(q).items()}


def _book_ticker(desk: Desk, i: Instrument, _: web.Request) -> dict[str, object] | None:
    q = desk.market.quote(i, desk.clock.now_ns())
    return None if q is None else {"symbol": i.id, **_quoted(q)}


def _last(desk: Desk, i: Instrument, _: web.Request) -> dict[str, object] | None:
    s = desk.market.summary(i, desk.clock.now_ns())
    return None if s is None else {"symbol": i.id, "price": eight(s.last)}


def _depth(desk: Desk, i: Instrument, request: web.Request) -> dict[str, object] | None:
    limit, now_ns = int(request.query.get("limit", "100")), desk.clock.now_ns()
    state = desk.books.state(i, now_ns)
    if state is not None:
        return {
            "lastUpdateId": state.number,
            "bids": [[eight(price), eight(size)] for price, size in state.bids[:limit]],
            "asks": [[eight(price), eight(size)] for price, size in state.asks[:limit]],
        }
    q = desk.market.quote(i, now_ns)
    if q is None:
        return None
    bids, asks = levels(i, q, limit)
    return {"lastUpdateId": q.number, "bids": bids, "asks": asks}


def _trades(request: web.Request, desk: Desk, *, aggregate: bool) -> web.Response:
    instrument = desk.instrument("binance", request.query.get("symbol", ""))
    if instrument is None:
        return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
    limit = min(int(request.query.get("limit", "500")), 1000)
    rows: list[dict[str, object]] = []
    from_id = int(request.query.get("fromId", "-1"))
    below = from_id + limit if from_id >= 0 else None
    for t in desk.market.recent(instrument, desk.clock.now_ns(), limit, below=below):
        if t.id < from_id:
            continue
        price, size, maker = eight(t.price), eight(t.size), t.side == "sell"
        ms = t.at_ns // MS
        if aggregate:
            ids = {"a": t.id, "f": t.id, "l": t.id}
            rows.append(ids | {"p": price, "q": size, "T": ms, "m": maker, "M": True})
        else:
            row = {"id": t.id, "price": price, "qty": size, "time": ms, "isBuyerMaker": maker}
            rows.append(row | {"isBestMatch": True})
    return web.json_response(rows)
