"""Read one comparison: `price is above 70k`, `tweets exceed 50 in 1m`, `drops 5% in an hour`."""

from __future__ import annotations

from bond_server.language.compared import (
    COUNTS,
    LOOSE,
    SPREADS,
    adds_up,
    counted_behind,
    field_before,
    field_of,
    in_basis_points,
)
from bond_server.language.durations import plain, written
from bond_server.language.items import Item, Reading
from bond_server.language.times import length_at, take
from bond_server.language.words import CURRENCIES, MULTIPLES, OF_CLOSE, OF_ZERO

WITHIN = "within"  # what a condition's length of time means
UNDECIDED = 0  # a `window_sec` that the whole sentence decides

_DOLLARS = ("dollar", "dollars", "us dollars", "bucks", "usd", "usdt")
_OF_PRICE = ("price_avg", "price_close")
_COUNTED_OF = ("filler", "symbol", "maybe", "unknown")
_PRICED = ("price", "bid", "ask", "vwap", "mid", "mark", "spread", "venue_spread", "micro")
_MONEY = {"$": "USD", "€": "EUR", "£": "GBP"}
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
    counted = counted_behind(reading, at, value_at)
    field = _field(reading, item, subject_end, counted)
    if field is None:
        return None
    op = item.name if item.kind == "compare" else ">"
    field, last, is_money = _with_unit(reading, at, value_at, field)
    _check_unit(reading, item, value_at, field, is_money=is_money)
    for taken in reading.items[at : last + 1]:
        taken.take("condition", f"{field} {op} {plain(value)}")
    condition: dict[str, object] = {"field": field, "op": op, "value": plain(round(value, 9))}
    if counted is not None:
        return _within_behind(reading, counted, last, condition)
    window, last = _within(reading, last)
    if window is None and led is not None and adds_up(field):
        condition["window_sec"] = plain(led)
        take(reading, subject_end, at - 1, "time", f"{WITHIN} {written(led)}")
    if window is not None:
        if not adds_up(field):
            _refuse_within(reading, value_at + 1, last)
        condition["window_sec"] = plain(window)
        take(reading, value_at + 1, last, "condition", f"{WITHIN} {written(window)}")
    return condition, last


def _field(reading: Reading, item: Item, subject_end: int, counted: int | None) -> str | None:
    """Return the record field that is compared; None where it may be several."""
    if counted is not None:
        return field_of(reading, reading.items[counted])
    field = field_before(reading, subject_end)
    if item.written in OF_CLOSE:
        return "price_close" if field in _OF_PRICE else None
    return field


def _with_unit(reading: Reading, at: int, value_at: int, field: str) -> tuple[str, int, bool]:
    """Return the field, the place of the value's unit, and whether that is money."""
    unit = reading.free(value_at + 1)
    is_money = reading.items[value_at].unit in _MONEY
    if unit is not None and unit.kind == "currency" and unit.written in _DOLLARS:
        return field, value_at + 1, True
    if unit is not None and unit.written in _BASIS_POINTS and field == SPREADS[0]:
        return in_basis_points(reading, at), value_at + 1, is_money
    return field, value_at, is_money


def _within_behind(
    reading: Reading, counted: int, last: int, condition: dict[str, object]
) -> Found:
    """Read the time behind what is counted: `more than 50 tweets about DOGE in 5m`."""
    end = counted
    while end + 1 < len(reading.items) and reading.items[end + 1].kind in _COUNTED_OF:
        end += 1
    window, through = _within(reading, end)
    if window is None:
        return condition, last
    take(reading, reading.skip(end + 1), through, "condition", f"{WITHIN} {written(window)}")
    return {**condition, "window_sec": plain(window)}, through


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


def _check_unit(
    reading: Reading, compared: Item, value_at: int, field: str, *, is_money: bool
) -> None:
    """Refuse `liquidations over $1m` and `trades larger than 10`: those are how many, not how big.

    Volume is in the base asset: `volume above 5 BTC` is, `volume above $1m` isn't.
    """
    last = reading.items[value_at]
    behind = reading.free(value_at + 1)
    counted = counted_behind(reading, reading.items.index(compared), value_at)
    of_asset = behind is not None and behind.kind == "symbol" and counted is None
    is_count = field in COUNTS or field.endswith("_count")
    detail = None
    if is_money and not field.startswith(_PRICED):
        unit = "a number of events" if is_count else "no amount of money"
        detail = f"{field} is {unit}, so it can't be compared with dollars"
    elif is_count and (of_asset or compared.written in _OF_SIZES):
        detail = f"{field} says how many there were, not how large they are"
    elif last.unit in _MONEY and last.unit != "$" and not _is_priced_in(reading, last):
        detail = f"is {last.unit} what the price is in? Write the pair, such as BTC/EUR"
    elif field == "volume_sum" and behind is not None and _is_of_another(reading, behind):
        detail = f"volume is in the base asset, and not in {behind.written}"
    elif is_money and compared.written.startswith("trade") and not _is_told_when(reading, compared):
        detail = "the size of trades, or their price? Say alert me when, or price above"
    elif field in _OF_PRICE and behind is not None and _is_other_unit(reading, behind):
        detail = f"is {behind.written} what the price is in? Write the pair, such as ETH/BTC"
    if detail is not None:
        reading.refuse("unsupported", detail, compared, last)


def _is_told_when(reading: Reading, compared: Item) -> bool:
    before = reading.items[: reading.items.index(compared)]
    return any(item.is_key("when", "alert", "only") for item in before)


def _is_priced_in(reading: Reading, value: Item) -> bool:
    """Whether something is priced in the money of `€60k`."""
    code = _MONEY[value.unit]
    named = (item.symbol.quote for item in reading.items if item.symbol is not None)
    said = (
        CURRENCIES.get(item.name, item.name) for item in reading.items if item.kind == "currency"
    )
    return code in {*named, *said}


def _is_of_another(reading: Reading, item: Item) -> bool:
    """Whether a volume of one asset is compared with so many of another."""
    others = {i.symbol.base for i in reading.items if i.symbol is not None and i is not item}
    return item.symbol is not None and bool(others) and item.symbol.base not in others


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
    amount_at = last
    window, last = _within(reading, last)
    _refuse_change_from(reading, last)
    amount = -percent if item.name == "<" else percent
    condition: dict[str, object] = {"field": field, "op": item.name, "value": plain(amount)}
    if item.name != "abs>":
        condition["change"] = "percent"
    condition["window_sec"] = UNDECIDED if window is None else plain(window)
    for taken in reading.items[at : amount_at + 1]:
        taken.take("condition", f"{field} {item.name} {plain(amount)}%")
    if window is not None:
        take(reading, amount_at + 1, last, "condition", f"{WITHIN} {written(window)}")
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
    if after is not None and (after.is_key("cadence") or after.kind == "bars"):
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
