"""Keep a little data in a file: its owner's alone, whole at any moment, shared by processes.

A change is made under a lock, on what the file holds then, and put in place by a rename. Who
reads sees one state or the next, and nothing between.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

import msgspec

from bond_core.errors import BondError, SetupError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_log = logging.getLogger("bond.server")


class StorageError(BondError):
    """What has to outlive the process could not be written; the log says where and why."""

    default_code = "storage"
    retryable = True


class KeptFile(Generic[T]):
    """Data of one kind in one JSON file.

    Args:
        path: The file; its folder is made when something is written.
        kind: An attrs class that can be made without arguments: that is what no file holds.
    """

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._kind = kind
        self._seen: tuple[int, ...] | None = None
        self._body = kind()

    def has_changed(self) -> bool:
        """Return whether the file is another than at the last `read`. One call of stat."""
        return self._mark() != self._seen

    def read(self) -> T:
        """Return what the file holds, not to be changed; parsed only if the file is another.

        Raises:
            SetupError: It can't be read, or holds something else.
        """
        mark = self._mark()
        if mark != self._seen:
            self._body = self._load()
            self._seen = mark
        return self._body

    @contextmanager
    def change(self) -> Iterator[T]:
        """Give what the file holds, to be changed, and write it afterwards; blocks meanwhile.

        Raises:
            SetupError: It can't be read or written, or holds something else.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _lock(self.path.with_name(f"{self.path.name}.lock")):
                body = self._load()
                yield body
                self._write(msgspec.json.format(msgspec.json.encode(body)))
        except OSError as error:
            raise SetupError(
                f"{self.path} can't be kept: {error.strerror or error}. Set BOND_DATA_DIR to a "
                "folder that can be written"
            ) from error

    def _mark(self) -> tuple[int, ...]:
        """Return what differs between two states: every write makes a new file."""
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def _load(self) -> T:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return self._kind()
        except OSError as error:
            raise SetupError(f"{self.path} can't be read: {error.strerror}") from error
        try:
            return msgspec.json.decode(raw, type=self._kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SetupError(
                f"{self.path} is damaged, and was left as it is: {error}. Put a copy of it back; "
                "or move it away, to begin without what it holds",
                fix=f"mv {self.path} {self.path}.damaged",
            ) from None

    def _write(self, raw: bytes) -> None:
        draft = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 -- Path.open can't give the mode
                file.write(raw + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            _sync_folder(self.path.parent)
        finally:
            draft.unlink(missing_ok=True)


async def kept(change: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Make a change that is written to disk, without the event loop waiting for the disk.

    Raises:
        StorageError: It can't be written.
    """
    try:
        return await asyncio.to_thread(change, *args, **kwargs)
    except SetupError as error:
        _log.exception("a change could not be kept")
        raise StorageError(
            "The change could not be written; the server's log says why",
            fix="Send it again later",
        ) from error


def _sync_folder(folder: Path) -> None:
    """Have the rename on the disk, too, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Be the only one, of all processes and threads; given back even by a process that dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 -- there is none elsewhere

            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        else:
            import fcntl  # noqa: PLC0415 -- there is none on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
