"""Find the record field that a comparison is about: `price`, `it`, `more than 50 tweets`."""

from __future__ import annotations

from collections.abc import Mapping

from bond_server.language.exact import field_of_phrase
from bond_server.language.items import Item, Reading
from bond_server.language.words import AGGREGATES

# Which record field a word's thresholds look at.
CONDITION_FIELDS: Mapping[str, str] = {
    "price": "price_avg", "volume": "volume_sum", "bid": "bid_avg", "ask": "ask_avg",
    "onchain": "onchain_count", "transfers": "onchain_count", "blocks": "onchain_count",
    "tx": "onchain_count", "custom": "custom_count",
}  # fmt: skip
SPREADS = ("spread", "venue_spread")
LOOSE = ("filler", "mark")
_OF_RANGE = frozenset({"high", "highs", "low", "lows", "highest", "lowest", "max", "maximum", "min",
                       "minimum", "peak"})  # fmt: skip
COUNTS = frozenset(
    {"trades", "tweets", "news", "liquidations", "liquidation_buys", "liquidation_sells"}
)
_HOW_MANY = frozenset({
    "more than", "greater than", "over", "is over", "are over", "less than", "fewer than", "under",
    "at least", "no less than", "not less than", "at most", "no more than", "not more than",
    "exactly", "exceeds", "exceed",
})  # fmt: skip
"""What may stand before how many there are of something: `more than 50 tweets`."""


def field_before(reading: Reading, at: int) -> str | None:
    """Return the record field that is compared; None where it may be several."""
    place = _subject_place(reading, at)
    before = reading.free(place)
    if before is not None and before.kind == "agg" and before.name in _OF_RANGE:
        return _of_range(before)
    if before is None or not _is_compared(reading, place):
        meant = _meant(reading, at)
        if not meant or any(item.name in ("price", "market") for item in meant):
            return CONDITION_FIELDS["price"]
        return field_of(reading, meant[0]) if len(meant) == 1 else None
    lead = reading.free(reading.skip(place - 1, over=LOOSE, step=-1))
    if before.name == "price" and lead is not None and lead.kind == "agg":
        return _of_range(lead)
    if before.name == "price" and (kept := reading.free(place - 1)) and kept.kind == "field":
        before = kept  # `bid price`
    return field_of(reading, before)


def counted_behind(reading: Reading, at: int, value_at: int) -> int | None:
    """Return the place of `tweets` in `more than 50 tweets`, and in `over 200 BTC trades`."""
    place = _subject_place(reading, at)
    if reading.items[at].written not in _HOW_MANY or (
        reading.free(place) is not None and _is_compared(reading, place)
    ):
        return None
    counted = reading.skip(value_at + 1, over=("filler", "symbol"))
    item = reading.free(counted)
    if item is None or item.kind not in ("field", "source"):
        return None
    behind = reading.free(reading.skip(counted + 1))
    led = behind is not None and (behind.kind in ("compare", "change") or behind.written == "over")
    return None if led or not adds_up(field_of(reading, item) or "") else counted


def in_basis_points(reading: Reading, at: int) -> str:
    """Let `spread above 10 bps` be about the spread in basis points."""
    for item in reversed(reading.items[:at]):
        if item.is_key("spread"):
            item.kind, item.name = "field", "spread_bps"
            break
    return "spread_bps"


def _of_range(item: Item) -> str | None:
    """Return the field of `high` and `lowest price`: of one window, and not of several."""
    fields = {"max": "price_high", "min": "price_low", "avg": "price_avg"}
    return fields.get(AGGREGATES[item.name])


def field_of(reading: Reading, item: Item) -> str | None:
    """Return the record field that a word is compared by; None where it has several."""
    if item.kind == "key":
        return SPREADS[0]
    if (exact := field_of_phrase(item.written)) is not None:
        return exact
    word, *others = item.name.split()
    if others:
        return None
    if item.kind == "source":
        named = reading.vocabulary.families[item.name].named
        word = named[0] if named else "price"
    if word in CONDITION_FIELDS or word == "market":
        return CONDITION_FIELDS.get(word, CONDITION_FIELDS["price"])
    if reading.vocabulary.is_computed(word):
        return word
    fields = [f for _, channel in reading.vocabulary.carriers(word) for f in channel.fields]
    if word in fields:
        return word
    return fields[0] if len(set(fields)) == 1 else None


def _subject_place(reading: Reading, at: int) -> int:
    """Return the place of the word that is compared, past symbols and exchanges behind it."""
    place = reading.skip(at - 1, over=("filler", "mark", "symbol", "swap"), step=-1)
    past = place
    while (item := reading.free(past)) and (
        item.kind in ("venue", "provider", "symbol", "swap", "join", *LOOSE)
        or item.is_key("from", "between", "in", "by")
    ):
        past -= 1
    found = reading.free(past)
    led_by_venue = any(i.kind in ("venue", "provider") for i in reading.items[past + 1 : at])
    is_subject = found is not None and _is_compared(reading, past)
    return past if led_by_venue and is_subject else place


def _is_compared(reading: Reading, at: int) -> bool:
    """Whether here stands a word for what records say, and not one that is left out."""
    item = reading.items[at]
    if item.kind not in ("field", "source") and not item.is_key("spread", "cross_spread"):
        return False
    before = reading.skip(at - 1, step=-1)
    return before < 0 or not reading.items[before].is_key("without")


def _meant(reading: Reading, at: int) -> list[Item]:
    """Return what `it` may be in `BTC volume, alert me when it is above 5`.

    A clause that names a symbol is about what it says of it, and else about its price: `when
    BTC is above 70k`.
    """
    begin = next((n for n in range(at - 1, -1, -1) if _leads(reading.items[n])), None)
    has_symbol = begin is not None and any(item.symbol for item in reading.items[begin:at])
    first = begin if has_symbol and begin is not None else 0
    places = (n for n in range(first, at) if _is_compared(reading, n))
    found = {
        reading.items[n].name: reading.items[n] for n in places if reading.items[n].role is None
    }
    if "trades" in found and not (begin is not None and has_symbol is False and len(found) == 1):
        del found["trades"]  # a trade is at a price
    return list(found.values())


def _leads(item: Item) -> bool:
    return item.is_key("when", "alert")


def adds_up(field: str) -> bool:
    """Whether it makes sense to add up what a field says of several windows."""
    return field in COUNTS or field.endswith(("_sum", "_count", "_volume"))
