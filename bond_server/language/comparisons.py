"""Read one comparison: `price is above 70k`, `tweets exceed 50 in 1m`, `drops 5% in an hour`."""

from __future__ import annotations

from collections.abc import Mapping

from bond_server.language.durations import plain, written
from bond_server.language.items import Item, Reading
from bond_server.language.times import length_at, take
from bond_server.language.exact import field_of_phrase
from bond_server.language.words import AGGREGATES, MULTIPLES, OF_CLOSE, OF_ZERO

# Which record field a word's thresholds look at.
CONDITION_FIELDS: Mapping[str, str] = {
    "price": "price_avg", "volume": "volume_sum", "bid": "bid_avg", "ask": "ask_avg",
    "onchain": "onchain_count", "transfers": "onchain_count", "blocks": "onchain_count",
    "tx": "onchain_count", "custom": "custom_count",
}  # fmt: skip
SPREADS = ("spread", "venue_spread")
LOOSE = ("filler", "mark")
UNDECIDED = 0  # a `window_sec` that the whole sentence decides

_DOLLARS = ("dollar", "dollars", "us dollars", "bucks", "usd", "usdt")
_OF_PRICE = ("price_avg", "price_close")
_OF_RANGE = frozenset({"high", "highs", "low", "lows", "highest", "lowest", "max", "maximum", "min",
                       "minimum", "peak"})  # fmt: skip
_COUNTED_OF = ("filler", "symbol", "maybe", "unknown")
_COUNTS = frozenset({"trades", "tweets", "news", "liquidations"})
_PRICED = ("price", "bid", "ask", "vwap", "mid", "mark", "spread", "venue_spread", "micro")
_HOW_MANY = frozenset({
    "more than", "greater than", "over", "is over", "are over", "less than", "fewer than", "under",
    "at least", "no less than", "not less than", "at most", "no more than", "not more than",
    "exactly", "exceeds", "exceed",
})  # fmt: skip
"""What may stand before how many there are of something: `more than 50 tweets`."""
_BASIS_POINTS = ("bps", "bp", "basis points")
_NOT_COMPARED = ("times", "exchanges", "levels", "top", "once", "thrice")
_OF_SIZES = ("larger than", "bigger than", "smaller than")
_RECORDS = frozenset({
    "record", "records", "event", "events", "row", "rows", "message", "messages", "result",
    "results", "update", "updates", "points", "samples",
})  # fmt: skip
_LARGEST = 1e15  # beyond it, a float no longer tells one from the next

Found = tuple[dict[str, object], int]
"""A condition as specs write it, and the place of its last item."""


def comparison(reading: Reading, at: int, item: Item) -> Found | None:
    """Read a comparison with a number; None where it is none."""
    value, value_at = _value(reading, at, item)
    if value is None or _is_no_condition(reading, at, value_at):
        return None
    led, subject_end = _window_before(reading, at)
    field, last = field_before(reading, subject_end), value_at
    counted = _counted_behind(reading, at, value_at)
    if counted is not None:
        field = _field_of(reading, reading.items[counted])
    if item.written in OF_CLOSE:
        field = "price_close" if field in _OF_PRICE else None
    if field is None:
        return None
    op = item.name if item.kind == "compare" else ">"
    unit = reading.free(value_at + 1)
    is_money = reading.items[value_at].unit == "$"
    if unit is not None and unit.kind == "currency" and unit.written in _DOLLARS:
        last, is_money = value_at + 1, True
    if field == SPREADS[0] and unit is not None and unit.written in _BASIS_POINTS:
        field, last = _in_basis_points(reading, at), value_at + 1
    _check_unit(reading, item, value_at, field, is_money=is_money)
    for taken in reading.items[at : last + 1]:
        taken.take("condition", f"{field} {op} {plain(value)}")
    condition: dict[str, object] = {"field": field, "op": op, "value": plain(round(value, 9))}
    if counted is not None:
        last, ended = counted, last
        while last + 1 < len(reading.items) and reading.items[last + 1].kind in _COUNTED_OF:
            last += 1
        window, end = _within(reading, last)
        if window is None:
            last = ended
        else:
            place = reading.skip(last + 1)
            last = end
            condition["window_sec"] = plain(window)
            take(reading, place, end, "condition", f"within {written(window)}")
        return condition, last
    window, last = _within(reading, last)
    if window is None and led is not None and _adds_up(field):
        condition["window_sec"] = plain(led)
        take(reading, subject_end, at - 1, "time", f"within {written(led)}")
    if window is not None:
        if not _adds_up(field):
            _refuse_within(reading, value_at + 1, last)
        condition["window_sec"] = plain(window)
        take(reading, value_at + 1, last, "condition", f"within {written(window)}")
    return condition, last


def _value(reading: Reading, at: int, item: Item) -> tuple[float | None, int]:
    """Return what it is compared with, and where that stands."""
    if item.kind == "compare" and item.written in OF_ZERO.get(item.name, ()):
        return 0.0, at
    place = reading.skip(at + 1, over=LOOSE)
    sign = reading.free(place)
    is_negative = sign is not None and sign.written == "-"
    place += is_negative
    value = value_of(reading, place)
    if value is None and field_before(reading, at) == "funding_rate":
        value = _share_of(reading.free(place))  # it is a fraction, and said in per cent
    if value is None or (item.kind == "key" and reading.items[place].kind != "number"):
        return None, place
    return -value if is_negative else value, place


def _is_no_condition(reading: Reading, at: int, value_at: int) -> bool:
    """Whether it is `1=1`, which says nothing of records, or `no more than 10 records`."""
    before = reading.free(reading.skip(at - 1, over=LOOSE, step=-1))
    behind = reading.free(value_at + 1)
    of_nothing = before is not None and before.kind in ("number", "quote")
    is_compared = reading.items[at].kind == "compare"
    return (is_compared and of_nothing) or (
        behind is not None and (behind.written in _RECORDS or behind.is_key(*_NOT_COMPARED))
    )


def _counted_behind(reading: Reading, at: int, value_at: int) -> int | None:
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
    return None if led or not _adds_up(_field_of(reading, item) or "") else counted


def _in_basis_points(reading: Reading, at: int) -> str:
    """Let `spread above 10 bps` be about the spread in basis points."""
    for item in reversed(reading.items[:at]):
        if item.is_key("spread"):
            item.kind, item.name = "field", "spread_bps"
            break
    return "spread_bps"


def _check_unit(
    reading: Reading, compared: Item, value_at: int, field: str, *, is_money: bool
) -> None:
    """Refuse `liquidations over $1m` and `trades larger than 10`: those are how many, not how big.

    Volume is in the base asset: `volume above 5 BTC` is, `volume above $1m` isn't.
    """
    last = reading.items[value_at]
    behind = reading.free(value_at + 1)
    counted = _counted_behind(reading, reading.items.index(compared), value_at)
    of_asset = behind is not None and behind.kind == "symbol" and counted is None
    is_count = field in _COUNTS or field.endswith("_count")
    detail = None
    if is_money and not field.startswith(_PRICED):
        unit = "a number of events" if is_count else "no amount of money"
        detail = f"{field} is {unit}, so it can't be compared with dollars"
    elif is_count and (of_asset or compared.written in _OF_SIZES):
        detail = f"{field} says how many there were, not how large they are"
    elif field in _OF_PRICE and behind is not None and _is_other_unit(reading, behind):
        detail = f"is {behind.written} what the price is in? Write the pair, such as ETH/BTC"
    if detail is not None:
        reading.refuse("unsupported", detail, compared, last)


def _is_other_unit(reading: Reading, item: Item) -> bool:
    """Whether a price is compared in coins that it isn't in: `at least 5 BTC each`."""
    if item.symbol is None or item.symbol.quote is not None:
        return False
    named = [other.symbol for other in reading.items if other.symbol and other is not item]
    return bool(named) and not any(symbol.quote == item.symbol.base for symbol in named)


def change(reading: Reading, at: int, item: Item) -> Found | None:
    """Read `moves more than 1% in 5 minutes`, `drops 5% within an hour`, `doubles`."""
    percent, last = MULTIPLES.get(item.written), at
    if percent is None:
        last = reading.skip(at + 1, over=(*LOOSE, "compare"))
        value = reading.free(last)
        if value is None or value.kind != "number" or value.unit != "%":
            return None
        percent = value.number
    field = field_before(reading, at)
    if field is None:
        return None
    window, last = _within(reading, last)
    _refuse_change_from(reading, last)
    amount = -percent if item.name == "<" else percent
    condition: dict[str, object] = {"field": field, "op": item.name, "value": plain(amount)}
    if item.name != "abs>":
        condition["change"] = "percent"
    condition["window_sec"] = UNDECIDED if window is None else plain(window)
    for taken in reading.items[at : last + 1]:
        taken.take("condition", f"{field} {item.name} {plain(amount)}%")
    return condition, last


def _refuse_change_from(reading: Reading, last: int) -> None:
    """Refuse `drops 5% from its high`: a change is from what was so long ago."""
    lead_at = reading.skip(last + 1)
    lead, then = reading.free(lead_at), reading.skip(lead_at + 1)
    target = reading.items[then] if then < len(reading.items) else None
    if lead is None or not lead.is_key("from") or lead.written not in ("from", "off"):
        return
    if target is None or target.kind in ("agg", "unknown", "number", "field"):
        detail = "a change is from what was so long ago, as in drops 5% in 1h"
        end = lead if target is None else target
        reading.refuse("unsupported", detail, lead, end, instead="in 1h")
        for item in reading.items[lead_at : then + 1]:
            item.take("unparsed")


def value_of(reading: Reading, at: int) -> float | None:
    """Return a number; after a comparison `2.5m` is two and a half millions."""
    item = reading.free(at)
    if item is None or item.unit == "%":
        return None
    if item.kind == "number":
        return item.number if item.number < _LARGEST else None
    if item.kind == "duration" and item.unit == "M":
        return item.number * 1e6
    if item.kind == "duration" and item.unit == "m":
        return item.number / 60 * 1e6
    return None


def _share_of(item: Item | None) -> float | None:
    """Return 0.0001 of `0.01%`."""
    return item.number / 100 if item is not None and item.unit == "%" else None


def field_before(reading: Reading, at: int) -> str | None:
    """Return the record field that is compared; None where it may be several."""
    place = _subject_place(reading, at)
    before = reading.free(place)
    if before is not None and before.kind == "agg" and before.name in _OF_RANGE:
        return _of_range(reading, at, before)
    if before is None or not _is_compared(reading, place):
        meant = _meant(reading, at)
        if not meant or any(item.name in ("price", "market") for item in meant):
            return CONDITION_FIELDS["price"]
        return _field_of(reading, meant[0]) if len(meant) == 1 else None
    lead = reading.free(reading.skip(place - 1, over=LOOSE, step=-1))
    if before.name == "price" and lead is not None and lead.kind == "agg":
        return _of_range(reading, at, lead)
    if before.name == "price" and (kept := reading.free(place - 1)) and kept.kind == "field":
        before = kept  # `bid price`
    return _field_of(reading, before)


def _of_range(reading: Reading, at: int, item: Item) -> str | None:
    """Return the field of `high` and `lowest price`: of one window, and not of several."""
    return {"max": "price_high", "min": "price_low", "avg": "price_avg"}.get(AGGREGATES[item.name])


def _field_of(reading: Reading, item: Item) -> str | None:
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


def _adds_up(field: str) -> bool:
    """Whether it makes sense to add up what a field says of several windows."""
    return field in _COUNTS or field.endswith(("_sum", "_count", "_volume"))


def _within(reading: Reading, at: int) -> tuple[float | None, int]:
    """Return the time in which what stands before is to happen, and where that ends."""
    over_at = reading.skip(at + 1)
    over = reading.free(over_at)
    if over is None or not over.is_key("in", "over"):
        return None, at
    then = reading.skip(over_at + 1)
    if (follower := reading.free(then)) and follower.is_key("last"):
        then = reading.skip(then + 1)
    after = reading.free(then + 1)
    if after is not None and after.is_key("cadence"):
        return None, at
    window = length_at(reading, then)
    return window, at if window is None else then


def _window_before(reading: Reading, at: int) -> tuple[float | None, int]:
    """Return the time of `volume in 5 minutes exceeds 10`, and where its words begin."""
    length_place = reading.skip(at - 1, over=LOOSE, step=-1)
    window = length_at(reading, length_place) if length_place > 0 else None
    place = reading.skip(length_place - 1, over=LOOSE, step=-1)
    if (last := reading.free(place)) and last.is_key("last"):
        place = reading.skip(place - 1, over=LOOSE, step=-1)
    over = reading.free(place)
    if window is None or over is None or not over.is_key("in", "over"):
        return None, at
    return window, place


def _refuse_within(reading: Reading, first: int, last: int) -> None:
    detail = (
        "a price has no sum over time: say a change (drops 5% within 5m), a count "
        "(tweets above 50 in 1m), or for how long it must hold (alert me when ... for 5m)"
    )
    reading.refuse("unsupported", detail, reading.items[first], reading.items[last], instead="")
