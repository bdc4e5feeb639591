"""Fetch trades that were missed over a venue's REST interface, by the ids that its socket gives.

Which of a venue's requests speaks of the same trades, under the same ids, and how it is paged
is the venue's own, from its public documentation:

binance   https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
okx       https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-trades-history
bybit     https://bybit-exchange.github.io/docs/v5/market/recent-trade
coinbase  https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public
coinbaseexchange https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products
kraken    https://docs.kraken.com/api/docs/rest-api/get-recent-trades

A venue that no test covers isn't asked: its ids may differ between socket and REST, and then
trades would be counted twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import attrs

from bond_ccxt.exchange import Session
from bond_ccxt.parse import read_trade
from bond_core.plugin import Fatal, Hole, Page, Trade

_MS = 1_000_000
_Fetch = Callable[[Session, Hole], Awaitable[Page]]


async def fetch(session: Session, hole: Hole, parts: Collection[int] = ()) -> Page:
    """Return what one request gives of the trades that are missing.

    Args:
        session: Whose venue is asked.
        hole: What is missing.
        parts: Ids of trades that were heard as parts of others.

    Raises:
        Fatal: The venue offers no way, or none that a test covers.
        ccxt.BaseError: What the venue answers.
    """
    how = _BY_VENUE.get(session.venue.id)
    if how is None:
        raise Fatal(f"{session.venue.id}: no test covers how its trades are fetched")
    page = await how(session, hole)
    return attrs.evolve(page, events=[e for e in page.events if e.seq not in parts])


def _read(session: Session, trades: list[Mapping[str, Any]]) -> list[Trade]:
    """Return ccxt's trades as events, oldest first."""
    exchange, venue = session.exchange, session.venue
    events = []
    for trade in trades:
        info = trade["info"]
        ts = None
        if not isinstance(info, Mapping):  # kraken's rows are lists: price, size, seconds, …
            ts = round(float(info[2]) * 1e6) * 1000
            trade = {**trade, "info": {}}  # noqa: PLW2901 -- the same one, as others write it
        event = read_trade(trade, venue, exchange.markets)
        events.append(attrs.evolve(event, ts=ts) if ts is not None else event)
    return sorted(events, key=lambda event: (event.ts, event.seq))


def _back(hole: Hole, events: list[Trade], *, end: str | None = None) -> Page:
    """Return the page of a request that gives the newest trades first.

    Args:
        hole: What was asked for.
        events: Oldest first.
        end: Why the next request would give no older ones; None if it does.
    """
    if not events:
        return Page((), None if end is None else hole, end)
    oldest = events[0]
    after = int(hole.after_id) if hole.after_id is not None and hole.after_id.isdecimal() else 0
    has_all = oldest.seq <= after + 1 if after and oldest.seq else oldest.ts < hole.after_ts_ns
    return Page(events) if has_all else Page(events, hole.before(oldest), end)


async def _binance(session: Session, hole: Hole) -> Page:
    """Spot goes forward from a trade id; futures have the newest 1,000 only."""
    exchange = session.exchange
    market = exchange.markets[hole.symbol]
    if market["spot"] and hole.after_id is not None:
        # Binance asks for no key here; ccxt would, if asked by its name for the request.
        await exchange.throttle(5)
        first = int(hole.after_id) + 1
        base = exchange.urls["api"]["public"]
        query = exchange.urlencode({"symbol": market["id"], "fromId": first, "limit": 1000})
        rows = await exchange.fetch(f"{base}/historicalTrades?{query}")
        events = _read(session, exchange.parse_trades(rows, market))
        has_all = len(rows) < 1000 or (
            hole.until_id is not None and events[-1].seq + 1 >= int(hole.until_id)
        )
        return Page(events, None if has_all else hole.after(events[-1]))
    prefix = "public" if market["spot"] else "fapiPublic" if market["linear"] else "dapiPublic"
    how = {"fetchTradesMethod": f"{prefix}GetTrades"}
    trades = await exchange.fetch_trades(hole.symbol, None, 1000, how)
    return _back(hole, _read(session, trades), end="binance gives the newest 1000 trades only")


async def _okx(session: Session, hole: Hole) -> Page:
    """Go back from a trade id, a hundred at a time, as far as three months."""
    how = {"method": "publicGetMarketHistoryTrades"}
    if hole.until_id is not None:
        how["after"] = hole.until_id
    trades = await session.exchange.fetch_trades(hole.symbol, None, 100, how)
    return _back(hole, _read(session, trades))


async def _bybit(session: Session, hole: Hole) -> Page:
    """There are the newest only: 60 of spot, 1,000 of contracts."""
    limit = 60 if session.exchange.markets[hole.symbol]["spot"] else 1000
    trades = await session.exchange.fetch_trades(hole.symbol, None, limit)
    events = _read(session, trades)
    return _back(hole, events, end=f"bybit gives the newest {limit} trades only")


async def _coinbase(session: Session, hole: Hole) -> Page:
    """Ask for the newest of a time in whole seconds."""
    since_ms = hole.after_ts_ns // _MS // 1000 * 1000
    until_ms = (hole.until_ts_ns // _MS // 1000 + 1) * 1000
    how = {"until": until_ms}
    trades = await session.exchange.fetch_trades(hole.symbol, since_ms, 1000, how)
    page = _back(hole, _read(session, trades))
    if len(trades) < 1000 or page.rest is None:
        return Page(page.events)
    if page.rest.until_ts_ns // _MS // 1000 * 1000 + 1000 >= until_ms:
        return attrs.evolve(page, end="coinbase gives the newest 1000 trades of a second only")
    return page


async def _coinbaseexchange(session: Session, hole: Hole) -> Page:
    """Go back from a trade id, a thousand at a time."""
    how = {"after": hole.until_id} if hole.until_id is not None else {}
    trades = await session.exchange.fetch_trades(hole.symbol, None, 1000, how)
    return _back(hole, _read(session, trades))


async def _kraken(session: Session, hole: Hole) -> Page:
    """Go forward from a time in ns, a thousand at a time."""
    how = {"since": str(hole.after_ts_ns - 1000)}  # exclusive, and their times are floats
    trades = await session.exchange.fetch_trades(hole.symbol, None, 1000, how)
    events = _read(session, trades)
    has_all = len(trades) < 1000 or events[-1].ts > hole.until_ts_ns
    return Page(events, None if has_all else hole.after(events[-1]))


_BY_VENUE: Mapping[str, _Fetch] = {
    "binance": _binance,
    "okx": _okx,
    "bybit": _bybit,
    "coinbase": _coinbase,
    "coinbaseexchange": _coinbaseexchange,
    "kraken": _kraken,
}
