"""Write a running stream into a file: what its engine is told, and what venues said.

engine ─▶ Tape ┐                         every block is whole in the file, or not there:
├─▶ lines ─▶ BlockWriter  whoever kills the recorder loses the last second
venues ─▶ Frames ┘
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import msgspec

from bond_core.clock import NS
from bond_core.log.offset import START, Offset
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.binding import BoundStream
from bond_core.runtime.contained import cause_of
from bond_core.runtime.hiding import Hiding
from bond_core.runtime.tape.blocks import BlockWriter
from bond_core.runtime.tape.frames import Frames, without_tokens
from bond_core.runtime.tape.told import Tape
from bond_core.spec.stream_spec import StreamOptions
from bond_core.windows.checkpoint.plain import UnkeptError
from bond_server.compiling import Compiled
from bond_server.local import Bond, Stream
from bond_server.recordings.header import Header, RecordingError, header_line, header_of

LOOK_EVERY_S = 0.25
"""How often it is looked whether a block is due."""

BLOCK_NS = NS
"""After so long what was noted is written, however little it is."""

BLOCK_OF = 2_000
"""So much that was noted is written at once: writing it takes some milliseconds."""

MOST_WAITING = 2_000_000
"""So much may wait for a disk that doesn't take it; then the recording ends."""


@attrs.define(kw_only=True)
class Progress:
    """How far a recording is.

    Attributes:
        events: Events in the file.
        frames: Messages and answers of venues in the file.
        records: Records that the stream has published.
        size_bytes: How large the file is.
        now_ns: The time.
    """

    events: int = 0
    frames: int = 0
    records: int = 0
    size_bytes: int = 0
    now_ns: int = 0


class Recorder:
    """Records one stream of a Bond that was made with its `tape`, and `frames.way_out`.

    Args:
        bond: Entered already.
        tape: What its engine notes.
        frames: What venues say is noted there; None if it isn't to be kept.
        told: Called now and then with how far it is.
    """

    def __init__(
        self, bond: Bond, tape: Tape, frames: Frames | None, told: Callable[[Progress], None]
    ) -> None:
        self.progress = Progress()
        self._bond = bond
        self._tape = tape
        self._frames = frames
        self._told = told
        self._printed = _Printed()
        self._since_ns = 0

    async def run(
        self, compiled: Compiled, path: Path, *, text: str | None, until: Callable[[Stream], Any]
    ) -> None:
        """Run a stream and write it into a new file.

        Args:
            compiled: What it is; its sinks get nothing.
            path: The file, which must not be there.
            text: The sentence, if it is one.
            until: Gives an awaitable that is over when there is enough.

        Raises:
            RecordingError: It can't be written, or not any more: what is in the file is whole.
            BondError: The stream can't be had.
        """
        if self._frames is not None:
            self._frames.hide = Hiding(_configs(compiled.bound))
        compiled = recorded_as(compiled)
        try:
            writer = BlockWriter(path)
        except OSError as error:
            raise _unwritable(path, error, Progress()) from None
        try:
            stream, _ = await self._bond.create(compiled)
            header = header_of(
                compiled, stream_id=stream.stream_id, text=_shown(text, compiled.bound),
                started_ns=stream.pipeline.started_ns, has_frames=self._frames is not None,
                plugins=_used(compiled.bound, self._bond.catalog),
            )  # fmt: skip
            await self._write(writer, stream, header, until)
        except OSError as error:
            raise _unwritable(path, error, self.progress) from None
        except UnkeptError as error:
            detail = f"{path} ends at {self.progress.events} events: {error}"
            raise RecordingError(detail, code="not_recordable") from None
        finally:
            _close(writer, path)

    async def _write(
        self, writer: BlockWriter, stream: Stream, header: Header,
        until: Callable[[Stream], Any],
    ) -> None:  # fmt: skip
        await asyncio.to_thread(writer.write, header_line(header))
        self._since_ns = self._bond.clock.now_ns()
        ending = asyncio.ensure_future(until(stream))
        writing = asyncio.create_task(self._keep_writing(writer, stream))
        try:
            await asyncio.wait({ending, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            was_over = ending.done() and not ending.cancelled()
            for task in (ending, writing):
                task.cancel()
            found = await asyncio.gather(ending, writing, return_exceptions=True)
            for error in found:
                if isinstance(error, Exception):
                    raise cause_of(error)
            await self._bond.complete(stream)
            await self._block(writer, stream)
            last = {
                "events": self._tape.events, "records": self._printed.records,
                "at_ns": self._bond.clock.now_ns(), "as_asked": was_over,
            }  # fmt: skip
            await asyncio.to_thread(writer.write, msgspec.json.encode({"end": last}) + b"\n")

    async def _keep_writing(self, writer: BlockWriter, stream: Stream) -> None:
        clock = self._bond.clock
        while stream.state() not in ("complete", "failed"):
            await clock.sleep(LOOK_EVERY_S)
            noted = len(self._tape.noted) + (self._frames.waiting if self._frames else 0)
            if noted >= BLOCK_OF or clock.now_ns() - self._since_ns >= BLOCK_NS:
                await self._block(writer, stream)
        if stream.failure is not None:
            raise RecordingError(f"the stream failed: {stream.failure}", code="stream_failed")

    async def _block(self, writer: BlockWriter, stream: Stream) -> None:
        self._since_ns = self._bond.clock.now_ns()
        lines = self._tape.lines()
        if self._frames is not None:
            lines += self._frames.lines()
        self._printed.take(stream)
        lines += msgspec.json.encode({"records": self._printed.said()}) + b"\n"
        writing = asyncio.create_task(asyncio.to_thread(writer.write, lines))
        await _finished(writing)
        self.progress = Progress(
            events=self._tape.events,
            frames=self._frames.count if self._frames else 0,
            records=self._printed.records,
            size_bytes=writer.size_bytes,
            now_ns=self._since_ns,
        )
        self._told(self.progress)


def _close(writer: BlockWriter, path: Path) -> None:
    """Close the file; one with nothing in it goes."""
    with suppress(OSError):  # what could not be written was told
        writer.close()
    if not writer.blocks:
        path.unlink(missing_ok=True)


async def _finished(writing: asyncio.Task[None]) -> None:
    """Wait until a block is written, also when cancelled: half of it would be in the thread."""
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.gather(writing, return_exceptions=True)
        writing.result()
        raise


@attrs.define
class _Printed:
    """What the stream has published: how much, and a digest by which a replay is compared."""

    records: int = 0
    _digest: Any = attrs.field(factory=hashlib.sha256)
    _top: Offset = START

    def take(self, stream: Stream) -> None:
        while entries := stream.tail.after(self._top, 1_000):
            for entry in entries:
                self._digest.update(entry.data + b"\n")
            self.records += len(entries)
            self._top = entries[-1].offset

    def said(self) -> list[Any]:
        return [self.records, self._digest.hexdigest()]


def recorded_as(compiled: Compiled) -> Compiled:
    """Return a stream as it is recorded: without sinks, for as long as the recorder says."""
    spec = attrs.evolve(compiled.spec, sinks=())
    bound = attrs.evolve(compiled.bound, spec=_without_secrets(spec), sinks=())
    return attrs.evolve(compiled, bound=bound, options=StreamOptions())


def _without_secrets(spec: Any) -> Any:
    """Return a spec whose URLs hold nothing that logs in."""
    blotted = (
        attrs.evolve(source, url=without_tokens(source.url)) if source.url else source
        for source in spec.sources
    )
    return attrs.evolve(spec, sources=tuple(blotted))


def _shown(text: str | None, bound: BoundStream) -> str | None:
    if text is None:
        return None
    words = (without_tokens(word) for word in text.split(" "))
    return Hiding(_configs(bound))(" ".join(words))


def _configs(bound: BoundStream) -> list[Any]:
    return [source.origin.config for source in bound.all_sources()]


def _used(bound: BoundStream, catalog: Catalog) -> list[Any]:
    """Return the plugins whose connectors a stream listens through."""
    names = {source.origin.spec.name for source in bound.all_sources()}
    return [
        row
        for row in catalog.rows
        if any(isinstance(spec, ConnectorSpec) and spec.name in names for spec in row.specs)
    ]


def _unwritable(path: Path, error: OSError, progress: Progress) -> RecordingError:
    if isinstance(error, FileExistsError):
        detail = f"{path} is there already, and nothing is ever written over a recording"
        return RecordingError(detail, code="file_exists", fix=f"bond record … -o {path.stem}-2.gz")
    why = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    kept = f"; {progress.events} events are in it, whole" if progress.events else ""
    return RecordingError(f"{path} can't be written: {why}{kept}", code="not_written")
