"""Let a disk be full: files below a folder that were opened meanwhile can no longer be written."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import attrs


@attrs.define
class FullDisk:
    """A folder's disk.

    Attributes:
        is_full: Whether writing fails.
        tried: How often something was written.
        descriptors: Those of files below the folder that are open without a file object.
    """

    folder: Path
    is_full: bool = False
    tried: int = 0
    descriptors: set[int] = attrs.Factory(set)

    def holds(self, file: Any) -> bool:
        """Whether a file lies below the folder."""
        if not isinstance(file, (str, os.PathLike)):
            return False
        return Path(os.fsdecode(file)).resolve().is_relative_to(self.folder.resolve())

    def take(self) -> None:
        """Note an attempt to write, or refuse it."""
        self.tried += 1
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _File:
    """An open file on such a disk."""

    def __init__(self, file: Any, disk: FullDisk) -> None:
        self._file = file
        self._disk = disk

    def write(self, what: Any) -> Any:
        self._disk.take()
        return self._file.write(what)

    def writelines(self, lines: Any) -> Any:
        self._disk.take()
        return self._file.writelines(lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *exc: object) -> Any:
        return self._file.__exit__(*exc)


@contextmanager
def full_disk(folder: Path) -> Iterator[FullDisk]:
    """Yield the disk of a folder, which is not full until it is said to be."""
    disk = FullDisk(folder)
    plain, plain_open, plain_write, plain_close = io.open, os.open, os.write, os.close

    def opened(file: Any, *args: Any, **kwargs: Any) -> Any:
        made = plain(file, *args, **kwargs)
        return _File(made, disk) if disk.holds(file) else made

    def opened_plainly(path: Any, *args: Any, **kwargs: Any) -> int:
        fd = plain_open(path, *args, **kwargs)
        if disk.holds(path):
            disk.descriptors.add(fd)
        return fd

    def written(fd: int, data: Any) -> int:
        if disk.is_full or fd in disk.descriptors:
            disk.take()
        return plain_write(fd, data)

    def closed(fd: int) -> None:
        disk.descriptors.discard(fd)
        plain_close(fd)

    with (
        patch.object(builtins, "open", opened),
        patch.object(io, "open", opened),
        patch.object(os, "open", opened_plainly),
        patch.object(os, "write", written),
        patch.object(os, "close", closed),
    ):
        yield disk
