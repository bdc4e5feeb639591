"""Write a spec in its one canonical form, and derive the stream's id from it.

    stream_id = first 16 hex of SHA-256(project id, canonical JSON)

The canonical form is a valid spec again: reading it gives the same spec.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from bond_core.spec.duration import format_duration, seconds
from bond_core.spec.stream_spec import AlertSpec, SinkEntry, SourceSpec, StreamSpec

STREAM_ID_LENGTH = 16

_EXACT = 2**53  # from here on a float skips whole numbers

# Attribute (whole ms) → key (seconds, or a duration text).
_DURATIONS = {
    "interval_ms": "interval_sec",
    "window_ms": "window_sec",
    "corrections_ms": "corrections_sec",
    "lateness_ms": "lateness_sec",
    "stale_ms": "stale_sec",
    "for_ms": "for_sec",
    "cooldown_ms": "cooldown_sec",
    "no_data_ms": "no_data_sec",
    "batch_wait_ms": "batch_wait_sec",
}


def spec_as_json(spec: StreamSpec) -> dict[str, Any]:
    """Return the spec as users write it: seconds as numbers, nothing that says nothing."""
    return _spec(spec, seconds)


def canonical_json(spec: StreamSpec) -> str:
    """Return the text that is hashed: keys sorted, sets sorted, durations shortest, no spaces."""
    body = _spec(spec, format_duration)
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def stream_id(project: str, spec: StreamSpec) -> str:
    """Return the id of this project's stream with this spec: 16 hex digits."""
    text = f"{len(project)}:{project}\n{canonical_json(spec)}"
    return hashlib.sha256(text.encode()).hexdigest()[:STREAM_ID_LENGTH]


def _spec(spec: StreamSpec, duration: Callable[[int], object]) -> dict[str, Any]:
    body = _known(spec, duration)
    body["sources"] = [_known(source, duration) for source in spec.sources]
    if spec.alerts:
        body["alerts"] = [_known(alert, duration) for alert in spec.alerts]
    if spec.sinks:
        body["sinks"] = [_sink(sink, duration) for sink in spec.sinks]
    return body


def _sink(sink: SinkEntry, duration: Callable[[int], object]) -> dict[str, Any]:
    body = _known(sink, duration)
    own: dict[str, Any] = body.pop("config")
    return body | own


def _known(
    data: StreamSpec | SourceSpec | AlertSpec | SinkEntry, duration: Callable[[int], object]
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for field in attrs.fields(type(data)):
        value = getattr(data, field.name)
        if value == field.default and field.name != "simulate":
            continue
        if value is None:
            continue
        if field.name in _DURATIONS:
            body[_DURATIONS[field.name]] = duration(value)
        else:
            body[field.name] = _plain(value)
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in sorted(value.items())}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)  # 5.0 and 5 are one number, so they make one id
    return value
