"""Rules about thresholds: `only when price is above 70k`, `alert me when ETH drops below 2500`."""

from __future__ import annotations

from bond_server.language.compared import LOOSE, field_before
from bond_server.language.comparisons import change, comparison, value_of
from bond_server.language.draft import Asked, AskedAlert, Draft, Rule, Threshold
from bond_server.language.durations import plain, written
from bond_server.language.items import Item, Reading
from bond_server.language.opposites import refuse_opposite
from bond_server.language.times import length_at, take
from bond_server.language.words import UNDIRECTED

_SIGNS = ("-", "*", "/", "minus", "times", "divided")
_CONJUNCTIONS = ("if", "when", "whenever")
_JOINTS = ("and", "or", "&", "+", ",", "plus", "with")


def conditions(reading: Reading, draft: Draft) -> None:
    """Read every comparison as a filter, or as an alert where one is asked for."""
    alerting = False
    for at, item in list(reading.every("compare", "change", "key")):
        if item.role is not None:
            continue
        found = _read(reading, at, item)
        if found is None:
            continue
        both, last = found
        if any(str(condition["field"]).startswith("price_") for condition in both):
            draft.asked.append(Asked("price", at))
        trigger, begin = _lead(reading, at)
        goes_on = trigger is None and bool(draft.filters or draft.alerts)
        _check_clause(reading, begin, at, is_led=trigger is not None or goes_on)
        alerting = (trigger is None and alerting) or (
            trigger is not None and trigger.name == "alert"
        )
        thresholds = [
            Threshold(condition=condition, begin=begin, at=at, last=last, trigger=trigger,
                      goes_on=goes_on)
            for condition in both
        ]  # fmt: skip
        either = _joined_by_or(reading, at)
        if not alerting:
            _filter_by(draft, thresholds, is_another=either)
            _tell_of_duration(reading, last)
        elif trigger is None and not either:
            draft.alerts[-1].thresholds += thresholds
            draft.alerts[-1].limits |= _alert_limits(reading, last)
        else:
            limits = _alert_limits(reading, last)
            draft.alerts.append(AskedAlert(thresholds=thresholds, limits=limits))
        if item.written in UNDIRECTED:
            draft.assumed.append(f"{item.written}=from below")
    _alert_behind(reading, draft)
    for at, item in list(reading.every("key")):
        if item.is_key("once") and _begins_clause(reading, at):
            item.take("condition")


def _begins_clause(reading: Reading, at: int) -> bool:
    """Whether this is the `once` of `notify me once ETH breaks 4k`, and not of `only once`."""
    led = at > 0 and reading.items[at - 1].is_key("only")
    follower = reading.skip(at + 1)
    subject = reading.items[follower] if follower < len(reading.items) else None
    return not led and subject is not None and subject.kind in ("symbol", "maybe", "field")


def _alert_behind(reading: Reading, draft: Draft) -> None:
    """Read `if BTC drops below 60k, alert me`: what looked like a filter is an alert."""
    thresholds = [t for group in draft.filters for t in group]
    leads = [t.trigger for t in thresholds if t.trigger is not None]
    if not leads or any(lead.written not in _CONJUNCTIONS for lead in leads):
        return
    for at, item in list(reading.every("key")):
        if item.is_key("alert") and at > max(t.last for t in thresholds):
            item.take("condition")
            limits = _alert_limits(reading, at)
            draft.alerts += [
                AskedAlert(thresholds=group, limits=dict(limits)) for group in draft.filters
            ]
            draft.filters = []
            return


def _read(reading: Reading, at: int, item: Item) -> tuple[list[dict[str, object]], int] | None:
    """Return what stands here, if it is a comparison, and the place of its last item."""
    if item.is_key("between"):
        return _between(reading, at)
    if item.kind == "change":
        found = change(reading, at, item)
    elif item.kind == "compare" or item.written == "over":
        found = comparison(reading, at, item)
    else:
        return None
    return None if found is None else ([found[0]], found[1])


def _filter_by(draft: Draft, thresholds: list[Threshold], *, is_another: bool) -> None:
    """Add to what a record must fulfil; `or` begins another way to pass."""
    if is_another or not draft.filters:
        draft.filters.append(thresholds)
    else:
        draft.filters[-1] += thresholds


def _between(reading: Reading, at: int) -> tuple[list[dict[str, object]], int] | None:
    """Read `between 60k and 70k`, as both of its ends."""
    low_at = reading.skip(at + 1, over=LOOSE)
    joined = reading.free(low_at + 1)
    high_at = reading.skip(low_at + 2, over=LOOSE)
    low, high = value_of(reading, low_at), value_of(reading, high_at)
    if low is None or high is None or joined is None or joined.kind != "join":
        return None
    field = field_before(reading, at)
    if field is None:
        return None
    for taken in reading.items[at : high_at + 1]:
        taken.take("condition", f"{field} {plain(low)} to {plain(high)}")
    ends = ((">=", low), ("<=", high))
    both: list[dict[str, object]] = [
        {"field": field, "op": op, "value": plain(round(value, 9))} for op, value in ends
    ]
    return both, high_at


def _lead(reading: Reading, at: int) -> tuple[Item | None, int]:
    """Take the words that lead to this condition; return what says what it is, and its place."""
    found, begin = None, None
    for place in range(at - 1, -1, -1):
        item = reading.items[place]
        if item.role == "condition":
            begin = place + 1 if begin is None else begin
            break
        is_alert = item.is_key("alert")
        if is_alert or (item.role is None and item.is_key("when", "only") and found is None):
            item.take("condition")
            found, begin = item, place + 1 if begin is None else begin
        if is_alert:
            break
    return found, begin or 0


def _check_clause(reading: Reading, begin: int, at: int, *, is_led: bool) -> None:
    """Refuse what would change a condition's meaning and can't be said here."""
    clause = reading.items[begin:at]
    refuse_opposite(reading, begin, at, is_led=is_led)
    both = next((i for i in clause if i.is_key("both") and i.role is None), None)
    if both is not None and len({i.symbol.base for i in clause if i.symbol}) > 1:
        detail = "a condition looks at each symbol by itself, not at both of them at once"
        reading.refuse("unsupported", detail, both, instead="either")
        both.take("unparsed")
    if not is_led:
        return
    fields = [n for n, item in enumerate(clause) if _is_compared(item)]
    signs = _SIGNS if len(fields) < 2 else (*_SIGNS, *_JOINTS)
    if len(fields) < 2:
        fields = [n for n, item in enumerate(clause) if _is_compared(item) or item.symbol]
    if not fields:
        return
    between = clause[fields[0] + 1 : fields[-1]]
    if any(item.role is None and item.written in signs for item in between):
        detail = (
            "one field is compared at a time: price > 5 and volume > 5; a spec's filter and "
            "alerts can calculate"
        )
        reading.refuse("unsupported", detail, clause[fields[0]], clause[fields[-1]])


def _is_compared(item: Item) -> bool:
    return item.role is None and (item.kind in ("field", "source") or item.is_key("spread"))


def _joined_by_or(reading: Reading, at: int) -> bool:
    for place in range(at - 1, -1, -1):
        item = reading.items[place]
        if item.role == "condition" and item.kind in {"number", "duration"}:
            return False
        if item.is_key("or"):
            return True
    return False


def _tell_of_duration(reading: Reading, last: int) -> None:
    """Say what `only when price is above 70k for 30s` was taken for."""
    place = reading.skip(last + 1)
    item = reading.free(place)
    if item is not None and item.is_key("for") and length_at(reading, reading.skip(place + 1)):
        detail = "the stream ends after that; only an alert can ask how long something must hold"
        reading.warn("assumed_duration", detail, reading.items[reading.skip(place + 1)])


def _alert_limits(reading: Reading, at: int) -> dict[str, object]:
    """Read `for 30s` and `at most once an hour` behind an alert's condition."""
    limits: dict[str, object] = {}
    over = (*LOOSE, "join")
    place = reading.skip(at + 1, over=over)
    item = reading.free(place)
    if item is not None and item.is_key("for"):
        then = reading.skip(place + 1)
        seconds = length_at(reading, then)
        if seconds:
            limits["for_sec"] = plain(seconds)
            take(reading, place, then, "condition", f"for {written(seconds)}")
            place = reading.skip(then + 1, over=over)
    item = reading.free(place)
    if item is None:
        return limits
    then = reading.skip(place + 1)
    if item.kind == "compare" and item.name == "<=":
        led = reading.free(then)
        if led is None or not led.is_key("once", "every"):
            return limits
        then = reading.skip(then + 1)
        if (follower := reading.free(then)) and follower.is_key("every"):
            then = reading.skip(then + 1)
    elif not item.is_key("cooldown"):
        return limits
    seconds = length_at(reading, then)
    if seconds:
        limits["cooldown_sec"] = plain(seconds)
        take(reading, place, then, "condition", f"at most once every {written(seconds)}")
    return limits


CONDITION_RULES: tuple[Rule, ...] = (conditions,)
