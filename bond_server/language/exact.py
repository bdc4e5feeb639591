"""Which record fields a word names by itself: `only the close`, `price without volume`.

A word asks for the feed that carries it, whole. Where a sentence says `only`, or leaves a
part of a feed out, its words stand for these fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bond_server.language.draft import Draft
from bond_server.language.items import Item, Reading
from bond_server.language.words import AGGREGATES

_BY_PHRASE: Mapping[str, str] = {
    "open": "price_open", "opening price": "price_open", "open price": "price_open",
    "close": "price_close", "closing price": "price_close", "close price": "price_close",
    "last price": "price_close", "last traded price": "price_close",
    "closes": "price_close", "first price": "price_open",
    "trade count": "trades", "number of trades": "trades",
}  # fmt: skip
_COUNTING = frozenset({"number", "count", "counts", "how many"})
_BY_WORD: Mapping[str, str] = {
    "price": "price_avg", "volume": "volume_sum", "vwap": "vwap", "bid": "bid_avg",
    "ask": "ask_avg", "funding_rate": "funding_rate", "mark_price": "mark_price",
}  # fmt: skip
_BY_AGGREGATE: Mapping[str, str] = {"avg": "price_avg", "max": "price_high", "min": "price_low"}
_OHLC = frozenset({"price_open", "price_high", "price_low", "price_close"})
_DRAWN: Mapping[str, frozenset[str]] = {"ohlc": _OHLC, "ohlcv": _OHLC | {"volume_sum"}}
_PHRASES: Mapping[str, str] = {
    "price_avg": "average price", "price_open": "open", "price_high": "high",
    "price_low": "low", "price_close": "close", "vwap": "vwap", "volume_sum": "volume",
    "trades": "number of trades", "bid_avg": "bid", "ask_avg": "ask",
    "funding_rate": "funding rate", "mark_price": "mark price",
}  # fmt: skip

FieldsOf = Callable[[str], Iterable[str]]
"""The fields of the feeds that a word asks for, whole."""


def phrase_of(field: str) -> str | None:
    """Return what names this field and no other; None for one that comes with its feed."""
    return _PHRASES.get(field)


def field_of_phrase(phrase: str) -> str | None:
    """Return the field of a phrase for one price of a window: `closing price`."""
    return _BY_PHRASE.get(phrase)


def narrowed(
    fields: Iterable[str], reading: Reading, draft: Draft, fields_of: FieldsOf
) -> tuple[str, ...]:
    """Return the fields that are left of whole feeds' when the sentence wants parts of them."""
    found = tuple(fields)
    if draft.raw:
        return found
    compared = {
        str(threshold.condition["field"])
        for group in (*draft.filters, *(alert.thresholds for alert in draft.alerts))
        for threshold in group
    }
    if draft.only:
        kept = _named(reading, draft, fields_of) | compared
        found = tuple(field for field in found if field in kept)
    dropped = {_BY_WORD.get(word, word) for word in draft.unwanted} - compared
    return tuple(field for field in found if field not in dropped)


def _named(reading: Reading, draft: Draft, fields_of: FieldsOf) -> set[str]:
    """Return the fields that the sentence's words name, one by one or with their feed."""
    named: set[str] = set()
    for at, item in enumerate(reading.items):
        if item.kind == "agg" and item.role == "field":
            named.add(_BY_AGGREGATE.get(AGGREGATES[item.name], ""))
            continue
        if item.kind == "bars":
            named |= _DRAWN.get(item.written, frozenset())
            continue
        if item.is_key("spread", "cross_spread"):
            continue
        for word in [asked.word for asked in draft.asked if asked.place == at]:
            field = _BY_PHRASE.get(item.written) or _BY_WORD.get(word)
            if word == "trades" and _is_counted(reading, at):
                field = "trades"
            if field is None:
                named |= set(fields_of(word))
            elif not (word == "price" and _is_qualified(reading, at)):
                named.add(field)
    return named


def _is_qualified(reading: Reading, at: int) -> bool:
    """Whether this is the `price` of `highest price`, and no field more."""
    before = at - 1
    while before >= 0 and reading.items[before].kind == "filler":
        before -= 1
    return before >= 0 and reading.items[before].kind == "agg"


def _is_counted(reading: Reading, at: int) -> bool:
    """Whether this is the `trades` of `number of BTC trades`."""
    before = at - 1
    while before >= 0 and (item := reading.items[before]).kind in ("filler", "symbol"):
        if item.written in _COUNTING:
            return True
        before -= 1
    return False


def is_field(item: Item) -> bool:
    """Whether a word names what records say."""
    return item.role != "condition" and (
        item.kind in ("field", "agg")
        or item.written in _DRAWN
        or item.is_key("spread", "cross_spread")
    )
