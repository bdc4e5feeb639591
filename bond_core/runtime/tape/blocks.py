"""Frame a tape's lines in blocks, each whole or not there: a gzip member with its size in front.

    ┌ 10 bytes ┬ 2 ─┬ 12 ────────────────┬ … ──────┬ 4 ───┬ 4 ─────┐
    │ gzip     │ 12 │ "BT" 8 size number │ deflate │ crc  │ length │   of the unpacked lines
    └──────────┴────┴────────────────────┴─────────┴──────┴────────┘

Gzip's own format (RFC 1952) with its field for extras, so that `zcat` reads a tape as it is: one
JSON object a line. `size` is that of the whole block in bytes, `number` counts blocks from 0, both
u32, little-endian. A block that is cut off, or whose checksum doesn't fit, ends the tape: what
stands before it is as it was written.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

LEVEL = 1
"""Of compression: the next ones take half as long again for a tenth less."""

LARGEST = 1 << 28
"""The largest block that is read, in bytes, packed or not: a tape comes from anywhere."""

_HEAD = struct.Struct("<BBBBIBB H 2sHII")
_TAIL = struct.Struct("<II")
_MAGIC = (0x1F, 0x8B, 8, 4)  # gzip, deflated, with a field for extras
_EXTRA = _HEAD.size - 12


class BlockWriter:
    """Writes blocks into a new file. After an error the file ends with its last whole block.

    Attributes:
        size_bytes: How large the file is.
        blocks: How many blocks are in it.
    """

    def __init__(self, path: Path) -> None:
        """Make the file.

        Raises:
            OSError: There is one already, or it can't be written.
        """
        self._file: BinaryIO = path.open("xb", buffering=0)
        self.size_bytes = 0
        self.blocks = 0

    def write(self, lines: bytes) -> None:
        """Write a block; it is in the operating system's hands then.

        Raises:
            OSError: It can't be written, and isn't in the file, nor a part of it.
        """
        block = packed(lines, self.blocks)
        try:
            left = memoryview(block)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(self.size_bytes)
            self._file.seek(self.size_bytes)
            raise
        self.size_bytes += len(block)
        self.blocks += 1

    def close(self) -> None:
        """Have all of it on the disk, and close the file."""
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def packed(lines: bytes, number: int) -> bytes:
    """Return lines as the block of that number."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(lines) + deflate.flush()
    size = _HEAD.size + len(body) + _TAIL.size
    head = _HEAD.pack(*_MAGIC, 0, 0, 255, 12, b"BT", 8, size, number)
    return head + body + _TAIL.pack(zlib.crc32(lines), len(lines) & 0xFFFFFFFF)


@attrs.define
class BlockReader:
    """Reads a file's blocks, one after the other, as far as they are whole.

    Attributes:
        path: Which file.
        torn: Why it ends where no block does, once it has been read; None if it does.
        read_bytes: How much of it was read.
    """

    path: Path
    torn: str | None = None
    read_bytes: int = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield each block's lines.

        Raises:
            OSError: The file can't be read.
        """
        self.torn, self.read_bytes, number = None, 0, 0
        with self.path.open("rb") as file:
            while True:
                lines, size, fault = _next_block(file, number)
                if lines is None:
                    self.torn = fault
                    return
                self.read_bytes += size
                number += 1
                yield lines


def _next_block(file: BinaryIO, number: int) -> tuple[bytes | None, int, str | None]:
    """Return a block's lines and its size; or None, and what is wrong if it isn't the end."""
    head = file.read(_HEAD.size)
    if not head:
        return None, 0, None
    if len(head) < _HEAD.size:
        return None, 0, f"block {number} is cut off"
    *magic, _, _, _, extra, name, length, size, found = _HEAD.unpack(head)
    if (*magic, extra, name, length) != (*_MAGIC, 12, b"BT", 8):
        return None, 0, f"block {number} doesn't begin as one"
    if found != number:
        return None, 0, f"block {number} is missing: block {found} stands in its place"
    if not _HEAD.size + _TAIL.size < size <= LARGEST:
        return None, 0, f"block {number} has no size that can be"
    body = file.read(size - _HEAD.size)
    if len(body) < size - _HEAD.size:
        return None, 0, f"block {number} is cut off"
    lines = _unpacked(body)
    return lines, size, None if lines is not None else f"block {number} is damaged"


def _unpacked(body: bytes) -> bytes | None:
    crc, length = _TAIL.unpack(body[-_TAIL.size :])
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        lines = inflate.decompress(body[: -_TAIL.size], LARGEST)
    except zlib.error:
        return None
    fits = inflate.eof and not inflate.unused_data and len(lines) == length
    return lines if fits and zlib.crc32(lines) == crc else None
