"""Rules about time: how often, over what, for how long, since when, and bars."""

from __future__ import annotations

from bond_server.language.draft import Draft, Interval, Rule
from bond_server.language.durations import (
    ADVERBS,
    MAX_INTERVAL_S,
    MIN_INTERVAL_S,
    UNITS,
    plain,
    written,
)
from bond_server.language.items import Item, Reading
from bond_server.language.nearest import nearest

_LOOSE = ("filler", "mark", "join")
_UPDATES = frozenset({"event", "message", "record", "point", "sample", "value"})


def _length(reading: Reading, at: int) -> float | None:
    """Return the seconds of a duration, or of a unit alone (`the last minute`), at this place."""
    item = reading.free(at)
    if item is None:
        return None
    if item.kind == "duration" and item.unit != "M":
        return item.number or None
    return UNITS[item.name] if item.kind == "unit" else None


def _take(reading: Reading, first: int, last: int, role: str, meaning: str) -> None:
    for item in reading.items[first : last + 1]:
        if item.role is None:
            item.take(role, meaning)


def replay(reading: Reading, draft: Draft) -> None:
    """Read `replay the last 5 minutes`, and `from 5 minutes ago`."""
    for at, _ in list(reading.every("key")):
        item = reading.items[at]
        if item.role is None and item.is_key("replay"):
            then = reading.skip(at + 1)
            while (follower := reading.free(then)) and follower.is_key("last", "for", "from", "next"):
                then = reading.skip(then + 1)
            length = _length(reading, then)
            if length is not None:
                draft.replay_s = length
                _take(reading, at, then, "time", f"replay {written(length)}")
        elif item.role is None and item.is_key("ago"):
            length = _length(reading, at - 1)
            if length is not None:
                draft.replay_s = length
                _take(reading, at - 1, at, "time", f"replay {written(length)}")


def rolling_window(reading: Reading, draft: Draft) -> None:
    """Read `over the last minute` and `rolling 5m`, and `for the last hour` as a replay."""
    for at, item in list(reading.every("key", "agg")):
        if item.is_key("last"):
            _last(reading, draft, at)
        elif item.is_key("rolling") or item.written.startswith("moving"):
            _rolling(reading, draft, at)
        elif item.is_key("over") and item.written == "over":
            then = reading.skip(at + 1)
            length = _length(reading, then)
            if length is not None:
                draft.window_s = length
                _take(reading, at, then, "time", f"over {written(length)}")


def _last(reading: Reading, draft: Draft, at: int) -> None:
    then = reading.skip(at + 1)
    length = _length(reading, then)
    if length is None:
        return
    first = reading.skip(at - 1, step=-1)
    before = reading.free(first)
    summed = any(True for _ in reading.every("agg"))
    if before is not None and before.is_key("for", "from") and not summed:
        draft.replay_s = length
        _take(reading, first, then, "time", f"replay {written(length)}")
        return
    draft.window_s = length
    led = before is not None and before.is_key("over", "in", "for", "from")
    _take(reading, first if led else at, then, "time", f"over {written(length)}")


def _rolling(reading: Reading, draft: Draft, at: int) -> None:
    before, after = reading.skip(at - 1, step=-1), reading.skip(at + 1, over=("filler", "agg"))
    for place in (before, after):
        length = _length(reading, place)
        if length is not None:
            draft.window_s = length
            reading.items[place].take("time", f"over {written(length)}")
            if reading.items[at].kind == "key":
                reading.items[at].take("time", f"over {written(length)}")
            return


def how_long(reading: Reading, draft: Draft) -> None:
    """Read `for 10 minutes` and `for the next hour`."""
    for at, item in list(reading.every("key")):
        if not item.is_key("for", "next"):
            continue
        then = reading.skip(at + 1)
        if (follower := reading.free(then)) and follower.is_key("next"):
            then = reading.skip(then + 1)
        length = _length(reading, then)
        after = reading.free(reading.skip(then + 1, over=_LOOSE))
        if length is None or (after is not None and after.kind == "bars"):
            continue
        draft.duration_s = length
        _take(reading, at, then, "time", f"for {written(length)}")


def bars(reading: Reading, draft: Draft) -> None:
    """Read `1m candles`, `5m and 15m OHLCV`, `hourly bars`, `100-tick bars`, `candles 1m`."""
    for at, item in list(reading.every("bars")):
        draft.bars = True
        found = _counted_bar(reading, draft, at) or _bar_lengths(reading, draft, at, -1)
        if not found:
            _bar_lengths(reading, draft, at, 1)
        item.take("field", "bars")


def _counted_bar(reading: Reading, draft: Draft, at: int) -> bool:
    unit_at = reading.skip(at - 1, over=("mark",), step=-1)
    unit = reading.free(unit_at)
    is_tick = unit is not None and unit.is_key("tick")
    is_volume = unit is not None and unit.kind == "field" and unit.name == "volume"
    if unit is None or not (is_tick or is_volume):
        return False
    number_at = reading.skip(unit_at - 1, over=("mark", "join"), step=-1)
    count = reading.free(number_at)
    if count is None or count.kind != "number" or count.number <= 0:
        return False
    if count.unit or (is_tick and count.number != int(count.number)):
        return False
    draft.timeframes.append(f"{plain(count.number)}{'ticks' if is_tick else 'vol'}")
    _take(reading, number_at, at, "interval", draft.timeframes[-1])
    return True


def _bar_lengths(reading: Reading, draft: Draft, at: int, step: int) -> bool:
    """Collect the durations listed beside the bars, on one side of them."""
    found: list[tuple[int, Item]] = []
    place = at + step
    while True:
        place = reading.skip(place, over=_LOOSE, step=step)
        item = reading.free(place)
        if item is None or item.kind not in {"duration", "adverb"}:
            break
        found.append((place, item))
        place += step
    for _, item in found[:: -1 if step < 0 else 1]:
        _add_bar(reading, draft, item)
    return bool(found)


def _add_bar(reading: Reading, draft: Draft, item: Item) -> None:
    if item.unit == "M":
        count = plain(item.number)
        detail = f"{count}M may be {count} minutes or {count} months"
        reading.refuse("ambiguous_unit", detail, item,
                       did_you_mean=(f"{count}m", f"{count}mo"), instead=f"{count}m")  # fmt: skip
        item.take("unparsed")
        return
    seconds = ADVERBS[item.name] if item.kind == "adverb" else item.number
    if _in_range(reading, seconds, item, item):
        draft.timeframes.append(written(seconds))
        item.take("interval", written(seconds))


def intervals(reading: Reading, draft: Draft) -> None:
    """Read how often: `every 5s`, `per minute`, `twice a second`, `@1s`, `hourly`, `10 Hz`."""
    for at in range(len(reading.items)):
        for read in (_times_per, _hertz, _every, _cadence, _adverb):
            if read(reading, draft, at):
                break
    if not draft.intervals:
        for at, item in list(reading.every("duration")):
            _add(reading, draft, at, item.number, item, item)


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
    length = _length(reading, then)
    if length is None:
        return False
    seconds = length / times if times else 0.0
    return _add(reading, draft, at, seconds, item, reading.items[then], through=then)


def _is_update(reading: Reading, at: int) -> bool:
    """Whether this is the `updates` of `two updates per second`."""
    item, follower = reading.items[at], reading.free(at + 1)
    per = follower is not None and follower.is_key("every")
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
    follower = reading.free(then)
    if follower is not None and follower.is_key("other"):
        length = _length(reading, then + 1)
        if length is not None:
            last = reading.items[then + 1]
            return _add(reading, draft, at, 2 * length, item, last, through=then + 1)
    if follower is not None and follower.kind in {"mark", "join"} and follower.written == "-":
        after = reading.free(then + 1)
        if after is not None and after.kind == "duration":
            return _add(reading, draft, at, -1.0, item, after, through=then + 1)
    if follower is None:
        return False
    if follower.kind in {"duration", "unit"}:
        seconds = follower.number if follower.kind == "duration" else UNITS[follower.name]
        return _add(reading, draft, at, seconds, item, follower, through=then)
    if follower.kind == "number":
        return _number_without_unit(reading, at, then)
    return False


def _number_without_unit(reading: Reading, at: int, then: int) -> bool:
    """Refuse `every 5` and `every 5 parsecs`."""
    first, count = reading.items[at], reading.items[then]
    value = plain(count.number)
    follower = reading.free(then + 1)
    unit = follower if follower is not None and follower.kind == "unknown" else None
    near = (f"every {value}s", f"every {value}m")
    if unit is None:
        detail = f"every {value} what? Say a unit: {value}s, {value}m"
        reading.refuse("missing_unit", detail, first, count, did_you_mean=near, instead=near[0])
    else:
        units = nearest(unit.written, [u for u in UNITS if len(u) > 2], limit=2)
        did_you_mean = (*(f"every {value} {u}" for u in units), *near)
        detail = f'I don\'t know the unit "{unit.written}"'
        reading.refuse("unknown_unit", detail, first, unit, did_you_mean=did_you_mean,
                       instead=did_you_mean[0])  # fmt: skip
        unit.take("unparsed")
    _take(reading, at, then, "unparsed", "")
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
        count = plain(last.number)
        detail = f"{count}M may be {count} minutes or {count} months"
        reading.refuse("ambiguous_unit", detail, last,
                       did_you_mean=(f"{count}m", f"{count}mo"), instead=f"{count}m")  # fmt: skip
    elif _in_range(reading, seconds, timed, last, whole=first):
        draft.intervals.append(Interval(round(seconds, 3), at, first, last))
    _take(reading, at, at if through is None else through, "interval", written(max(seconds, 0)))
    return True


def _in_range(
    reading: Reading, seconds: float, timed: Item, last: Item, *, whole: Item | None = None
) -> bool:
    if MIN_INTERVAL_S <= seconds <= MAX_INTERVAL_S:
        return True
    near = "100ms" if seconds < MIN_INTERVAL_S else "1d"
    detail = "an interval is from 100ms to 1d"
    led = whole is not None and whole is not timed
    reading.refuse("interval_out_of_range", detail, timed, last, did_you_mean=(f"every {near}",))
    trouble = reading.troubles.pop()
    first = whole or timed
    by = f"every {near}" if led or whole is timed else near
    reading.troubles.append(
        type(trouble)(
            code=trouble.code, problem=trouble.problem, edit=(first.start, last.end, by)
        )
    )
    return False


TIME_RULES: tuple[Rule, ...] = (replay, rolling_window, how_long, bars, intervals)
