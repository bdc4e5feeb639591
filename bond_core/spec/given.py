"""What a spec may say: its keys as users write them, and how each value is read.

A `*_sec` key takes a number of seconds or a duration (`"1m30s"`) and is held as whole
milliseconds. None is a key that was left out, or `null`.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NewType

import attrs
from cattrs import Converter

from bond_core.model.instrument import parse_symbol
from bond_core.settings import setting
from bond_core.spec.bar_size import BarSize, parse_bar_size
from bond_core.spec.conditions.given import KEYS, condition_text
from bond_core.spec.duration import parse_duration_ms
from bond_core.spec.stream_spec import SINK_KEYS, AlertSpec
from bond_core.structuring import MisfitError, must_be, shown, strict_converter, text_of

MIN_INTERVAL_MS, MAX_INTERVAL_MS = 100, 86_400_000
MAX_LATENESS_MS = 3_600_000
MAX_NAME = 100
MAX_BATCH_RECORDS, MAX_BATCH_BYTES = 100_000, 64 * 1024 * 1024

Milliseconds = NewType("Milliseconds", int)
Span = NewType("Span", int)  # milliseconds, and not 0
Patience = NewType("Patience", int)  # milliseconds to wait, and not for ever
Interval = NewType("Interval", int)
Timeframe = NewType("Timeframe", object)  # milliseconds (int), or a BarSize
Symbol = NewType("Symbol", str)
Name = NewType("Name", str)
SinkName = NewType("SinkName", str)
Json = NewType("Json", dict[str, Any])
ConditionText = NewType("ConditionText", str)  # canonical
Alert = NewType("Alert", AlertSpec)
Texts = tuple[str, ...] | None

_MAX_DEPTH = 16
_SINK_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@attrs.frozen(kw_only=True)
class SourceInput:
    """One entry of `sources`."""

    type: str
    name: Name | None = None
    symbols: tuple[Symbol, ...] | None = None
    exchanges: Texts = None
    fallback: Texts = None
    exclude_exchanges: Texts = None
    chain: str | None = None
    event_types: Texts = None
    accounts: Texts = None
    query: str | None = None
    url: str | None = None
    mapping: Json | None = None
    interval_sec: Span | None = None
    lateness_sec: Patience | None = None
    stale_sec: Span | None = None
    simulate: bool | None = None


@attrs.frozen(kw_only=True)
class AlertInput:
    """One entry of `alerts`. The keys of a condition may stand here instead of `when`."""

    when: ConditionText
    name: Name | None = None
    symbol: Symbol | None = None
    for_sec: Patience | None = None
    cooldown_sec: Milliseconds | None = None
    recover: ConditionText | None = None
    no_data_sec: Span | None = None


@attrs.frozen(kw_only=True)
class SinkInput:
    """One entry of `sinks`. Every key that isn't named here is one of the sink's own settings."""

    type: str
    name: SinkName | None = None
    batch_records: int | None = setting(
        default=None, ge=1, le=MAX_BATCH_RECORDS, doc="So many records make a batch"
    )
    batch_bytes: int | None = setting(
        default=None, ge=1, le=MAX_BATCH_BYTES, doc="So many bytes of records make a batch"
    )
    batch_wait_sec: Patience | None = None
    config: Json = attrs.field(factory=lambda: Json({}))


@attrs.frozen(kw_only=True)
class SpecInput:
    """A spec, and what a request says beside it."""

    sources: tuple[SourceInput, ...]
    symbols: tuple[Symbol, ...] | None = None
    interval_sec: Interval | None = None
    timeframes: tuple[Timeframe, ...] | None = None
    window_sec: Span | None = None
    fields: Texts = None
    filter: ConditionText | None = None
    alerts: tuple[Alert, ...] | None = None
    derived: Texts = None
    depth: int | None = setting(default=None, ge=1, doc="Levels of an order book")
    mode: Literal["windows", "raw"] | None = None
    late: Literal["drop", "update", "side"] | None = None
    corrections_sec: Patience | None = None
    fill: Literal["null", "previous", "skip"] | None = None
    sinks: tuple[SinkInput, ...] | None = None
    simulate: bool | None = None

    # Outside the hash: how long a stream lives, not what it is.
    ephemeral: bool | None = None
    duration_sec: Span | None = None
    replay_sec: Milliseconds | None = None
    label: Name | None = None


def spec_converter() -> Converter:
    """Return a converter that reads `SpecInput`."""
    converter = strict_converter()
    for kind, hook in (
        (Milliseconds, _milliseconds_of),
        (Span, _span_of),
        (Patience, _patience_of),
        (Interval, _interval_of),
        (Timeframe, _timeframe_of),
        (Symbol, _symbol_of),
        (Name, _name_of),
        (SinkName, _sink_name_of),
        (Json, _json_of),
        (ConditionText, _condition_of),
    ):
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook(Alert, functools.partial(_alert_of, converter))
    read_sink = converter.get_structure_hook(SinkInput)
    converter.register_structure_hook(SinkInput, lambda v, t: read_sink(_sink_parts(v), t))
    return converter


def _sink_parts(value: object) -> Mapping[str, Any]:
    """Return a sink's entry with its own settings apart."""
    entry = dict(_json_of(value, None))
    own = {key: entry.pop(key) for key in tuple(entry) if key not in SINK_KEYS}
    return entry | {"config": own}


def _sink_name_of(value: object, _: object) -> str:
    name = text_of(value)
    if not _SINK_NAME.fullmatch(name):
        raise MisfitError(
            f"is written like `archive` or `my-hook.2`, was {shown(name)!r}", text=shown(name)
        )
    return name


def _milliseconds_of(value: object, _: object) -> int:
    ms = parse_duration_ms(value)
    if ms is None:
        raise _no_duration("a number of seconds or a duration such as 1m30s", value)
    if ms < 0:
        raise MisfitError(f"must not be negative, was {shown(value)}", text=shown(value))
    return ms


def _patience_of(value: object, hint: object) -> int:
    ms = _milliseconds_of(value, hint)
    if ms > MAX_LATENESS_MS:
        # Windows wait so long for what may still come: a stream would never say anything.
        raise MisfitError(
            f"must be at most 1h, was {shown(value)}", text=shown(value), did_you_mean=("1h",)
        )
    return ms


def _span_of(value: object, hint: object) -> int:
    ms = _milliseconds_of(value, hint)
    if ms == 0:
        raise MisfitError(f"must be longer than 0, was {shown(value)}", text=shown(value))
    return ms


def _interval_of(value: object, _: object) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # Before anything is made of it: a number may be infinite, or have hundreds of digits.
        thousandfold = value * 1000
        if not MIN_INTERVAL_MS <= thousandfold <= MAX_INTERVAL_MS:
            raise _out_of_range(value, is_short=not thousandfold > MAX_INTERVAL_MS)
    ms = parse_duration_ms(value)
    if ms is None:
        raise _no_duration("a number of seconds or a duration such as 1m30s", value)
    return _in_range(ms, value)


def _timeframe_of(value: object, _: object) -> int | BarSize:
    text = text_of(value)
    try:
        bar = parse_bar_size(text)
    except ValueError as error:
        raise MisfitError(f"{error}, was {shown(text)}", text=shown(text)) from None
    if bar is not None:
        return bar
    ms = parse_duration_ms(text)
    if ms is None:
        raise _no_duration("a duration such as 1m, or a bar such as 100ticks or 10vol", value)
    return _in_range(ms, value)


def _no_duration(what: str, value: object) -> MisfitError:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return must_be(what, value)
    return MisfitError(
        f"must be {what}, in whole milliseconds, was {shown(value)}", text=shown(value)
    )


def _in_range(ms: int, value: object) -> int:
    if not MIN_INTERVAL_MS <= ms <= MAX_INTERVAL_MS:
        raise _out_of_range(value, is_short=ms < MIN_INTERVAL_MS)
    return ms


def _out_of_range(value: object, *, is_short: bool) -> MisfitError:
    return MisfitError(
        f"must be from 0.1 s to 86,400 s, was {shown(value)}",
        text=shown(value),
        did_you_mean=("100ms" if is_short else "1d",),
        code="interval_out_of_range",
    )


def _symbol_of(value: object, _: object) -> str:
    symbol = text_of(value).strip().upper()
    if parse_symbol(symbol) is None:
        near = re.sub(r"[\s_\-/\\]+", "/", symbol)
        raise MisfitError(
            f"{shown(value)!r} is not a symbol, such as BTC/USDT, BTC/USDT:USDT or AAPL",
            text=shown(value),
            did_you_mean=(near,) if parse_symbol(near) else (),
        )
    return symbol


def _name_of(value: object, _: object) -> str:
    name = text_of(value)
    if len(name) > MAX_NAME or not name.isprintable():
        raise MisfitError(f"must be at most {MAX_NAME} printable characters", text=shown(name))
    return name


def _condition_of(value: object, _: object) -> str:
    return condition_text(value)


def _alert_of(converter: Converter, value: object, _: object) -> AlertSpec:
    if not isinstance(value, Mapping):
        raise must_be("an object", value)
    condition = {key: value[key] for key in value if key in KEYS}
    given = {key: value[key] for key in value if key not in KEYS}
    if condition and "when" in given:
        raise MisfitError("an alert has one condition: in `when`, or beside its other keys")
    if condition:
        given["when"] = condition
    alert = converter.structure(given, AlertInput)
    return AlertSpec(
        when=alert.when,
        name=alert.name or "",
        symbol=alert.symbol,
        for_ms=alert.for_sec or 0,
        cooldown_ms=alert.cooldown_sec or 0,
        recover=alert.recover,
        no_data_ms=alert.no_data_sec,
    )


def _json_of(value: object, _: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise must_be("an object", value)
    _check_json(value, 1)
    return dict(value)


def _check_json(value: object, depth: int) -> None:
    """Refuse what could not be written as JSON again, and so not be hashed."""
    if depth > _MAX_DEPTH:
        raise MisfitError(f"is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key, item in value.items():
            text_of(key)
            _check_json(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_json(item, depth + 1)
    elif isinstance(value, str):
        text_of(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise MisfitError(f"has a number that is not finite: {value}")
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise MisfitError(f"has a {type(value).__name__}, which JSON doesn't have")
