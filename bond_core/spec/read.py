"""Read a spec as users write it, and refuse what makes no sense, everything at once.

    {"sources": [{"type": "ccxt", "symbols": ["BTC/USDT"]}], "interval_sec": 5,
     "symbols": ["BTC/USDT"]}

What keys there are stands in `given.py`; here defaults are resolved. Which types, venues and
symbols exist is not known here: binding to the installed plugins checks that.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from cattrs import Converter

from bond_core.errors import RequestError
from bond_core.spec.bar_size import BarSize
from bond_core.spec.duration import format_duration
from bond_core.spec.given import (
    MAX_INTERVAL_MS,
    MIN_INTERVAL_MS,
    SinkInput,
    SourceInput,
    SpecInput,
    Texts,
    spec_converter,
)
from bond_core.spec.mend import EXAMPLE, MAX_ITEMS, mended
from bond_core.spec.stream_spec import SinkEntry, SourceSpec, StreamOptions, StreamSpec
from bond_core.structuring import MisfitError, structured

__all__ = [
    "DEFAULT_INTERVAL_MS",
    "MAX_INTERVAL_MS",
    "MAX_SOURCES",
    "MAX_SYMBOLS",
    "MIN_INTERVAL_MS",
    "read_spec",
]

DEFAULT_INTERVAL_MS = 5_000
DEFAULT_BARS_INTERVAL_MS = 1_000
DEFAULT_CORRECTIONS_MS = 60_000
MAX_PANES = 1_500
"""As many small windows are kept for what overlaps, or may be sent again: it bounds memory."""

MAX_SOURCES, MAX_SYMBOLS = MAX_ITEMS["sources"], MAX_ITEMS["symbols"]

_MENDING_ROUNDS = 4
_MOST_PROBLEMS = 100


def read_spec(data: object, *, pointer: str = "/spec") -> tuple[StreamSpec, StreamOptions]:
    """Return the spec, and what was said beside it.

    Args:
        data: The spec as plain data.
        pointer: JSON pointer of `data` in the request.

    Raises:
        RequestError: `invalid_spec`, with a problem per thing that is wrong and its pointer,
            and a `fix`: the spec mended where that can be done, else an example, as JSON.
            `interval_out_of_range` or `unsupported` where nothing else is wrong.
    """
    given, misfits = _examine(data)
    if misfits:
        _refuse(data, misfits, pointer)
    return _spec(given), StreamOptions(
        ephemeral=given.ephemeral or False,
        duration_ms=given.duration_sec,
        replay_ms=given.replay_sec,
        label=given.label,
    )


@functools.cache
def _converter() -> Converter:
    return spec_converter()


def _examine(data: object) -> tuple[Any, list[MisfitError]]:
    """Return the input, and what is wrong with it: contradictions once all values are right."""
    given, misfits = structured(_converter(), SpecInput, data)
    return given, misfits or list(_contradictions(given))


def _refuse(data: object, misfits: list[MisfitError], pointer: str) -> NoReturn:
    """Raise for all misfits, and for the contradictions that show once they are mended."""
    told = {_key(misfit) for misfit in misfits}
    fix, wrong = data, misfits
    for _ in range(_MENDING_ROUNDS):
        fix = mended(fix, wrong)
        given, wrong = _examine(fix)
        if not wrong:
            break
        if given is not None:
            # What comes of a mistake that was told, or of mending it, is no mistake.
            misfits += [misfit for misfit in wrong if not told & _COMES_OF[_key(misfit)]]
    else:
        fix = EXAMPLE
    problems = [misfit.as_problem(pointer) for misfit in misfits]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    codes = {misfit.code or "invalid_spec" for misfit in misfits}
    raise RequestError(
        f"{problems[0].pointer}: {problems[0].detail}{more}",
        code=codes.pop() if len(codes) == 1 else "invalid_spec",
        problems=problems[:_MOST_PROBLEMS],
        fix=json.dumps(_without_secrets(fix)),
    )


def _without_secrets(fix: Any) -> Any:
    """Return the fix without those sinks that seem to hold a secret in clear: it isn't repeated."""
    sinks = fix.get("sinks") if isinstance(fix, Mapping) else None
    if not isinstance(sinks, (list, tuple)):
        return fix
    return {**fix, "sinks": [sink for sink in sinks if not _holds_a_secret(sink)]}


def _holds_a_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            _holds_a_secret(item)
            or (_SECRET_KEY.search(str(key)) is not None and isinstance(item, (str, list, tuple)))
            for key, item in value.items()
        )
    return isinstance(value, str) and "whsec_" in value


_SECRET_KEY = re.compile(r"secret|token|passw|credential|auth|api_?key", re.IGNORECASE)


def _key(misfit: MisfitError) -> str:
    """Return the innermost key that a misfit's pointer names."""
    return next((s for s in reversed(misfit.pointer.split("/")) if not s.isdecimal()), "")


_COMES_OF = {
    "sources": {"sources"},
    "symbols": {"sources", "symbols"},
    "timeframes": {"timeframes", "interval_sec"},
    "window_sec": {"window_sec", "timeframes", "interval_sec"},
    "corrections_sec": {"corrections_sec", "late", "interval_sec"},
    "fields": {"fields"},
    "derived": {"derived"},
    "alerts": {"alerts"},
    "sinks": {"sinks"},
}
"""By the key of a contradiction, the keys it comes of."""


def _contradictions(given: SpecInput) -> Iterator[MisfitError]:
    """Yield what is wrong between values that are right one by one."""
    symbols = _symbols(given)
    if not given.sources:
        yield MisfitError('at least one source is required: {"type": "ccxt"}', pointer="/sources")
    if not symbols:
        yield MisfitError("at least one symbol is required, such as BTC/USDT", pointer="/symbols")
    if given.fields == ():
        yield MisfitError("name at least one field, or leave it out", pointer="/fields")
    lists = {
        "sources": given.sources, "symbols": symbols, "timeframes": given.timeframes or (),
        "fields": given.fields or (), "derived": given.derived or (),
        "alerts": given.alerts or (), "sinks": given.sinks or (),
    }  # fmt: skip
    for key, items in lists.items():
        if len(items) > (most := MAX_ITEMS[key]):
            yield MisfitError(f"at most {most} {key}, were {len(items)}", pointer=f"/{key}")
    interval_ms = _interval_ms(given)
    for i, ms in enumerate(given.timeframes or ()):
        if isinstance(ms, int) and ms % interval_ms:
            length, interval = format_duration(ms), format_duration(interval_ms)
            yield MisfitError(
                f"{length} is not a multiple of the interval, {interval}",
                pointer=f"/timeframes/{i}", text=length,
            )  # fmt: skip
    if given.window_sec is not None:
        others = [ms for ms in _timed(given) if ms != interval_ms] or _bars(given)
        yield from _wrong_window(given.window_sec, interval_ms, has_others=bool(others))
    if given.corrections_sec is not None:
        yield from _wrong_corrections(given.corrections_sec, interval_ms, given.late)


def _wrong_window(window_ms: int, interval_ms: int, *, has_others: bool) -> Iterator[MisfitError]:
    length, interval = format_duration(window_ms), format_duration(interval_ms)
    if has_others:
        yield MisfitError("windows that overlap have one length", pointer="/timeframes")
    if window_ms % interval_ms:
        yield MisfitError(
            f"{length} is not a multiple of the interval, {interval}",
            pointer="/window_sec", text=length,
        )  # fmt: skip
    elif window_ms > MAX_PANES * interval_ms:
        yield MisfitError(
            f"at most {MAX_PANES} intervals of {interval}, was {length}",
            pointer="/window_sec", text=length,
            did_you_mean=(format_duration(MAX_PANES * interval_ms),),
        )  # fmt: skip


def _wrong_corrections(
    corrections_ms: int, interval_ms: int, late: str | None
) -> Iterator[MisfitError]:
    text, pointer = format_duration(corrections_ms), "/corrections_sec"
    if late != "update":
        yield MisfitError('goes with "late": "update" only', pointer=pointer, text=text)
    elif corrections_ms > MAX_PANES * interval_ms:
        yield MisfitError(
            f"at most {MAX_PANES} intervals of {format_duration(interval_ms)}, was {text}",
            pointer=pointer, text=text,
            did_you_mean=(format_duration(MAX_PANES * interval_ms),),
        )  # fmt: skip


def _spec(given: SpecInput) -> StreamSpec:
    interval_ms = _interval_ms(given)
    lengths_ms = sorted({interval_ms, *_timed(given)})
    return StreamSpec(
        sources=tuple(_source(source) for source in given.sources),
        symbols=_symbols(given),
        interval_ms=interval_ms,
        timeframes=(*map(format_duration, lengths_ms), *map(str, _bars(given))),
        window_ms=None if given.window_sec == interval_ms else given.window_sec,
        fields=None if given.fields is None else _as_set(given.fields),
        filter=given.filter,
        alerts=given.alerts or (),
        derived=_as_set(given.derived),
        depth=given.depth,
        mode=given.mode or "windows",
        late=given.late or "drop",
        corrections_ms=_corrections_ms(given),
        fill=given.fill or "null",
        sinks=tuple(_sink(sink) for sink in given.sinks or ()),
        simulate=given.simulate or False,
    )


def _corrections_ms(given: SpecInput) -> int | None:
    if given.late != "update":
        return None
    if given.corrections_sec is not None:
        return given.corrections_sec
    return DEFAULT_CORRECTIONS_MS


def _source(given: SourceInput) -> SourceSpec:
    return SourceSpec(
        type=given.type.lower(),
        name=given.name or "",
        symbols=_unique(given.symbols),
        exchanges=_as_set(_lower(given.exchanges)),
        fallback=_unique(_lower(given.fallback)),
        exclude_exchanges=_as_set(_lower(given.exclude_exchanges)),
        chain=given.chain,
        event_types=_as_set(given.event_types),
        accounts=_as_set(given.accounts),
        query=given.query,
        url=given.url,
        mapping=given.mapping,
        interval_ms=given.interval_sec,
        lateness_ms=given.lateness_sec,
        stale_ms=given.stale_sec,
        simulate=given.simulate,
    )


def _sink(given: SinkInput) -> SinkEntry:
    return SinkEntry(
        type=given.type.lower(),
        name=given.name or "",
        batch_records=given.batch_records,
        batch_bytes=given.batch_bytes,
        batch_wait_ms=given.batch_wait_sec,
        config=given.config,
    )


def _interval_ms(given: SpecInput) -> int:
    if given.interval_sec is not None:
        return given.interval_sec
    # Bars are looked for as often as panes close.
    default_ms = DEFAULT_BARS_INTERVAL_MS if _bars(given) else DEFAULT_INTERVAL_MS
    return min(_timed(given), default=default_ms)


def _timed(given: SpecInput) -> list[int]:
    """Return the timeframes that are times, ms."""
    return [each for each in given.timeframes or () if isinstance(each, int)]


def _bars(given: SpecInput) -> list[BarSize]:
    """Return the timeframes that are no times, once each, in order."""
    return sorted({each for each in given.timeframes or () if isinstance(each, BarSize)})


def _symbols(given: SpecInput) -> tuple[str, ...]:
    """Return the stream's symbols: its own, else those of its sources, in their order."""
    return _unique(given.symbols) or _unique(
        symbol for source in given.sources for symbol in source.symbols or ()
    )


def _unique(texts: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts or ()))


def _as_set(texts: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(sorted(set(texts or ())))


def _lower(texts: Texts) -> tuple[str, ...]:
    return tuple(text.lower() for text in texts or ())
