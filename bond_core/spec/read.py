"""Read a spec as users write it, and refuse what makes no sense, everything at once.

    {"sources": [{"type": "ccxt", "symbols": ["BTC/USDT"]}], "interval_sec": 5,
     "symbols": ["BTC/USDT"]}

Every `*_sec` key takes a number of seconds or a duration (`"1m30s"`). Which types, venues
and symbols exist is not known here: binding to the installed plugins checks that.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bond_core.errors import Problem, RequestError
from bond_core.model.instrument import parse_symbol
from bond_core.spec.duration import format_duration, parse_duration_ms
from bond_core.spec.stream_spec import SourceSpec, StreamOptions, StreamSpec

MIN_INTERVAL_MS, MAX_INTERVAL_MS = 100, 86_400_000
MAX_SOURCES, MAX_SYMBOLS = 8, 500
DEFAULT_INTERVAL_MS = 5_000

_SOURCE_KEYS = (
    "type", "name", "symbols", "exchanges", "fallback", "exclude_exchanges", "chain",
    "event_types", "accounts", "query", "url", "mapping", "interval_sec", "lateness_sec",
    "stale_sec", "simulate",
)  # fmt: skip
_SPEC_KEYS = (
    "sources", "symbols", "interval_sec", "timeframes", "window_sec", "fields", "filter",
    "alerts", "derived", "depth", "mode", "late", "sinks", "simulate",
)  # fmt: skip
_OPTION_KEYS = ("ephemeral", "duration_sec", "replay_sec", "label")


def read_spec(data: object, *, pointer: str = "/spec") -> tuple[StreamSpec, StreamOptions]:
    """Return the spec, and what was said beside it.

    Raises:
        RequestError: `invalid_spec`, with a problem per thing that is wrong and its pointer;
            `interval_out_of_range` where that is the only one.
    """
    reader = _Reader()
    body = reader.mapping(data, pointer, (*_SPEC_KEYS, *_OPTION_KEYS))
    options = StreamOptions(
        ephemeral=reader.flag(body, "ephemeral", pointer) or False,
        duration_ms=reader.duration(body, "duration_sec", pointer),
        replay_ms=reader.duration(body, "replay_sec", pointer),
        label=reader.text(body, "label", pointer),
    )
    sources = _read_sources(reader, body, pointer)
    symbols = reader.symbols(body, "symbols", pointer)
    if not symbols:
        symbols = tuple(dict.fromkeys(s for source in sources for s in source.symbols))
    if not symbols:
        reader.wrong(f"{pointer}/symbols", "at least one symbol is required, such as BTC/USDT")
    if len(symbols) > MAX_SYMBOLS:
        reader.wrong(f"{pointer}/symbols", f"at most {MAX_SYMBOLS} symbols, were {len(symbols)}")
    timeframes_ms = _read_timeframes(reader, body, pointer)
    interval_ms = reader.duration(body, "interval_sec", pointer)
    if interval_ms is None:
        interval_ms = min(timeframes_ms, default=DEFAULT_INTERVAL_MS)
    _check_interval(reader, interval_ms, f"{pointer}/interval_sec")
    for ms in timeframes_ms:
        if interval_ms and ms % interval_ms:
            detail = (
                f"{format_duration(ms)} is not a multiple of the interval, "
                f"{format_duration(interval_ms)}"
            )
            reader.wrong(f"{pointer}/timeframes", detail)
    fields = reader.texts(body, "fields", pointer) if "fields" in body else None
    spec = StreamSpec(
        sources=sources,
        symbols=symbols,
        interval_ms=interval_ms,
        timeframes=tuple(format_duration(ms) for ms in sorted({interval_ms, *timeframes_ms})),
        window_ms=reader.duration(body, "window_sec", pointer),
        fields=None if fields is None else tuple(sorted(set(fields))),
        filter=reader.maybe_mapping(body, "filter", pointer),
        alerts=reader.mappings(body, "alerts", pointer),
        derived=tuple(sorted(set(reader.texts(body, "derived", pointer)))),
        depth=reader.whole(body, "depth", pointer),
        mode=reader.choice(body, "mode", pointer, ("windows", "raw")),
        late=reader.choice(body, "late", pointer, ("drop", "update", "side")),
        sinks=reader.mappings(body, "sinks", pointer),
        simulate=reader.flag(body, "simulate", pointer) or False,
    )
    reader.finish()
    return spec, options


def _read_sources(
    reader: _Reader, body: Mapping[str, Any], pointer: str
) -> tuple[SourceSpec, ...]:
    given = reader.mappings(body, "sources", pointer)
    if "sources" not in body or not given:
        reader.wrong(f"{pointer}/sources", 'at least one source is required: {"type": "ccxt"}')
    if len(given) > MAX_SOURCES:
        reader.wrong(f"{pointer}/sources", f"at most {MAX_SOURCES} sources, were {len(given)}")
    return tuple(
        _read_source(reader, s, f"{pointer}/sources/{i}")
        for i, s in enumerate(given[:MAX_SOURCES])
    )


def _read_source(reader: _Reader, data: Mapping[str, Any], at: str) -> SourceSpec:
    body = reader.mapping(data, at, _SOURCE_KEYS)
    if "type" not in body:
        reader.wrong(f"{at}/type", "is required, such as ccxt")
    return SourceSpec(
        type=(reader.text(body, "type", at) or "").lower(),
        name=reader.text(body, "name", at) or "",
        symbols=reader.symbols(body, "symbols", at),
        exchanges=_lower_set(reader.texts(body, "exchanges", at)),
        fallback=tuple(dict.fromkeys(t.lower() for t in reader.texts(body, "fallback", at))),
        exclude_exchanges=_lower_set(reader.texts(body, "exclude_exchanges", at)),
        chain=reader.text(body, "chain", at),
        event_types=tuple(sorted(set(reader.texts(body, "event_types", at)))),
        accounts=tuple(sorted(set(reader.texts(body, "accounts", at)))),
        query=reader.text(body, "query", at),
        url=reader.text(body, "url", at),
        mapping=reader.maybe_mapping(body, "mapping", at),
        interval_ms=reader.duration(body, "interval_sec", at),
        lateness_ms=reader.duration(body, "lateness_sec", at),
        stale_ms=reader.duration(body, "stale_sec", at),
        simulate=reader.flag(body, "simulate", at),
    )


def _read_timeframes(reader: _Reader, body: Mapping[str, Any], pointer: str) -> tuple[int, ...]:
    lengths = []
    for i, text in enumerate(reader.texts(body, "timeframes", pointer)):
        ms = parse_duration_ms(text)
        if ms is None:
            detail = f"{text!r} is not a window length, such as 1m"
            reader.wrong(f"{pointer}/timeframes/{i}", detail, text)
        else:
            _check_interval(reader, ms, f"{pointer}/timeframes/{i}")
            lengths.append(ms)
    return tuple(lengths)


def _check_interval(reader: _Reader, ms: int, at: str) -> None:
    if not MIN_INTERVAL_MS <= ms <= MAX_INTERVAL_MS:
        near = "100ms" if ms < MIN_INTERVAL_MS else "1d"
        detail = f"must be from 0.1 s to 86,400 s, was {format_duration(ms)}"
        reader.wrong(at, detail, format_duration(ms), (near,), code="interval_out_of_range")


def _lower_set(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({t.lower() for t in texts}))


class _Reader:
    """Takes values out of mappings and remembers what was wrong with them."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._codes: set[str] = set()

    def wrong(
        self, at: str, detail: str, text: str | None = None,
        did_you_mean: tuple[str, ...] = (), code: str = "invalid_spec",
    ) -> None:  # fmt: skip
        self._codes.add(code)
        self._problems.append(
            Problem(detail=detail, pointer=at, text=text, did_you_mean=did_you_mean)
        )

    def finish(self) -> None:
        if not self._problems:
            return
        first = self._problems[0]
        more = len(self._problems) - 1
        raise RequestError(
            f"{first.pointer}: {first.detail}" + (f" (and {more} more)" if more else ""),
            code=self._codes.pop() if len(self._codes) == 1 else "invalid_spec",
            problems=self._problems,
        )

    def mapping(self, value: object, at: str, known: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.wrong(at, f"must be an object, was {_type_name(value)}")
            return {}
        for key in value:
            if key not in known:
                near = tuple(difflib.get_close_matches(str(key), known, n=3))
                self.wrong(f"{at}/{key}", f"unknown key {key!r}", str(key), near)
        return value

    def _get(
        self, body: Mapping[str, Any], key: str, at: str, what: str, fits: Callable[[Any], bool]
    ) -> Any:
        value = body.get(key)
        if value is None or fits(value):
            return value
        self.wrong(f"{at}/{key}", f"must be {what}, was {_type_name(value)}")
        return None

    def text(self, body: Mapping[str, Any], key: str, at: str) -> str | None:
        value: str | None = self._get(body, key, at, "a text", lambda v: isinstance(v, str))
        return value

    def flag(self, body: Mapping[str, Any], key: str, at: str) -> bool | None:
        value: bool | None = self._get(
            body, key, at, "true or false", lambda v: isinstance(v, bool)
        )
        return value

    def whole(self, body: Mapping[str, Any], key: str, at: str) -> int | None:
        value: int | None = self._get(
            body, key, at, "a whole number above 0",
            lambda v: isinstance(v, int) and not isinstance(v, bool) and v > 0,
        )  # fmt: skip
        return value

    def duration(self, body: Mapping[str, Any], key: str, at: str) -> int | None:
        if body.get(key) is None:
            return None
        ms = parse_duration_ms(body[key])
        if ms is None or ms < 0:
            self.wrong(f"{at}/{key}", "must be a number of seconds or a duration such as 1m30s",
                       str(body[key])[:40])  # fmt: skip
            return None
        return ms

    def texts(self, body: Mapping[str, Any], key: str, at: str) -> tuple[str, ...]:
        value = body.get(key)
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            self.wrong(f"{at}/{key}", "must be a list of texts")
            return ()
        return tuple(value)

    def symbols(self, body: Mapping[str, Any], key: str, at: str) -> tuple[str, ...]:
        symbols = tuple(dict.fromkeys(s.strip().upper() for s in self.texts(body, key, at)))
        for i, symbol in enumerate(symbols):
            if parse_symbol(symbol) is None:
                detail = f"{symbol!r} is not a symbol, such as BTC/USDT, BTC/USDT:USDT or AAPL"
                self.wrong(f"{at}/{key}/{i}", detail, symbol)
        return symbols

    def mappings(
        self, body: Mapping[str, Any], key: str, at: str
    ) -> tuple[Mapping[str, Any], ...]:
        value = body.get(key)
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, Mapping) for v in value):
            self.wrong(f"{at}/{key}", "must be a list of objects")
            return ()
        return tuple(value)

    def maybe_mapping(
        self, body: Mapping[str, Any], key: str, at: str
    ) -> Mapping[str, Any] | None:
        value: Mapping[str, Any] | None = self._get(
            body, key, at, "an object", lambda v: isinstance(v, Mapping)
        )
        return value

    def choice(
        self, body: Mapping[str, Any], key: str, at: str, choices: tuple[str, ...]
    ) -> str:
        value = self.text(body, key, at)
        if value is None:
            return choices[0]
        if value not in choices:
            near = tuple(difflib.get_close_matches(value, choices, n=1))
            self.wrong(f"{at}/{key}", f"must be one of {', '.join(choices)}", value, near)
        return value


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
