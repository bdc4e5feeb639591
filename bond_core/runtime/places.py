"""Keep how far each sink of each stream has come, so that a restart goes on from there.

FOLDER/STREAM_ID/SINK.json      {"after": "1761053405000-0", "epoch": "a1b2c3d4"}
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import attrs

from bond_core.log.offset import Offset, parse_offset

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Place:
    """How far a sink has come: everything up to here is safe where it went.

    Attributes:
        after: The last record that was acknowledged.
        epoch: The life of the log that it belongs to.
    """

    after: Offset
    epoch: str


class Places(Protocol):
    """Remembers places. Every method may raise OSError."""

    async def read(self, stream_id: str, sink: str) -> Place | None:
        """Return a sink's place; None where none is kept."""
        ...

    async def keep(self, stream_id: str, sink: str, place: Place) -> None:
        """Keep a place in one step: after a crash it is this one or the one before."""
        ...

    async def forget(self, stream_id: str) -> None:
        """Forget the places of a stream's sinks."""
        ...


class MemoryPlaces:
    """Places that last as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Place]] = {}

    async def read(self, stream_id: str, sink: str) -> Place | None:
        """See Places."""
        return self._kept.get(stream_id, {}).get(sink)

    async def keep(self, stream_id: str, sink: str, place: Place) -> None:
        """See Places."""
        self._kept.setdefault(stream_id, {})[sink] = place

    async def forget(self, stream_id: str) -> None:
        """See Places."""
        self._kept.pop(stream_id, None)


class FilePlaces:
    """Places in a folder, a file each.

    In threads of its own: a sink whose own threads hang must not hold up the places of others.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="places")

    async def read(self, stream_id: str, sink: str) -> Place | None:
        """See Places. A file that makes no sense counts as none."""
        return await self._in_thread(lambda: _read(self._file(stream_id, sink)))

    async def keep(self, stream_id: str, sink: str, place: Place) -> None:
        """See Places."""
        await self._in_thread(lambda: _write(self._file(stream_id, sink), place))

    async def forget(self, stream_id: str) -> None:
        """See Places."""
        await self._in_thread(lambda: shutil.rmtree(self._folder / stream_id, ignore_errors=True))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _file(self, stream_id: str, sink: str) -> Path:
        return self._folder / stream_id / f"{sink}.json"


def _read(path: Path) -> Place | None:
    try:
        body = json.loads(path.read_bytes())
        after = parse_offset(body["after"])
        epoch = str(body["epoch"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return None if after is None else Place(after=after, epoch=epoch)


def _write(path: Path, place: Place) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    try:
        with new.open("w", encoding="utf-8") as file:
            json.dump({"after": str(place.after), "epoch": place.epoch}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
