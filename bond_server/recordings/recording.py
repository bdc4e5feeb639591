"""Read a recording: its header, and then what was told and heard, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from bond_core.runtime.tape.blocks import BlockReader
from bond_core.runtime.tape.told import BATCHES, Call, TapeReader
from bond_server.recordings.header import Header, RecordingError, read_header


@attrs.frozen(kw_only=True)
class Block:
    """What was told in a block's time.

    Attributes:
        calls: What the engine was told, in order.
        events: How many events are among it, fetched ones included.
        records: How many records the recorded stream had published, and their digest; None
            where the block doesn't say.
        read_bytes: How much of the file is read with it.
        said: The lines of it that tell what venues said, in order.
    """

    calls: tuple[Call, ...]
    events: int
    records: tuple[int, str] | None
    read_bytes: int
    said: tuple[Mapping[str, Any], ...] = ()


SAID = ("opened", "frame", "bytes", "closed")
"""The keys of lines that tell of connections and messages."""


@attrs.define
class Recording:
    """A recording in a file.

    Attributes:
        path: Which file.
        header: Its first line.
        size_bytes: How large it was when it was opened.
        cut_off: Why it ends early, once it has been read: it was torn off or damaged; None if
            it is whole.
        is_ended: Whether its recorder ended in order, once it has been read.
    """

    path: Path
    header: Header
    size_bytes: int
    cut_off: str | None = None
    is_ended: bool = False

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.path.name

    def blocks(self) -> Iterator[Block]:
        """Yield what was told, as far as the file is whole.

        Raises:
            RecordingError: What is in it makes no sense, or it can't be read.
        """
        reader = BlockReader(self.path)
        tape = TapeReader()
        self.is_ended = False
        try:
            for number, lines in enumerate(reader):
                if number:
                    yield self._block(lines, tape, reader.read_bytes, number)
        except OSError as error:
            raise RecordingError(f"{self.path} can't be read: {error.strerror}") from None
        self.cut_off = reader.torn
        if self.cut_off is None and not self.is_ended:
            self.cut_off = "its recorder didn't come to its end"

    def _block(self, lines: bytes, tape: TapeReader, read_bytes: int, number: int) -> Block:
        calls: list[Call] = []
        said: list[Mapping[str, Any]] = []
        records = None
        for line in _decoded(lines, self.name, number):
            try:
                calls += tape.calls(line)
                if "records" in line:
                    records = (int(line["records"][0]), str(line["records"][1]))
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                detail = f"block {number} of {self.name} makes no sense ({_said(error)})"
                raise RecordingError(detail) from None
            self.is_ended |= "end" in line
            if not line.keys().isdisjoint(SAID):
                said.append(line)
        events = sum(len(args[1]) for what, args in calls if what in BATCHES)
        return Block(
            calls=tuple(calls), events=events, records=records, read_bytes=read_bytes,
            said=tuple(said),
        )  # fmt: skip


def open_recording(path: Path) -> Recording:
    """Open a recording, and read its header.

    Raises:
        RecordingError: There is none at that path, or it is none.
    """
    reader = BlockReader(path)
    try:
        first = next(iter(reader), None)
        size = path.stat().st_size
    except OSError as error:
        why = error.strerror or str(error)
        raise RecordingError(f"{path} can't be read: {why}", code="bad_file") from None
    if first is None:
        why = "its recorder was ended before it began" if not size else "it is no recording"
        raise RecordingError(f"{path} holds nothing to play: {why}")
    return Recording(path, read_header(first, path.name), size)


def _decoded(lines: bytes, name: str, number: int) -> Iterator[dict[str, Any]]:
    for line in lines.splitlines():
        try:
            body = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordingError(f"block {number} of {name} makes no sense ({error})") from None
        if isinstance(body, dict):
            yield body


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
