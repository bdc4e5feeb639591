"""The first line of a recording: what was recorded, by what, and what it takes to run it again."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import attrs
import msgspec

from bond_core.errors import RequestError
from bond_core.plugin.discovery import PluginRow
from bond_core.runtime.binding import BoundSource
from bond_core.runtime.tape.told import packed_plan, unpacked_plan
from bond_core.spec.canonical import spec_as_json
from bond_core.windows.plan import SourcePlan
from bond_core.wire.times import iso
from bond_server.compiling import Compiled

FORMAT = 1
"""The version of the file's format; another than those known is refused."""


class RecordingError(RequestError):
    """A recording can't be written, read or played."""

    default_code = "bad_recording"


@attrs.frozen(kw_only=True)
class Header:
    """What stands in the first line.

    Attributes:
        stream_id: The id of the stream that was recorded.
        spec: Its spec, all defaults resolved, without sinks.
        text: The sentence that it was made from; None where a spec was given.
        started_ns: When the stream began, ns.
        sources: How its engine saw its sources, those that may stand in included.
        has_frames: Whether what venues said is in the file as it came, too.
        versions: Of Bond, of Python and of each plugin, by distribution.
    """

    stream_id: str
    spec: Mapping[str, Any]
    text: str | None
    started_ns: int
    sources: tuple[SourcePlan, ...]
    has_frames: bool
    versions: Mapping[str, str]


def header_of(
    compiled: Compiled, *, stream_id: str, text: str | None, started_ns: int, has_frames: bool,
    plugins: Iterable[PluginRow],
) -> Header:  # fmt: skip
    """Return what the recording of a stream that runs begins with."""
    used = {row.distribution: row.version for row in plugins if row.state == "loaded"}
    return Header(
        stream_id=stream_id,
        spec=spec_as_json(compiled.spec),
        text=text,
        started_ns=started_ns,
        sources=tuple(source.plan for source in compiled.bound.all_sources()),
        has_frames=has_frames,
        versions={**used, **versions()},
    )


def versions() -> dict[str, str]:
    """Return the versions of what any recording is made and played by."""
    return {"bond-streams": metadata.version("bond-streams"), "python": platform.python_version()}


def header_line(header: Header) -> bytes:
    """Return the header as its JSON line."""
    line = {
        "bond_recording": FORMAT,
        "began": iso(header.started_ns),
        "text": header.text,
        "spec": header.spec,
        "stream_id": header.stream_id,
        "started_ns": header.started_ns,
        "sources": [packed_plan(plan) for plan in header.sources],
        "frames": header.has_frames,
        "versions": header.versions,
    }
    return msgspec.json.encode(line) + b"\n"


def read_header(line: bytes, name: str) -> Header:
    """Return the header that a line says.

    Args:
        line: The file's first.
        name: What the file is called in errors.

    Raises:
        RecordingError: It is none, or of a version that isn't known.
    """
    try:
        body = msgspec.json.decode(line)
        found = body["bond_recording"]
    except (msgspec.DecodeError, KeyError, TypeError):
        raise RecordingError(f"{name} is no recording of Bond's") from None
    if found != FORMAT:
        detail = f"{name} has format {found}; this version of Bond reads format {FORMAT}"
        raise RecordingError(detail, fix="pip install --upgrade bond-streams")
    try:
        return Header(
            stream_id=str(body["stream_id"]),
            spec=dict(body["spec"]),
            text=body["text"],
            started_ns=int(body["started_ns"]),
            sources=tuple(map(unpacked_plan, body["sources"])),
            has_frames=bool(body["frames"]),
            versions=dict(body["versions"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"the header of {name} can't be read ({type(error).__name__}: {error})"
        raise RecordingError(detail) from None


def as_recorded(source: BoundSource, plans: Mapping[str, SourcePlan]) -> BoundSource:
    """Return a source as the engine of the recorded stream saw it."""
    return attrs.evolve(source, plan=plans[source.plan.name])
