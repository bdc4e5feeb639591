"""What the server says of streams, as plain data."""

from __future__ import annotations

from typing import Any

import attrs

from bond_core.spec.canonical import spec_as_json, stream_id
from bond_core.wire.times import iso
from bond_server.compiling import Compiled
from bond_server.cost import cost_of
from bond_server.language.explain import as_json
from bond_server.language.saying import Said, say
from bond_server.language.vocabulary import Vocabulary
from bond_server.streams import AnyStream


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


def explanation(compiled: Compiled, project: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what was understood of a request, what would run, and as which stream."""
    read = compiled.understanding
    if read is None and compiled.given is not None:
        said = say(compiled.given, compiled.options, vocabulary)
    else:
        said = Said(sentence=None if read is None else read.sentence)
    return {
        "sentence": said.sentence,
        "unsayable": list(said.unsayable),
        "understood": understood(compiled),
        "assumed": list(compiled.assumed),
        "warnings": list(compiled.warnings),
        "spec": spec_as_json(compiled.spec),
        "stream_id": stream_id(project, compiled.spec),
        "needs": [],  # what needs something that isn't here is refused, and says what
        "cost": cost_of(compiled.bound).as_json(),
    }


def understood(compiled: Compiled) -> dict[str, Any]:
    """Return how a sentence was read, and what was assumed; a spec needs no reading."""
    body = {} if compiled.understanding is None else as_json(compiled.understanding)
    body.pop("spec", None)  # as it was before binding; the answer has the one that runs
    return body | {"assumed": list(compiled.assumed)}


def summary(stream: AnyStream) -> dict[str, Any]:
    """Return what a list shows of a stream."""
    return {
        "stream_id": stream.stream_id,
        "state": stream.state(),
        "created_at": iso(stream.row.created_ns // 1_000_000 * 1_000_000),
        "label": stream.row.label,
        "ephemeral": stream.row.is_ephemeral,
        "spec": stream.row.spec,
    }


def details(stream: AnyStream) -> dict[str, Any]:
    """Return all there is to say of a stream, with its sources' health."""
    failure = {} if stream.failure is None else {"failure": stream.failure}
    return (
        summary(stream)
        | failure
        | {
            "sources": stream.health(),
            "sinks": stream.sinks(),
            "assumed": list(stream.row.assumed),
            "warnings": list(stream.row.warnings),
        }
    )
