"""Decide whose threshold each one is: `alert me when BTC is above 70k or ETH below 2000`.

An alert may look at one of a stream's symbols. A filter looks at all of them, each by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bond_core.spec.conditions.lookback import MAX_RECORDS
from bond_server.language.comparisons import UNDECIDED
from bond_server.language.draft import AskedAlert, Draft, Threshold
from bond_server.language.durations import plain, written
from bond_server.language.items import Item, Reading, Symbol
from bond_server.language.words import OF_CLOSE

Names = Mapping[Symbol, str]

_DEFAULT_CHANGE_S = 60.0
_AROUND_MENTIONS = ("join", "mark", "filler")


def filters_of(
    reading: Reading, draft: Draft, names: Names, interval_s: float | None
) -> tuple[tuple[Mapping[str, object], ...], ...]:
    """Return the groups of the filter's conditions; one about some symbols only is refused."""
    thresholds = [t for group in draft.filters for t in group]
    whose = _subjects(reading, draft, names, thresholds)
    for threshold, subjects in zip(thresholds, whose, strict=True):
        if subjects != _everything(names):
            _refuse_filter(reading, threshold, subjects)
            break
    return tuple(
        tuple(_condition(reading, draft, t, interval_s) for t in group) for group in draft.filters
    )


def alerts_of(
    reading: Reading, draft: Draft, names: Names, interval_s: float | None
) -> tuple[Mapping[str, object], ...]:
    """Return the alerts, one for each symbol where only some of them are meant."""
    found: list[Mapping[str, object]] = []
    thresholds = [t for alert in draft.alerts for t in alert.thresholds]
    whose = iter(_subjects(reading, draft, names, thresholds))
    for alert in draft.alerts:
        subjects = [next(whose) for _ in alert.thresholds]
        if any(each != subjects[0] for each in subjects):
            _refuse_alert(reading, alert)
            return ()
        conditions = [_condition(reading, draft, t, interval_s) for t in alert.thresholds]
        body = conditions[0] if len(conditions) == 1 else {"all": conditions}
        if subjects[0] == _everything(names):
            found.append({**body, **alert.limits})
            _tell_of_each(draft, subjects[0])
        else:
            found += [{**body, **alert.limits, "symbol": symbol} for symbol in subjects[0]]
    return tuple(found)


def _tell_of_each(draft: Draft, symbols: Sequence[str]) -> None:
    note = "alerts=for each symbol by itself"
    if len(symbols) > 1 and note not in draft.assumed:
        draft.assumed.append(note)


def _everything(names: Names) -> tuple[str, ...]:
    return tuple(sorted(set(names.values())))


def _subjects(
    reading: Reading, draft: Draft, names: Names, thresholds: Sequence[Threshold]
) -> list[tuple[str, ...]]:
    """Return the symbols each is about; what goes on with another is about the same."""
    found: list[tuple[str, ...]] = []
    for threshold in thresholds:
        mentioned = _before(reading, draft, threshold) or _behind(reading, draft, threshold)
        if mentioned:
            found.append(_named(mentioned, names) or _everything(names))
        else:
            found.append(found[-1] if threshold.goes_on and found else _everything(names))
    return found


def _named(mentioned: Sequence[Symbol], names: Names) -> tuple[str, ...]:
    """Return their symbols; `bitcoin` beside `BTC/EUR` is that one."""
    exact = {names[symbol] for symbol in mentioned if symbol in names}
    bare = {(s.base, s.kind) for s in mentioned if s not in names}
    return tuple(sorted(exact | {name for s, name in names.items() if (s.base, s.kind) in bare}))


def _mention(reading: Reading, draft: Draft, at: int) -> Symbol | None:
    if not 0 <= at < len(reading.items):
        return None
    item = reading.items[at]
    return next((symbol for each, symbol in draft.symbols if each is item), None)


def _before(reading: Reading, draft: Draft, threshold: Threshold) -> list[Symbol]:
    """Return those between what leads to it and itself; without a lead, the nearest list."""
    places = range(threshold.at - 1, threshold.begin - 1, -1)
    if threshold.trigger is not None or threshold.goes_on:
        return [s for place in places if (s := _mention(reading, draft, place))]
    found: list[Symbol] = []
    for place in places:
        symbol, item = _mention(reading, draft, place), reading.items[place]
        if symbol is not None:
            found.append(symbol)
        elif found and item.kind not in _AROUND_MENTIONS and not item.is_key("or"):
            break
    return found


def _behind(reading: Reading, draft: Draft, threshold: Threshold) -> list[Symbol]:
    """Return those of `above 70k for BTC and ETH`."""
    items, place = reading.items, threshold.last + 1
    while place < len(items) and _is_passed(items[place]):
        place += 1
    led = place < len(items) and (
        items[place].is_key("for", "from", "in") or items[place].written == "of"
    )
    found: list[Symbol] = []
    place += 1
    while led and place < len(items):
        symbol = _mention(reading, draft, place)
        if symbol is not None:
            found.append(symbol)
        elif not found or (items[place].kind not in _AROUND_MENTIONS):
            break
        place += 1
    return found


def _is_passed(item: Item) -> bool:
    is_loose = item.kind in ("mark", "filler") and item.written not in ("of", ",")
    return is_loose or item.role == "condition"


def _condition(
    reading: Reading, draft: Draft, threshold: Threshold, interval_s: float | None
) -> dict[str, object]:
    """Return a threshold as specs write it, with what only the whole sentence decides."""
    condition = dict(threshold.condition)
    if condition["field"] == "spread" and "cross_exchange_spread" in draft.derived:
        condition["field"] = "venue_spread"
    if condition.get("window_sec") == UNDECIDED:
        window = max(_DEFAULT_CHANGE_S, interval_s or 0)
        item = reading.items[threshold.last]
        reading.warn("defaulted_window", f"a change within {written(window)}", item)
        condition["window_sec"] = plain(window)
    _check_window(reading, draft, threshold, condition, interval_s)
    if reading.items[threshold.at].written in OF_CLOSE:
        _check_close(reading, draft, threshold, interval_s)
    return condition


def _check_close(
    reading: Reading, draft: Draft, threshold: Threshold, interval_s: float | None
) -> None:
    """Refuse `closes below` where nothing says what closes: the records that are looked at."""
    first, last = reading.items[threshold.at], reading.items[threshold.last]
    every = None if interval_s is None else written(interval_s)
    if not (draft.intervals or draft.timeframes):
        detail = f'"{first.written}" is about the end of a bar: say how long one is, as in every 1h'
        said = reading.folded.text[last.start : last.end]
        edit = last.start, last.end, f"{said} every 1h"
    elif draft.timeframes and list(draft.timeframes) != [every]:
        detail = (
            f"a condition looks at the stream's own records, every {every}, and not at its bars of "
            f"{', '.join(draft.timeframes)}"
        )
        edit = None
    else:
        return
    reading.refuse("unsupported", detail, first, last, edit=edit)


def _check_window(
    reading: Reading, draft: Draft, threshold: Threshold, condition: Mapping[str, object],
    interval_s: float | None,
) -> None:  # fmt: skip
    """Refuse a time within which the stream's records can't tell."""
    window = condition.get("window_sec")
    if not isinstance(window, int | float) or interval_s is None:
        return
    is_sum = "change" not in condition and condition["op"] != "abs>"
    window_ms, interval_ms = round(window * 1000), round(interval_s * 1000)
    every = written(interval_s)
    detail = None
    if window_ms < interval_ms:
        detail = f"{written(window)} is shorter than one record: they come every {every}"
    elif is_sum and draft.window_s is not None:
        detail = "records over the last minutes overlap, so they can't be added up"
    elif is_sum and window_ms % interval_ms:
        detail = f"{written(window)} is no multiple of {every}, so records don't add up to it"
    elif is_sum and window_ms > MAX_RECORDS * interval_ms:
        detail = f"{written(window)} has more than {MAX_RECORDS} records of {every}"
    if detail is not None:
        first, last = reading.items[threshold.at], reading.items[threshold.last]
        reading.refuse("conflicting_interval", detail, first, last)


def _refuse_filter(reading: Reading, threshold: Threshold, subjects: Sequence[str]) -> None:
    at = reading.items[threshold.at]
    detail = (
        f"a filter looks at each symbol by itself, so it can't be about {', '.join(subjects)} "
        "alone: make it an alert, or a stream of its own"
    )
    trigger = threshold.trigger
    edit = None
    if trigger is not None:
        start = len(reading.folded.text[: trigger.start].rstrip())
        edit = start, trigger.end, ", alert me when"
    last = reading.items[threshold.last]
    reading.refuse("unsupported", detail, at, last, edit=edit)


def _refuse_alert(reading: Reading, alert: AskedAlert) -> None:
    first, last = alert.thresholds[0], alert.thresholds[-1]
    detail = "an alert looks at one symbol at a time: two symbols need two alerts"
    joint = next(
        (
            item
            for item in reversed(reading.items[first.last + 1 : last.at])
            if item.kind == "join" or item.written == ","
        ),
        None,
    )
    by = " or" if joint is not None and joint.written == "," else "or"
    edit = None if joint is None else (joint.start, joint.end, by)
    reading.refuse(
        "unsupported", detail, reading.items[first.at], reading.items[last.last], edit=edit
    )
