"""The registry of a Bond without Redis: `streams.json` in the data directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from bond_server.auth.kept import KeptFile, kept
from bond_server.registry.row import Row

FILE_NAME = "streams.json"


@attrs.define(kw_only=True)
class StreamRecords:
    """What the file holds: streams by id."""

    version: int = 1
    streams: dict[str, Row] = attrs.field(factory=dict)


class StreamsOnDisk:
    """A Registry for the one process that holds the data directory.

    Each change is on the disk before it returns. Writing blocks, so it is done in a thread.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = KeptFile(data_dir / FILE_NAME, StreamRecords)

    def rows(self) -> list[Row]:
        """Return all streams, the oldest first.

        Raises:
            SetupError: The file can't be read, or is damaged.
        """
        return sorted(self._file.read().streams.values(), key=lambda row: row.created_ns)

    async def put(self, row: Row) -> None:
        """Keep a stream, in the place of what was kept of it.

        Raises:
            StorageError: The file can't be written.
        """

        def add(streams: dict[str, Row]) -> None:
            streams[row.stream_id] = row

        await kept(self._change, add)

    async def remove(self, stream_id: str) -> None:
        """Keep a stream no more.

        Raises:
            StorageError: The file can't be written.
        """

        def drop(streams: dict[str, Row]) -> None:
            streams.pop(stream_id, None)

        await kept(self._change, drop)

    def _change(self, change: Callable[[dict[str, Row]], None]) -> None:
        with self._file.change() as records:
            change(records.streams)
