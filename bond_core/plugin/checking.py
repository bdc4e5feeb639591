"""Say how a plugin's spec breaks the contract, before anything is built on it.

A spec is made by somebody else's code: nothing in it is what its annotation says until it was
looked at. What passes here can be put in a catalogue, described as JSON, and spoken of.
"""

from __future__ import annotations

import functools
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from bond_core.plugin.egress import is_host_pattern
from bond_core.plugin.specs import (
    AggregatorSpec,
    Backfill,
    Batching,
    Capabilities,
    Channel,
    CommandSpec,
    ConnectorSpec,
    ServerSpec,
    SinkSpec,
    Spec,
    describe,
)
from bond_core.settings import json_schema
from bond_core.spec.stream_spec import SINK_KEYS

# What a record says of itself; a field of that name would hide it.
_RESERVED = frozenset({
    "id", "stream_id", "symbol", "timeframe", "rev", "partial", "ts", "window_start", "window_end",
    "size_unit", "skipped", "sources", "notices", "raw_data",
})  # fmt: skip

_TAKEN = frozenset({"v1", "ws", "health", "metrics", "schema"})
"""Where the server's own routes are."""

_PREFIX = re.compile(r"/[a-z0-9][a-z0-9_-]{0,31}")
_PARTS = (Capabilities, Backfill, Batching)
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
# With a range where it stands for many: `price_p{1..99}`.
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}(?:\{[0-9]+\.\.[0-9]+\})?")


def fault_of(spec: Spec) -> str | None:
    """Return how a spec breaks the contract, or None if it keeps it."""
    return (
        _mistyped(spec)
        or _misnamed(spec)
        or _unusable_config(spec)
        or (_connector_fault(spec) if isinstance(spec, ConnectorSpec) else None)
        or _field_fault(spec)
        or (_aggregator_fault(spec) if isinstance(spec, AggregatorSpec) else None)
        or (_sink_fault(spec) if isinstance(spec, SinkSpec) else None)
        or (_part_fault(spec) if isinstance(spec, ServerSpec) else None)
        or _indescribable(spec)
    )


def _misnamed(spec: Spec) -> str | None:
    names = (spec.name, *(spec.aliases if isinstance(spec, ConnectorSpec) else ()))
    for name in names:
        if not _NAME.fullmatch(name):
            return f"a name is written like `acme.trades`, was {name!r}"
    if not spec.summary.strip():
        return "it has no summary"
    named = {"factory": spec.factory}
    if isinstance(spec, CommandSpec):
        named["arguments"] = spec.arguments
    for what, name in named.items():
        module, colon, attribute = name.partition(":")
        if not (colon and attribute.isidentifier() and module):
            return f"{what} must read `package.module:Class`, was {name!r}"
    return None


def _unusable_config(spec: Spec) -> str | None:
    if not attrs.has(spec.config):
        return "config must be an attrs class"
    try:
        json_schema(spec.config)
    except (TypeError, NameError, AttributeError, RecursionError) as error:
        return f"its config can't be described: {error}"
    return None


def _connector_fault(spec: ConnectorSpec) -> str | None:
    if not spec.channels:
        return "a connector has at least one channel"
    all_of_them = (*spec.channels, *spec.raw)
    if len({c.name for c in all_of_them}) < len(all_of_them):
        return "two of its channels have one name"
    if odd := [host for host in spec.hosts if not is_host_pattern(host)]:
        return f"hosts are written `api.acme.example` or `*.acme.example`, was {odd[0]!r}"
    can = spec.capabilities.backfill
    if can is not None and (fault := _backfill_fault(can, {c.name for c in spec.channels})):
        return fault
    return _odd_word(word for c in spec.channels for pair in c.words.items() for word in pair)


def _backfill_fault(can: Backfill, channels: set[str]) -> str | None:
    if stray := sorted(set(can.channels) - channels):
        return f"capabilities.backfill names {stray[0]!r}, which is none of its channels"
    for field in attrs.fields(Backfill):
        if field.name != "channels" and not 0 < getattr(can, field.name) < math.inf:
            return f"capabilities.backfill.{field.name} must be a number above 0"
    return None


def _aggregator_fault(spec: AggregatorSpec) -> str | None:
    if not spec.fields:
        return "an aggregator computes at least one field"
    # Of `price_p{1..99}` a word means one.
    ranges = tuple(field.partition("{")[0] for field in spec.fields if "{" in field)
    meant = set(spec.words.values()) - set(spec.fields)
    if stray := sorted(field for field in meant if not field.startswith(ranges)):
        return f"a word stands for {stray[0]!r}, which is none of its fields"
    return _odd_word(spec.words)


def _sink_fault(spec: SinkSpec) -> str | None:
    if taken := sorted({field.name for field in attrs.fields(spec.config)} & set(SINK_KEYS)):
        return f"the setting {taken[0]!r} is the stream's own word for a sink; name it otherwise"
    batch = spec.batch
    if min(batch.records, batch.size_bytes) < 1 or batch.wait_s < 0 or spec.write_within_s <= 0:
        return "batch and write_within_s must leave room for a record"
    return None


def _part_fault(spec: ServerSpec) -> str | None:
    if not _PREFIX.fullmatch(spec.prefix):
        return f"a prefix is written like `/acme`, was {spec.prefix!r}"
    if spec.prefix[1:] in _TAKEN:
        return f"the routes below {spec.prefix} are Bond's own"
    return None


def _odd_word(words: Iterable[str]) -> str | None:
    if odd := [word for word in words if not word.strip() or word != word.lower()]:
        return f"words are written in small letters, was {odd[0]!r}"
    return None


def _field_fault(spec: Spec) -> str | None:
    fields = spec.fields if isinstance(spec, (ConnectorSpec, AggregatorSpec)) else ()
    if taken := sorted(_RESERVED.intersection(fields)):
        return f"the field {taken[0]!r} is the record's own; put a name of your own before it"
    if odd := [field for field in fields if not _FIELD.fullmatch(field)]:
        return f"a field is written like `acme_spread`, was {odd[0]!r}"
    return None


def _indescribable(spec: Spec) -> str | None:
    try:
        json.dumps(describe(spec), allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"it can't be written as JSON: {error}"
    return None


def _mistyped(value: Any, where: str = "") -> str | None:
    """Return the first attribute of an attrs object that isn't what its annotation says."""
    for field in attrs.fields(type(value)):
        at = f"{where}{field.name}"
        given, hint = getattr(value, field.name), _hints(value.__class__)[field.name]
        if not _fits(given, hint):
            return f"{at} must be {_said(hint)}, was {_shown(_misfit(given, hint))}"
        if field.name in ("channels", "raw") and isinstance(value, ConnectorSpec):
            for channel in given:
                if fault := _mistyped(channel, f"channel {channel.name!r}: "):
                    return fault
        elif isinstance(given, _PARTS) and (fault := _mistyped(given, f"{at}.")):
            return fault
    return None


@functools.cache
def _hints(cls: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(cls)


def _fits(value: Any, hint: Any) -> bool:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in args)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, args[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, args[0]) and _fits(item, args[1]) for key, item in value.items()
        )
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _misfit(value: Any, hint: Any) -> Any:
    """Return what is wrong in a tuple, or the value itself."""
    if not isinstance(value, tuple) or typing.get_origin(hint) is not tuple:
        return value
    return next(each for each in value if not _fits(each, typing.get_args(hint)[0]))


def _said(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple:
        return "Channel" if args[0] is Channel else f"a tuple of {args[0].__name__}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_said(each) for each in args)
    if origin is Mapping:
        return f"a mapping of {args[0].__name__} to {args[1].__name__}"
    return "None" if hint is types.NoneType else str(hint.__name__)


def _shown(value: Any) -> str:
    name = type(value).__name__
    return f"{name} {value!r}"[:60] if isinstance(value, (str, int, float)) else name
