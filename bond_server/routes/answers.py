"""What the server says of streams, as plain data."""

from __future__ import annotations

from typing import Any

import attrs

from bond_core.spec.canonical import spec_as_json, stream_id
from bond_core.wire.times import iso
from bond_server.compiling import Compiled
from bond_server.language.explain import as_json
from bond_server.local import Stream


@attrs.frozen(kw_only=True)
class CreatedStream:
    """A stream that was asked for, and how to listen to it."""

    stream_id: str
    ws_url: str
    sse_url: str
    access_token: str
    expires_in_sec: int
    spec: dict[str, Any]
    understood: dict[str, Any]
    warnings: list[str]


def explanation(compiled: Compiled, project: str) -> dict[str, Any]:
    """Return what was understood of a request, what would run, and as which stream."""
    return {
        "understood": understood(compiled),
        "assumed": list(compiled.assumed),
        "warnings": list(compiled.warnings),
        "spec": spec_as_json(compiled.spec),
        "stream_id": stream_id(project, compiled.spec),
    }


def understood(compiled: Compiled) -> dict[str, Any]:
    """Return how a sentence was read, and what was assumed; a spec needs no reading."""
    body = {} if compiled.understanding is None else as_json(compiled.understanding)
    body.pop("spec", None)  # as it was before binding; the answer has the one that runs
    return body | {"assumed": list(compiled.assumed)}


def summary(stream: Stream) -> dict[str, Any]:
    """Return what a list shows of a stream."""
    return {
        "stream_id": stream.stream_id,
        "state": stream.state(),
        "created_at": iso(stream.created_ns // 1_000_000 * 1_000_000),
        "label": stream.compiled.options.label,
        "ephemeral": stream.is_ephemeral,
        "spec": spec_as_json(stream.compiled.spec),
    }


def details(stream: Stream) -> dict[str, Any]:
    """Return all there is to say of a stream, with its sources' health."""
    return summary(stream) | {
        "sources": stream.health(),
        "sinks": stream.deliveries.health(),
        "assumed": list(stream.compiled.assumed),
        "warnings": list(stream.compiled.warnings),
    }
