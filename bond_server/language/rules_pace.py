"""Rules about how often: `every 5s`, `per minute`, `twice a second`, `@1s`, `hourly`, `10 Hz`."""

from __future__ import annotations

from bond_server.language.draft import Draft, Interval, Rule
from bond_server.language.durations import ADVERBS, UNITS, plain, written
from bond_server.language.items import Item, Reading
from bond_server.language.nearest import nearest
from bond_server.language.times import in_range, length_at, refuse_m, take

_UPDATES = frozenset({"event", "message", "record", "point", "sample", "value"})


def intervals(reading: Reading, draft: Draft) -> None:
    """Read how often: `every 5s`, `per minute`, `twice a second`, `@1s`, `hourly`, `10 Hz`."""
    for at in range(len(reading.items)):
        for read in (_times_per, _hertz, _every, _cadence, _adverb):
            if read(reading, draft, at):
                break
    if draft.intervals:
        _leading_window(reading, draft)
    else:
        for at, item in list(reading.every("duration")):
            lead = reading.free(at - 1)
            if lead is not None and lead.written == "within":
                detail = f'"within {written(item.number)}" of what? Say how often, or for how long'
                near = (f"every {written(item.number)}", f"for {written(item.number)}")
                reading.refuse("not_understood", detail, lead, item, did_you_mean=near,
                               instead=near[0])  # fmt: skip
                take(reading, at - 1, at, "unparsed", "")
                continue
            _add(reading, draft, at, item.number, item, item)


def _leading_window(reading: Reading, draft: Draft) -> None:
    """Read the `24h` of `24h volume every 5s`."""
    for at, item in list(reading.every("duration")):
        after = reading.free(reading.skip(at + 1))
        named = after is not None and after.kind in {"field", "agg"}
        if named and draft.window_s is None and item.unit != "M":
            draft.window_s = item.number
            item.take("time", f"over {written(item.number)}")


def _times_per(reading: Reading, draft: Draft, at: int) -> bool:
    item = reading.free(at)
    if item is None:
        return False
    counts = {"once": 1.0, "twice": 2.0, "thrice": 3.0}
    times, then = counts.get(item.name if item.kind == "key" else ""), at + 1
    if times is None and item.kind == "number":
        follower = reading.free(at + 1)
        if follower is None or not (follower.is_key("times") or _is_update(reading, at + 1)):
            return False
        times, then = item.number, at + 2
    if times is None:
        return False
    while (follower := reading.free(then)) and (
        follower.kind == "filler" or follower.is_key("every", "in")
    ):
        then += 1
    length = length_at(reading, then)
    if length is None:
        return False
    seconds = length / times if times else 0.0
    return _add(reading, draft, at, seconds, item, reading.items[then], through=then)


def _is_update(reading: Reading, at: int) -> bool:
    """Whether this is the `updates` of `two updates per second`."""
    item, follower = reading.items[at], reading.free(at + 1)
    per = follower is not None and (follower.is_key("every") or follower.written in {"a", "an"})
    return per and (item.is_key("cadence") or item.written.rstrip("s") in _UPDATES)


def _hertz(reading: Reading, draft: Draft, at: int) -> bool:
    item, follower = reading.free(at), reading.free(at + 1)
    if item is None or item.kind != "number" or follower is None or not follower.is_key("hertz"):
        return False
    seconds = 1 / item.number if item.number else 0.0
    return _add(reading, draft, at, seconds, item, follower, through=at + 1)


def _every(reading: Reading, draft: Draft, at: int) -> bool:
    item = reading.free(at)
    led = item is not None and (
        item.is_key("every") or (item.written in {"@", "/"} and item.kind in {"mark", "join"})
    )
    if item is None or not led:
        return False
    then = reading.skip(at + 1)
    if _is_hyphen(reading, then):
        then += 1
    follower = reading.free(then)
    if follower is None:
        return False
    _read_as_unit(reading, follower)
    seconds, last = _length_from(reading, then)
    if seconds is not None:
        return _add(reading, draft, at, seconds, item, reading.items[last], through=last)
    if follower.kind == "number" and _hertz(reading, draft, then):
        item.take("interval", follower.meaning)
        return True
    if follower.kind == "number":
        return _number_without_unit(reading, at, then)
    return False


def _length_from(reading: Reading, at: int) -> tuple[float | None, int]:
    """Return the seconds of `5s`, `hour and a half`, `other minute` or `-5s`, and their last place.

    A duration of `M` has seconds too: whoever adds it asks what it is.
    """
    item, after = reading.items[at], reading.free(at + 1)
    if item.is_key("other") and (length := length_at(reading, at + 1)) is not None:
        return 2 * length, at + 1
    is_minus = item.kind in {"mark", "join"} and item.written == "-"
    if is_minus and after is not None and after.kind == "duration":
        return -1.0, at + 1
    if item.kind == "duration":
        return item.number, at
    if item.kind != "unit":
        return None, at
    half = [each.written for each in reading.items[at + 1 : at + 4]] == ["and", "a", "half"]
    return (1.5 * UNITS[item.name], at + 3) if half else (UNITS[item.name], at)


def _is_hyphen(reading: Reading, at: int) -> bool:
    """Whether here is the hyphen of `every-5s`, which is none of `every -5s`."""
    sign, after = reading.free(at), reading.free(at + 1)
    if sign is None or after is None or sign.written != "-":
        return False
    return sign.glued and after.glued


def _read_as_unit(reading: Reading, item: Item) -> None:
    """Take the `min` of `every min` for a minute, and not for a minimum; `every s` likewise."""
    small = reading.folded.text[item.start : item.end].islower()  # `M` may be a month
    is_letter = item.kind in ("unknown", "maybe") and small
    if (item.kind == "agg" or is_letter) and item.written in UNITS:
        item.kind, item.name = "unit", item.written


def _number_without_unit(reading: Reading, at: int, then: int) -> bool:
    """Refuse `every 5` and `every 5 parsecs`."""
    first, count = reading.items[at], reading.items[then]
    value = plain(count.number)
    follower = reading.free(then + 1)
    unit = follower if follower is not None and (
        follower.kind == "unknown" or (follower.glued and follower.kind not in {"mark", "join"})
    ) else None  # fmt: skip
    near = (f"every {value}s", f"every {value}m")
    if unit is None:
        detail = f"every {value} what? Say a unit: {value}s, {value}m"
        reading.refuse("missing_unit", detail, first, count, did_you_mean=near, instead=near[0])
    else:
        units = nearest(unit.written, [u for u in UNITS if len(u) > 2], limit=2)
        did_you_mean = (*(f"every {value} {u}" for u in units), *near)
        detail = f'I don\'t know the unit "{unit.written}"'
        last = then + 1
        while (after := reading.free(last + 1)) and after.glued and after.kind != "mark":
            last += 1
        reading.refuse("unknown_unit", detail, first, reading.items[last],
                       did_you_mean=did_you_mean, instead=did_you_mean[0])  # fmt: skip
        take(reading, at, last, "unparsed", "")
    take(reading, at, then, "unparsed", "")
    return True


def _cadence(reading: Reading, draft: Draft, at: int) -> bool:
    """Read `5s updates`, `in 5 second intervals`, `an interval of 5s`."""
    item = reading.free(at)
    if item is None or item.kind != "duration":
        return False
    after = reading.skip(at + 1)
    before = reading.skip(at - 1, step=-1)
    follower, leader = reading.free(after), reading.free(before)
    if follower is not None and follower.is_key("cadence"):
        return _add(reading, draft, at, item.number, item, follower, through=after)
    if leader is not None and leader.is_key("cadence"):
        return _add(reading, draft, before, item.number, leader, item, through=at)
    return False


def _adverb(reading: Reading, draft: Draft, at: int) -> bool:
    item = reading.free(at)
    if item is None or item.kind != "adverb":
        return False
    return _add(reading, draft, at, ADVERBS[item.name], item, item)


def _add(
    reading: Reading, draft: Draft, at: int, seconds: float, first: Item, last: Item,
    *, through: int | None = None,
) -> bool:  # fmt: skip
    """Fill the slot, or say why these items can't."""
    timed = last if last.kind == "duration" else first
    if last.unit == "M":
        refuse_m(reading, last)
    elif in_range(reading, seconds, timed, last, whole=first):
        draft.intervals.append(Interval(round(seconds, 3), at, first, last))
    through = at if through is None else through
    take(reading, at, through, "interval", written(max(seconds, 0)))
    return True


PACE_RULES: tuple[Rule, ...] = (intervals,)
