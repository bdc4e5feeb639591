"""Make Bond's events of what ccxt has parsed, and read times as fine as the venue gives them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, cast

from bond_ccxt.venues import Venue
from bond_core.plugin import OrderBook, Quote, Trade

LEVELS = 100
"""How many levels of each side of a book an event has."""

_NS = 1_000_000_000
Side = Literal["buy", "sell"]
_OTHER: Mapping[str, Side] = {"buy": "sell", "sell": "buy"}


def to_ns(value: object) -> int | None:
    """Return a venue's time as ns since 1970, UTC; None if it is none.

    Takes a number or digits in s, ms, µs or ns, told apart by their size (which holds from
    1973 to 5138), and ISO 8601 in UTC with any number of decimals. No float on the way.
    """
    if isinstance(value, str):
        if not value.isdecimal():
            return iso_ns(value)
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    for limit, factor in ((10**11, _NS), (10**14, 10**6), (10**17, 10**3)):
        if value < limit:
            return value * factor
    return value


def iso_ns(text: str) -> int | None:
    """Return a time such as `2026-08-12T19:27:47.532655Z` as ns; None if it is none."""
    if len(text) == 27 and text[19] == "." and text[26] == "Z":  # as most venues write it
        micros = text[20:26]
        if micros.isdecimal() and (seconds := _seconds(text[:19])) is not None:
            return seconds * _NS + int(micros) * 1000
    whole, _, decimals = text.removesuffix("Z").partition(".")
    seconds = _seconds(whole)
    if seconds is None or not (decimals or "0").isdecimal():
        return None
    return seconds * _NS + int(decimals[:9].ljust(9, "0"))


@lru_cache(maxsize=256)
def _seconds(whole: str) -> int | None:
    try:
        return int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def read_trade(trade: Mapping[str, Any], venue: Venue, markets: Mapping[str, Any]) -> Trade:
    """Return the event for a ccxt trade (https://docs.ccxt.com, "Public Trades").

    What the venue left out or wrote unreadably becomes NaN or 0, for the runtime to reject.
    """
    info = trade["info"]
    symbol = trade["symbol"]
    if venue.writes_unified and info.get("symbol") in markets:
        symbol = info["symbol"]  # ccxt gives all trades of a frame the symbol of the first
    ts = to_ns(info.get(venue.trade_time)) if venue.trade_time else None
    side: Side | None = (
        _OTHER.get(str(info.get("side")).lower()) if venue.maker_side else trade["side"]
    )
    size, unit = base_units(trade["amount"], markets.get(symbol, {}))
    id: str | None = trade["id"]
    return Trade(
        symbol=symbol,
        ts=ts if ts is not None else to_ns(trade["timestamp"]) or 0,
        price=_number(trade["price"]),
        size=_number(size),
        side=side,
        id=id,
        seq=int(id) if id is not None and id.isdecimal() else 0,
        venue=venue.id,
        size_unit=unit,
    )


def read_quote(
    ticker: Mapping[str, Any], message: Mapping[str, Any], venue: Venue,
    market: Mapping[str, Any], now_ns: int,
) -> Quote:  # fmt: skip
    """Return the event for a ccxt ticker (https://docs.ccxt.com, "Ticker Structure").

    Where the venue gives no time (Binance spot), it happened `now_ns`.
    """
    bid, ask = ticker["bid"], ticker["ask"]
    bid_size, ask_size = ticker["bidVolume"], ticker["askVolume"]
    ts = None
    if venue.quote_time is not None:
        found = ticker["info"].get(venue.quote_time)
        ts = to_ns(found if found is not None else message.get(venue.quote_time))
    return Quote(
        symbol=ticker["symbol"],
        ts=ts or to_ns(ticker["timestamp"]) or now_ns,
        bid=bid,
        ask=ask,
        bid_size=_quote_size(bid_size, market),
        ask_size=_quote_size(ask_size, market),
        last=ticker["last"],
        venue=venue.id,
    )


def read_book(book: Mapping[str, Any], venue: Venue) -> OrderBook:
    """Return the event for a ccxt order book, of a venue whose messages we don't read."""
    bids, asks = (
        tuple((level[0], level[1]) for level in book[side][:LEVELS]) for side in ("bids", "asks")
    )
    return OrderBook(
        symbol=book["symbol"], ts=to_ns(book["timestamp"]) or 0, bids=bids, asks=asks,
        is_snapshot=False, sequence=book["nonce"], venue=venue.id,
    )  # fmt: skip


def base_units(amount: float | None, market: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return an amount in base units, or in contracts and what one of them is.

    A linear contract is so many base units; an inverse one is so many of the quote currency,
    whose worth in base units changes with the price.
    """
    if amount is None or not market.get("contract"):
        return amount, None
    contract_size = market.get("contractSize") or 1
    if market.get("inverse"):
        return amount, f"{contract_size:g} {market['quote']} contracts"
    if contract_size == 1:
        return amount, None
    # Through decimals, so that three contracts of 0.1 are 0.3.
    return float(Decimal(repr(amount)) * Decimal(repr(contract_size))), None


def _quote_size(amount: float | None, market: Mapping[str, Any]) -> float | None:
    size, unit = base_units(amount, market)
    return size if unit is None else None  # a quote has no place to say which unit


def _number(value: object) -> float:
    return float("nan") if value is None else cast("float", value)
