"""Decode a message of a WebSocket: JSON as text, as UTF-8 bytes, or packed by gzip or zlib.

Standard JSON only: `NaN` and `Infinity` are none. What unpacks to more than a message may have
is refused before it is unpacked.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

MAX_BYTES = 1 << 20
"""The largest message that is taken, packed or not."""

_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


class UnreadableError(ValueError):
    """A message can't be decoded; `why` says so without what stood in it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def text_of(frame: str | bytes) -> str:
    """Return a message as text.

    Raises:
        UnreadableError: It is neither UTF-8 nor packed by gzip or zlib, or too large unpacked.
    """
    if isinstance(frame, str):
        return frame
    if frame.startswith((_GZIP, *_ZLIB)):
        frame = _unpacked(frame)
    try:
        return frame.decode()
    except UnicodeDecodeError:
        raise UnreadableError("binary, and neither UTF-8, gzip nor zlib") from None


def json_of(text: str) -> Any:
    """Return a text as JSON.

    Raises:
        UnreadableError: It is none, or nested too deep.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise UnreadableError("no JSON") from None


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip and zlib, by their header
    try:
        found = unpacking.decompress(packed, MAX_BYTES)
    except zlib.error:
        raise UnreadableError("packed, and broken") from None
    if unpacking.unconsumed_tail:
        raise UnreadableError(f"it unpacks to more than {MAX_BYTES} bytes")
    if not unpacking.eof:
        raise UnreadableError("packed, and cut short")
    return found
