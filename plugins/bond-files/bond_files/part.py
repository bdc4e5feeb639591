"""One file that is being written: a journal of JSON lines until it is whole.

    NAME.part       lines are appended and synced; what an append returned for is safe
    NAME.jsonl      the same file, renamed when it is whole
    NAME.parquet    or made of it, and then the journal goes

Readers take no `.part`. A crash leaves one behind, with at most a torn last line that nobody was
told was safe; the next start cuts that off and makes the file whole. A lock tells a journal that
another process writes from one that was left.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

PART = ".part"

Finish = Callable[[Path, Path], None]
"""Makes of a journal (first) the whole file (second), in one step for whoever looks."""


class Part:
    """A journal, open and locked. Every method may raise OSError.

    Attributes:
        path: Where it is.
        size: How many bytes of it are safe.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self._descriptor = descriptor

    @classmethod
    def new(cls, folder: Path, stem: str, suffix: str) -> Part:
        """Begin one under a name that neither a journal nor a whole file has."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _names(stem):
            path = folder / f"{name}{PART}"
            if (folder / f"{name}{suffix}").exists():
                continue
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                continue
            _lock(descriptor)
            _sync_folder(folder)
            return cls(path, descriptor, 0)
        raise FileExistsError(errno.EEXIST, "too many files of one name", str(folder / stem))

    @classmethod
    def left(cls, path: Path) -> Part | None:
        """Take over a journal that a crash left, without its torn end; None if it is in use."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None  # its owner has just finished it
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        part = cls(path, descriptor, _end_of_last_line(descriptor))
        os.ftruncate(descriptor, part.size)
        os.fsync(descriptor)
        return part

    def append(self, lines: bytes) -> None:
        """Add whole lines. Where it raises, nothing of them is kept."""
        try:
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            left = memoryview(lines)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(lines)

    def finish(self, suffix: str, finish: Finish) -> Path | None:
        """Make the whole file of it; return where, or None where there is nothing in it.

        Where it raises, the journal is as it was, and this may be called again.
        """
        if self.size == 0:
            self.path.unlink()
            self.let_go()
            return None
        whole = self.path.with_name(self.path.name.removesuffix(PART) + suffix)
        finish(self.path, whole)
        _sync_folder(whole.parent)
        self.let_go()
        return whole

    def let_go(self) -> None:
        """Close it as it is. May be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def rename(journal: Path, whole: Path) -> None:
    """Make the journal itself the whole file."""
    journal.rename(whole)


def _names(stem: str) -> Iterator[str]:
    yield stem
    for n in range(2, 10_000):
        yield f"{stem}.{n}"


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_of_last_line(descriptor: int) -> int:
    """Return the position behind the last newline."""
    step, end = 64 * 1024, os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - step)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
