"""Rules about thresholds: `only when price is above 70k`, `alert me when ETH drops below 2500`."""

from __future__ import annotations

from collections.abc import Mapping

from bond_server.language.draft import Asked, Draft, Rule
from bond_server.language.durations import plain, written
from bond_server.language.items import Item, Reading
from bond_server.language.times import length_at, take
from bond_server.language.words import UNDIRECTED

# Which record field a word's thresholds look at.
CONDITION_FIELDS: Mapping[str, str] = {
    "price": "price_avg", "volume": "volume_sum", "bid": "bid_avg", "ask": "ask_avg",
    "onchain": "onchain_count", "transfers": "onchain_count", "blocks": "onchain_count",
    "tx": "onchain_count", "custom": "custom_count",
}  # fmt: skip
_LOOSE = ("filler", "mark")
_LARGEST = 1e15  # beyond it, a float no longer tells one from the next
_CHANGE_WINDOW_S = 60.0


def conditions(reading: Reading, draft: Draft) -> None:
    """Read every comparison as a filter, or as an alert where one is asked for."""
    alerting = False
    for at, item in list(reading.every("compare", "change", "key")):
        if item.role is not None:
            continue
        if item.kind == "change":
            found = _change(reading, at, item)
        elif item.kind == "compare" or item.written == "over":
            found = _comparison(reading, at, item)
        else:
            continue
        if found is None:
            continue
        condition, last = found
        if condition["field"] == CONDITION_FIELDS["price"]:
            draft.asked.append(Asked("price", at))
        trigger = _trigger(reading, at)
        goes_on = trigger is None and alerting
        alerting = goes_on or (trigger is not None and trigger.name == "alert")
        either = _joined_by_or(reading, at)
        if alerting and goes_on and not either:
            _also(draft.alerts[-1], condition)
            draft.alerts[-1] |= _alert_limits(reading, last)
        elif alerting:
            draft.alerts.append({**condition, **_alert_limits(reading, last)})
        else:
            draft.any_filter |= either and bool(draft.filters)
            draft.filters.append(condition)
        if item.written in UNDIRECTED:
            draft.assumed.append(f"{item.written}=from below")
    _between(reading, draft)


def _between(reading: Reading, draft: Draft) -> None:
    """Read `between 60k and 70k`, as a filter of both ends."""
    for at, item in list(reading.every("key")):
        if not item.is_key("between"):
            continue
        low_at = reading.skip(at + 1, over=_LOOSE)
        joined = reading.free(low_at + 1)
        high_at = reading.skip(low_at + 2, over=_LOOSE)
        low, high = _value(reading, low_at), _value(reading, high_at)
        if low is None or high is None or joined is None or joined.kind != "join":
            continue
        field = _field(reading, at)
        if field is None:
            continue
        _trigger(reading, at)
        if field == CONDITION_FIELDS["price"]:
            draft.asked.append(Asked("price", at))
        for taken in reading.items[at : high_at + 1]:
            taken.take("condition", f"{field} {plain(low)} to {plain(high)}")
        draft.filters += [
            {"field": field, "op": op, "value": plain(round(value, 9))}
            for op, value in ((">=", low), ("<=", high))
        ]


def _also(alert: dict[str, object], condition: dict[str, object]) -> None:
    """Add a condition to an alert that fires when all of them hold."""
    both = alert.pop("all", None)
    if not isinstance(both, list):
        keys = ("field", "op", "value", "window_sec", "change")
        both = [{key: alert.pop(key) for key in keys if key in alert}]
    alert["all"] = [*both, condition]


def _comparison(reading: Reading, at: int, item: Item) -> tuple[dict[str, object], int] | None:
    value_at = reading.skip(at + 1, over=_LOOSE)
    negative = value_at > at + 1 and reading.items[value_at - 1].written == "-"
    value = _value(reading, value_at)
    if value is None or (item.kind == "key" and reading.items[value_at].kind != "number"):
        return None
    field, last = _field(reading, at), value_at
    if field is None:
        return None
    op = item.name if item.kind == "compare" else ">"
    value = -value if negative else value
    for taken in reading.items[at : value_at + 1]:
        taken.take("condition", f"{field} {op} {plain(value)}")
    condition: dict[str, object] = {"field": field, "op": op, "value": plain(round(value, 9))}
    window, last = _within(reading, last)
    if window is not None:
        condition["window_sec"] = plain(window)
        take(reading, value_at + 1, last, "condition", f"within {written(window)}")
    return condition, last


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


def _value(reading: Reading, at: int) -> float | None:
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


def _field(reading: Reading, at: int) -> str | None:
    """Return the record field that is compared; None where a word has several."""
    before = reading.free(reading.skip(at - 1, over=("filler", "mark", "symbol"), step=-1))
    if before is None or before.kind not in {"field", "source"}:
        return CONDITION_FIELDS["price"]
    word = before.name.split()[0]
    if before.kind == "source":
        named = reading.vocabulary.families[before.name].named
        word = named[0] if named else "price"
    if word in CONDITION_FIELDS or word == "market":
        return CONDITION_FIELDS.get(word, CONDITION_FIELDS["price"])
    if reading.vocabulary.is_computed(word):
        return word
    fields = [f for _, channel in reading.vocabulary.carriers(word) for f in channel.fields]
    if word in fields:
        return word
    return fields[0] if len(set(fields)) == 1 else None


def _change(reading: Reading, at: int, item: Item) -> tuple[dict[str, object], int] | None:
    """Read `moves more than 1% in 5 minutes`, `drops 5% within an hour`."""
    value_at = reading.skip(at + 1, over=(*_LOOSE, "compare"))
    value = reading.free(value_at)
    if value is None or value.kind != "number" or value.unit != "%":
        return None
    window, last = _within(reading, value_at)
    field = _field(reading, at)
    if field is None:
        return None
    amount = -value.number if item.name == "<" else value.number
    condition: dict[str, object] = {"field": field, "op": item.name, "value": plain(amount)}
    if item.name != "abs>":
        condition["change"] = "percent"
    if window is None:
        window = _CHANGE_WINDOW_S
        reading.warn("defaulted_window", f"a change within {written(window)}", value)
    condition["window_sec"] = plain(window)
    for taken in reading.items[at : last + 1]:
        taken.take("condition", f"{field} {item.name} {plain(amount)}%")
    return condition, last


def _trigger(reading: Reading, at: int) -> Item | None:
    """Take the words that lead to this condition, and return the one that says what it is."""
    found = None
    for place in range(at - 1, -1, -1):
        item = reading.items[place]
        if item.kind in {"compare", "change"}:
            break
        if item.is_key("alert"):
            item.take("condition")
            return item
        if item.role is None and item.is_key("when", "only") and found is None:
            item.take("condition")
            found = item
    return found


def _joined_by_or(reading: Reading, at: int) -> bool:
    for place in range(at - 1, -1, -1):
        item = reading.items[place]
        if item.role == "condition" and item.kind in {"number", "duration"}:
            return False
        if item.is_key("or"):
            return True
    return False


def _alert_limits(reading: Reading, at: int) -> dict[str, object]:
    """Read `for 30s` and `at most once an hour` behind an alert's condition."""
    limits: dict[str, object] = {}
    place = reading.skip(at + 1, over=(*_LOOSE, "join"))
    item = reading.free(place)
    if item is not None and item.is_key("for"):
        then = reading.skip(place + 1)
        seconds = length_at(reading, then)
        if seconds:
            limits["for_sec"] = plain(seconds)
            take(reading, place, then, "condition", f"for {written(seconds)}")
            place = reading.skip(then + 1, over=(*_LOOSE, "join"))
    item = reading.free(place)
    if item is not None and item.kind == "compare" and item.name == "<=":
        first, place = place, reading.skip(place + 1)
        item = reading.free(place)
        if item is not None and item.is_key("once", "every"):
            then = reading.skip(place + 1)
            if (follower := reading.free(then)) and follower.is_key("every"):
                then = reading.skip(then + 1)
            seconds = length_at(reading, then)
            if seconds:
                limits["cooldown_sec"] = plain(seconds)
                take(reading, first, then, "condition", f"at most once every {written(seconds)}")
    return limits


CONDITION_RULES: tuple[Rule, ...] = (conditions,)
