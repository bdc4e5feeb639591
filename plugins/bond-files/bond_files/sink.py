"""Write records into files, each whole before it has its name.

All work on files is done in one thread of the sink's own: a disk that hangs holds up no other
sink, and no two writes ever meet.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bond_core.plugin import Fatal, SinkContext
from bond_files.config import FilesConfig
from bond_files.part import PART, Finish, Part, rename

T = TypeVar("T")
NS = 1_000_000_000


class Files:
    """A folder of files. See Sink."""

    def __init__(self, config: FilesConfig) -> None:
        self._config = config
        self._suffix = f".{config.format}"
        self._thread: ThreadPoolExecutor | None = None
        self._folder = Path()
        self._stem = ""
        self._part: Part | None = None
        self._since_ns = 0  # monotonic
        self._whole = 0
        self._unfinished: str | None = None

    async def open(self, ctx: SinkContext) -> None:
        """Make the folder, and whole files of what a crash left in it.

        Raises:
            Fatal: The folder may not be written to, or what writes Parquet isn't installed.
            OSError: It can't be written to just now.
        """
        if self._config.format == "parquet" and importlib.util.find_spec("pyarrow") is None:
            raise Fatal("Parquet needs pyarrow", fix="pip install 'bond-files[parquet]'")
        self._folder = ctx.path(self._config.folder)
        self._stem = f"{ctx.stream_id}.{ctx.sink_name}"
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="bond-files")
        left = await self._in_thread(self._finish_what_is_left)
        if left:
            ctx.log.info("%d files that were not whole are now", left)

    async def write(self, batch: Sequence[Mapping[str, Any]], ctx: SinkContext) -> None:
        """Append a batch to the newest file, and sync it.

        Raises:
            OSError: The disk is full or away: nothing of the batch was kept.
        """
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in batch)
        now_ns = ctx.clock.monotonic_ns()
        first = str(batch[0]["id"]).partition("~")[0]
        await self._in_thread(lambda: self._append(lines, first, now_ns))
        if self._unfinished is not None:
            ctx.log.warning("a file can't be made whole yet: %s", self._unfinished)

    async def close(self) -> None:
        """Make the newest file whole."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._finish)
        finally:
            thread.shutdown(wait=False)

    def report(self) -> Mapping[str, Any]:
        """Return how many files are whole, and why one isn't that should be."""
        body: dict[str, Any] = {"folder": str(self._folder), "files": self._whole}
        return body if self._unfinished is None else body | {"unfinished": self._unfinished}

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # In the thread

    def _finish_what_is_left(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._finish()
        left = 0
        for path in sorted(self._folder.glob(f"{self._stem}.*{PART}")):
            part = Part.left(path)
            if part is not None:
                try:
                    left += part.finish(self._suffix, self._finisher) is not None
                finally:
                    part.let_go()
        self._whole += left
        return left

    def _append(self, lines: bytes, first: str, now_ns: int) -> None:
        if self._part is not None and self._is_full(now_ns):
            self._finish_or_say_why()  # it could not be made whole when it was full
        if self._part is None:
            self._part = Part.new(self._folder, f"{self._stem}.{first}", self._suffix)
            self._since_ns = now_ns
        try:
            self._part.append(lines)
        except OSError as error:
            if error.errno == errno.EFBIG:  # of this file, not of the disk: another will do
                self._finish_or_say_why()
            raise
        if self._is_full(now_ns):
            self._finish_or_say_why()

    def _is_full(self, now_ns: int) -> bool:
        config = self._config
        return self._part is not None and (
            self._part.size >= config.rotate_bytes
            or now_ns - self._since_ns >= config.rotate_s * NS
        )

    def _finish_or_say_why(self) -> None:
        """Make the file whole; where that fails its records are safe in it, and it is retried."""
        try:
            self._finish()
            self._unfinished = None
        except OSError as error:
            self._unfinished = f"{error.strerror or error}"

    def _finish(self) -> None:
        if self._part is None:
            return
        if self._part.finish(self._suffix, self._finisher) is not None:
            self._whole += 1
        self._part = None

    @property
    def _finisher(self) -> Finish:
        if self._config.format == "jsonl":
            return rename
        from bond_files.child import to_parquet  # noqa: PLC0415 -- only those who use it pay

        return to_parquet
