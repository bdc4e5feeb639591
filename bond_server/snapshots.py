"""Keep the snapshots of streams in files: the newest of each, whole at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from bond_server.settings import ServerSettings

_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_KEPT_S = 86_400.0
"""As long the file of a stream stays that nobody asks for again; it is of use for a minute."""


@attrs.define(eq=False)
class SnapshotFiles:
    """A file for each stream, `{stream_id}.jsonl`, for its owner's eyes alone. See Checkpoints.

    Writing is done in threads, one after the other for all streams: the disk is one.
    """

    folder: Path
    every_s: float
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count, init=False)
    _newest: dict[str, int] = attrs.field(factory=dict, init=False)
    _is_tidy: bool = attrs.field(default=False, init=False)
    _one_at_a_time: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    async def load(self, stream_id: str) -> Sequence[bytes]:
        """See Checkpoints."""
        if not self._is_tidy:
            self._is_tidy = True
            await asyncio.to_thread(self._tidy)
        return await asyncio.to_thread(self._read, stream_id)

    async def save(self, stream_id: str, lines: Sequence[bytes]) -> None:
        """See Checkpoints."""
        await asyncio.to_thread(self._write, stream_id, lines, self._next(stream_id))

    async def forget(self, stream_id: str) -> None:
        """See Checkpoints."""
        await asyncio.to_thread(self._remove, stream_id, self._next(stream_id))

    def _next(self, stream_id: str) -> int:
        """Number what is to be done: a thread goes on after whoever waited for it was cancelled."""
        self._newest[stream_id] = number = next(self._numbers)
        return number

    def _tidy(self) -> None:
        """Remove what is left of streams that never came back."""
        too_old_s = time.time() - _KEPT_S
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < too_old_s:
                    path.unlink()

    def _path(self, stream_id: str) -> Path:
        return self.folder / f"{stream_id}.jsonl"

    def _read(self, stream_id: str) -> Sequence[bytes]:
        try:
            return self._path(stream_id).read_bytes().splitlines()
        except FileNotFoundError:
            return ()

    def _write(self, stream_id: str, lines: Sequence[bytes], number: int) -> None:
        with self._one_at_a_time:
            if self._newest.get(stream_id) != number:
                return
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = self.folder / f"{stream_id}.{secrets.token_hex(4)}"
            try:
                at = os.open(draft, _ANEW, 0o600)
                with os.fdopen(at, "wb") as file:
                    file.writelines(line + b"\n" for line in lines)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._path(stream_id))
            finally:
                draft.unlink(missing_ok=True)
            self._make_lasting()

    def _make_lasting(self) -> None:
        """Have the rename itself survive a power cut, where the system can do that."""
        if os.name == "posix":
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _remove(self, stream_id: str, number: int) -> None:
        with self._one_at_a_time:
            if self._newest.get(stream_id) == number:
                self._path(stream_id).unlink(missing_ok=True)
                del self._newest[stream_id]


def snapshots_of(settings: ServerSettings) -> SnapshotFiles | None:
    """Return where the settings want snapshots kept; None if nowhere."""
    if not settings.snapshot_s:
        return None
    return SnapshotFiles(settings.data_dir / "snapshots", settings.snapshot_s)
