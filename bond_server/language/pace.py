"""Decide how often records come: one interval for the stream, and those of single sources."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from bond_core.spec.read import MAX_PANES
from bond_server.language.draft import Asked, Draft, Interval
from bond_server.language.durations import MIN_INTERVAL_S, UNITS, whole_ms, written
from bond_server.language.items import Reading

DEFAULT_INTERVAL_S = 5.0
DEFAULT_TIMEFRAME_S = 60.0
UNFIT_WINDOW = "unfit_window"
_USUAL_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 21_600, 86_400)


@attrs.frozen(kw_only=True)
class Pace:
    """How often.

    Attributes:
        interval_sec: Of the stream; None where records don't come by the clock.
        own: Family → the interval it has for itself.
        timeframes: The lengths of its bars.
        assumed: The defaults that were taken.
    """

    interval_sec: float | None
    own: Mapping[str, float] = attrs.field(factory=dict)
    timeframes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def pace(reading: Reading, draft: Draft, choices: Mapping[str, list[Asked]]) -> Pace:
    """Return the pace; two intervals for one thing are noted as a reason to refuse."""
    own = _intervals(reading, draft, choices)
    base = min(own.values(), default=None)
    apart = {family: s for family, s in own.items() if base is not None and s != base}
    timeframes = tuple(dict.fromkeys(draft.timeframes))
    assumed: tuple[str, ...] = ()
    if draft.bars and not timeframes:
        drawn = [f for f, asked in choices.items() if any(a.word == "price" for a in asked)]
        seconds = own.get(drawn[0] if drawn else "", base or DEFAULT_TIMEFRAME_S)
        timeframes = (written(seconds),)
        if base is None:
            assumed = (f"timeframe={timeframes[0]}",)
            reading.warn("defaulted_timeframe", f"bars of {timeframes[0]}: no length was said")
    lengths = [s for s in map(_seconds, timeframes) if s is not None]
    interval = base if base is not None else min(lengths, default=None)
    if interval is None and not (timeframes or draft.raw):
        interval = _default_interval(draft) if draft.window_s is None else _paced(draft.window_s)
        assumed = (*assumed, f"interval={written(interval)}")
        detail = f"one event every {written(interval)}: no interval was said"
        reading.warn("defaulted_interval", detail)
    _check_multiples(reading, interval, lengths)
    _check_window(reading, draft, interval)
    return Pace(interval_sec=interval, own=apart, timeframes=timeframes, assumed=assumed)


def _default_interval(draft: Draft) -> float:
    """Return the usual interval, or a shorter one where a condition looks at so short a time."""
    thresholds = [t for group in draft.filters for t in group]
    thresholds += [t for alert in draft.alerts for t in alert.thresholds]
    windows = [t.condition.get("window_sec") for t in thresholds]
    lengths = [round(window * 1000) for window in windows if isinstance(window, int | float)]
    common = math.gcd(round(DEFAULT_INTERVAL_S * 1000), *lengths) / 1000
    return whole_ms(common) if common >= MIN_INTERVAL_S else DEFAULT_INTERVAL_S


def _paced(window_s: float) -> float:
    """Return the shortest usual interval that a window may be made of, or the window itself."""
    fitting = (s for s in _USUAL_S if s >= DEFAULT_INTERVAL_S and _makes_up(s, window_s))
    return next(fitting, window_s)


def _makes_up(interval_s: float, window_s: float) -> bool:
    """Whether so many intervals make up a window, and not too many."""
    interval_ms, window_ms = round(interval_s * 1000), round(window_s * 1000)
    return window_ms % interval_ms == 0 and window_ms <= MAX_PANES * interval_ms


def _check_window(reading: Reading, draft: Draft, interval_s: float | None) -> None:
    """Tell of a window that records of this interval don't make up: no stream can have it."""
    window_s = draft.window_s
    if window_s is None or interval_s is None or _makes_up(interval_s, window_s):
        return
    every, window = written(interval_s), written(window_s)
    detail = f"{window} is no multiple of {every}"
    if window_s > MAX_PANES * interval_s:
        detail = f"{window} is more than {MAX_PANES} records of {every}"
    near = next((s for s in _USUAL_S if s >= interval_s and _makes_up(s, window_s)), window_s)
    spans = [i for i in draft.intervals if i.seconds == interval_s]
    first, last = (spans[0].first, spans[0].last) if spans else (None, None)
    instead = f"every {written(near)}"
    reading.warn(UNFIT_WINDOW, detail, first, last, instead=instead)


def _seconds(timeframe: str) -> float | None:
    """Return the length of `5m`; None for bars that are not of time (`100ticks`)."""
    count = timeframe.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = timeframe[len(count) :]
    return float(count) * UNITS[unit] if unit in UNITS else None


def _check_multiples(reading: Reading, interval: float | None, lengths: Iterable[float]) -> None:
    if interval is None:
        return
    for length in lengths:
        if round(length * 1000) % round(interval * 1000):
            detail = f"bars of {written(length)} are no multiple of {written(interval)}"
            reading.refuse("conflicting_interval", detail, did_you_mean=(written(interval),))


def _intervals(
    reading: Reading, draft: Draft, choices: Mapping[str, list[Asked]]
) -> dict[str, float]:
    """Return family → seconds: each interval goes with the words of its own clause.

    `BTC price every 1s, tweets every 30s` says the interval last, `every 1s price, every 30s
    tweets` says it first; what comes first in the sentence decides which it is.
    """
    found = sorted(draft.intervals, key=lambda i: i.place)
    if len(found) < 2:
        return {family: whole_ms(i.seconds) for i in found for family in choices}
    first_word = min((a.place for asked in choices.values() for a in asked), default=0)
    said_first = found[0].place < first_word
    own: dict[str, tuple[float, Interval]] = {}
    for n, interval in enumerate(found):
        families = _clause(found, n, choices, said_first=said_first)
        if not families:
            families = tuple(own) or tuple(choices)
        for family in families:
            known = own.setdefault(family, (whole_ms(interval.seconds), interval))
            if known[0] != whole_ms(interval.seconds):
                _refuse_second(reading, known[1], interval)
                return {}
    base = min(seconds for seconds, _ in own.values())
    return {family: own[family][0] if family in own else base for family in choices}


def _clause(
    found: list[Interval], n: int, choices: Mapping[str, list[Asked]], *, said_first: bool
) -> tuple[str, ...]:
    """Return the families whose words stand in the clause of the n-th interval."""
    here = found[n].place
    end = found[-1].place
    places = [a.place for asked in choices.values() for a in asked]
    behind_its_word = said_first and max(places, default=end) < end
    if said_first:
        low, high = here, found[n + 1].place if n + 1 < len(found) else 10**9
        if behind_its_word and high == end:  # `hourly tweets and the price every 10s`
            high = max(places)
        elif behind_its_word and here == end:
            low, high = max(places) - 1, end
    else:
        low, high = found[n - 1].place if n else -1, here
    return tuple(
        family for family, asked in choices.items() if any(low < a.place < high for a in asked)
    )


def _refuse_second(reading: Reading, first: Interval, second: Interval) -> None:
    a, b = f"every {written(first.seconds)}", f"every {written(second.seconds)}"
    reading.refuse(
        "conflicting_interval", f"{a}, or {b}? A source has one interval",
        second.first, second.last, did_you_mean=(a, b), instead="",
    )  # fmt: skip
