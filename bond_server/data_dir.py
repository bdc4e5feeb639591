"""Hold the data directory: two servers that keep their streams in one would undo each other.

The lock is the operating system's, so that it goes with the process however that ends. What
stands in the file is for people: who holds it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bond_core.errors import SetupError

FILE_NAME = "server.lock"

_FAR = 1 << 30  # Windows lets nobody read what is locked: lock what isn't there


class DataDirTakenError(SetupError):
    """Another server keeps its streams in this directory."""

    default_code = "data_dir_taken"


class _Holder(msgspec.Struct):
    pid: int
    host: str
    since: str


@contextmanager
def holding(data_dir: Path) -> Iterator[None]:
    """Hold a directory, which is made if it isn't there, as long as the context lasts.

    Raises:
        DataDirTakenError: Another server holds it; says which.
        SetupError: It can't be written.
    """
    path = data_dir / FILE_NAME
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SetupError(
            f"{path} can't be written: {error.strerror or error}. Set BOND_DATA_DIR to a folder "
            "that can be"
        ) from error
    try:
        if not _lock(descriptor):
            raise _taken(data_dir, descriptor)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        said = msgspec.json.encode(_Holder(os.getpid(), socket.gethostname(), now))
        os.ftruncate(descriptor, 0)
        os.write(descriptor, said + b"\n")
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock; whether it was free."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 -- there is none elsewhere

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl  # noqa: PLC0415 -- there is none on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _taken(data_dir: Path, descriptor: int) -> DataDirTakenError:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        holder = msgspec.json.decode(os.read(descriptor, 1000), type=_Holder)
        who = f"process {holder.pid} on {holder.host}, since {holder.since}"
    except msgspec.DecodeError:  # it has just taken it, and not yet written who it is
        who = "another process"
    return DataDirTakenError(
        f"{data_dir} is in use by {who}: two servers can't keep their streams in one directory. "
        "End that one, set BOND_DATA_DIR to another directory, or REDIS_URL to share streams",
        fix="BOND_DATA_DIR=$HOME/.local/share/bond-2 bond serve --port 8001",
    )
