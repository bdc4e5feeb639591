"""Rules about time: over what, for how long, since when, and bars."""

from __future__ import annotations

from bond_server.language.draft import Asked, Draft, Rule
from bond_server.language.durations import ADVERBS, plain, written
from bond_server.language.items import Item, Reading
from bond_server.language.times import in_range, length_at, refuse_m, take
from bond_server.language.words import CHARTS

_THEN_LIVE = frozenset({
    "go live", "then go live", "and go live", "going live", "go on live", "continue live",
    "then continue live", "then live",
})  # fmt: skip
_THAN = frozenset({"compared", "than", "compare"})
_REPLAYED = ("symbol", "field", "join", "swap")
_WEEK_S = 604_800.0
_LOOSE = ("filler", "mark", "join")


def replay(reading: Reading, draft: Draft) -> None:
    """Read `replay the last 5 minutes`, and `from 5 minutes ago`."""
    for at, _ in list(reading.every("key")):
        item = reading.items[at]
        if item.role is None and item.is_key("replay"):
            then = reading.skip(at + 1)
            while (lead := reading.free(then)) and _leads_to_past(lead):
                then = reading.skip(then + 1)
            led = reading.items[then - 1]
            is_apart = led.kind in _REPLAYED  # `replay BTC price 5s` says how often
            length = None if is_apart else length_at(reading, then)
            if length is not None:
                draft.replay_s = length
                behind = reading.free(then + 1)
                then += behind is not None and behind.written == "first"
                for taken in reading.items[at : then + 1]:
                    if taken.kind not in _REPLAYED:
                        taken.take("time", f"replay {written(length)}")
                continue
            before = reading.skip(at - 1, step=-1)
            length = length_at(reading, before)
            if length is not None:
                lead = reading.free(before - 1)
                first = before - 1 if lead is not None and lead.is_key("last") else before
                draft.replay_s = length
                take(reading, first, at, "time", f"replay {written(length)}")
        elif item.role is None and item.is_key("ago"):
            length = length_at(reading, at - 1)
            led_at = reading.skip(at - 2, over=("filler", "mark"), step=-1)
            if length is not None and not _refuse_then(reading, led_at, item):
                draft.replay_s = length
                is_led = led_at >= 0 and reading.items[led_at].is_key("since", "from")
                take(reading, led_at if is_led else at - 1, at, "time", f"replay {written(length)}")


def _refuse_then(reading: Reading, at: int, last: Item) -> bool:
    """Refuse to compare with the past: `price vs 5 minutes ago`."""
    lead = reading.free(at)
    if lead is None or not (lead.is_key("against") or lead.written in _THAN):
        return False
    detail = "a record isn't compared with an earlier one; returns are, and changes in conditions"
    reading.refuse("unsupported", detail, lead, last, did_you_mean=("returns",), instead="")
    for item in reading.items[at : reading.items.index(last) + 1]:
        item.take("unparsed")
    return True


def _leads_to_past(item: Item) -> bool:
    """Whether it may stand between `replay` and how much of the past."""
    return item.kind in _REPLAYED or item.is_key("last", "for", "from", "next", "by", "over", "in")


def rolling_window(reading: Reading, draft: Draft) -> None:
    """Read `over the last minute` and `rolling 5m`, and `for the last hour` as a replay."""
    for at, item in list(reading.every("key", "agg")):
        if item.is_key("last"):
            _last(reading, draft, at)
        elif item.is_key("rolling") or item.written.startswith("moving"):
            _rolling(reading, draft, at)
        elif item.is_key("over") and item.written == "over":
            then = reading.skip(at + 1)
            length = length_at(reading, then)
            if length is not None:
                draft.window_s = length
                take(reading, at, then, "time", f"over {written(length)}")


def _last(reading: Reading, draft: Draft, at: int) -> None:
    then = reading.skip(at + 1)
    length = length_at(reading, then)
    if length is None:
        return
    first = reading.skip(at - 1, step=-1)
    before = reading.free(first)
    if _is_calendar(reading, at, then):
        detail = f'"last {reading.items[then].written}": a stream is of what happens from now on'
        span = reading.items[at], reading.items[then]
        near = (f"over the last {written(length)}",)
        reading.refuse("unsupported", detail, *span, did_you_mean=near, instead=near[0])
        take(reading, at, then, "unparsed", "")
        return
    summed = any(True for _ in reading.every("agg"))
    # Bars don't overlap: `1m candles, last 2 hours` asks for those that there were, as does
    # `the last 2 hours of trades, then live`.
    drawn = any(True for _ in reading.every("bars"))
    drawn |= any(item.written in _THEN_LIVE for item in reading.items)
    if (drawn or (before is not None and before.is_key("for", "from"))) and not summed:
        first = first if before is not None and before.is_key("for", "from", "over", "in") else at
        draft.replay_s = length
        take(reading, first, then, "time", f"replay {written(length)}")
        return
    draft.window_s = length
    led = before is not None and before.is_key("over", "in", "for", "from")
    take(reading, first if led else at, then, "time", f"over {written(length)}")


def _is_calendar(reading: Reading, at: int, then: int) -> bool:
    """Whether it is `BTC price last week`, and not `over the last week`."""
    before = reading.items[at - 1] if at else None
    led = before is not None and (
        before.written == "the" or before.is_key("over", "in", "for", "from")
    )
    return reading.items[then].kind == "unit" and length_at(reading, then) == _WEEK_S and not led


def _rolling(reading: Reading, draft: Draft, at: int) -> None:
    before, after = reading.skip(at - 1, step=-1), reading.skip(at + 1, over=("filler", "agg"))
    for place in (before, after):
        length = length_at(reading, place)
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
        length = length_at(reading, then)
        after = reading.free(reading.skip(then + 1, over=_LOOSE))
        if length is None or (after is not None and after.kind == "bars"):
            continue
        if item.is_key("next") and length == _WEEK_S and reading.items[then].kind == "unit":
            detail = f'"next {reading.items[then].written}": a stream begins now'
            near = f"for {written(length)}"
            reading.refuse("unsupported", detail, item, reading.items[then],
                           did_you_mean=(near,), instead=near)  # fmt: skip
            take(reading, at, then, "unparsed", "")
            continue
        draft.duration_s = length
        take(reading, at, then, "time", f"for {written(length)}")


def the_past(reading: Reading, _: Draft) -> None:
    """Refuse `replay BTC trades of yesterday`: no stream has what was before it."""
    for _at, item in list(reading.every("key")):
        if item.is_key("past", "replay"):
            detail = (
                f'"{item.written}": a stream is of what happens from now on. Its own last minutes '
                "can be replayed, and a file that `bond record` wrote, with `bond replay FILE`"
            )
            near = ("replay the last 5 minutes",)
            reading.refuse("unsupported", detail, item, did_you_mean=near, instead="")
            item.take("unparsed")


def bars(reading: Reading, draft: Draft) -> None:
    """Read `1m candles`, `5m and 15m OHLCV`, `hourly bars`, `100-tick bars`, `candles 1m`."""
    for at, item in list(reading.every("bars")):
        draft.bars = True
        draft.asked.append(Asked("bars", at))
        found = (
            _counted_bar(reading, draft, at)
            or _counted_behind(reading, draft, at)
            or _bar_lengths(reading, draft, at, -1)
        )
        if not found:
            _bar_lengths(reading, draft, at, 1)
        item.take("field", "bars")
        if item.name in CHARTS:
            draft.assumed.append(f"{item.name}=the bars that it is made of")


def _counted_bar(reading: Reading, draft: Draft, at: int) -> bool:
    unit_at = reading.skip(at - 1, over=("mark",), step=-1)
    unit = reading.free(unit_at)
    is_tick = unit is not None and (unit.is_key("tick") or unit.written == "trade")
    is_volume = unit is not None and unit.kind == "field" and unit.name == "volume"
    if unit is None or not (is_tick or is_volume):
        return False
    between = ("mark", "join", "symbol") if is_volume else ("mark", "join")
    number_at = reading.skip(unit_at - 1, over=between, step=-1)
    count = reading.free(number_at)
    if count is None or count.kind != "number":  # `tick bars of 100`
        behind = reading.skip(at + 1)
        lead, number = reading.free(behind - 1), reading.free(behind)
        if lead is not None and lead.written == "of" and number is not None:
            number_at, count = behind, number
    if count is None or count.kind != "number" or count.number <= 0:
        if is_tick:
            last = reading.items[at]
            detail = "how many ticks are in a bar? Say 100-tick bars"
            near = ("100-tick bars", "1m bars")
            reading.refuse("missing_number", detail, unit, last, did_you_mean=near,
                           instead=near[0])  # fmt: skip
            unit.take("unparsed")
        return is_tick
    if count.unit or (is_tick and count.number != int(count.number)):
        return False
    draft.timeframes.append(f"{plain(count.number)}{'ticks' if is_tick else 'vol'}")
    for item in reading.items[min(number_at, unit_at) : max(number_at, at) + 1]:
        if item.role is None and item.symbol is None:
            item.take("interval", draft.timeframes[-1])
    return True


def _counted_behind(reading: Reading, draft: Draft, at: int) -> bool:
    """Read `bars every 500 trades`, and `BTC bars per 10 BTC` and `every 10 BTC traded`."""
    number_at = at + 1
    while (item := reading.free(number_at)) and (
        item.kind in {*_LOOSE, "symbol", "venue"} or item.is_key("for", "from", "every")
    ):
        number_at += 1
    lead, count, unit = (reading.free(number_at + n) for n in (-1, 0, 1))
    if lead is None or not (lead.is_key("every") or lead.written == "of"):
        return False
    if count is None or unit is None or count.kind != "number" or count.unit or count.number <= 0:
        return False
    is_whole = count.number == int(count.number)
    if is_whole and (unit.is_key("tick") or (unit.kind == "field" and unit.name == "trades")):
        draft.timeframes.append(f"{plain(count.number)}ticks")
    elif unit.symbol is not None and _bases(reading) == {unit.symbol.base}:
        draft.timeframes.append(f"{plain(count.number)}vol")
    else:
        return False
    last = number_at + 1
    behind = reading.free(last + 1)
    if unit.symbol is not None and behind is not None and behind.written in {"traded", "volume"}:
        last += 1
    for item in reading.items[number_at - 1 : last + 1]:
        if item.symbol is None:
            item.take("interval", draft.timeframes[-1])
    return True


def _bases(reading: Reading) -> set[str]:
    return {item.symbol.base for _, item in reading.every("symbol") if item.symbol is not None}


def _bar_lengths(reading: Reading, draft: Draft, at: int, step: int) -> bool:
    """Collect the durations listed beside the bars, on one side of them."""
    found: list[tuple[int, Item]] = []
    place = at + step
    while True:
        place = reading.skip(place, over=(*_LOOSE, "symbol", "swap"), step=step)
        item = reading.free(place)
        if item is None or item.kind not in {"duration", "adverb"}:
            break
        lead = reading.free(reading.skip(place - 1, step=-1))
        if found and lead is not None and lead.is_key("every"):
            break  # `tweets every 5s, 1m candles`
        found.append((place, item))
        place += step
    for _, item in found[:: -1 if step < 0 else 1]:
        _add_bar(reading, draft, item)
    return bool(found)


def _add_bar(reading: Reading, draft: Draft, item: Item) -> None:
    if item.unit == "M":
        refuse_m(reading, item)
        item.take("unparsed")
        return
    seconds = ADVERBS[item.name] if item.kind == "adverb" else item.number
    if in_range(reading, seconds, item, item):
        draft.timeframes.append(written(seconds))
        item.take("interval", written(seconds))


TIME_RULES: tuple[Rule, ...] = (replay, rolling_window, how_long, bars, the_past)
