"""Write and read TWS's frames, as the simulator does: a length of 4 bytes, then texts.

Each text ends in a NUL. Source: what ib_async 2.1.0 writes and reads (`client.py`, `decoder.py`).
"""

from __future__ import annotations

import asyncio
import struct
from enum import IntEnum

_MOST = 1 << 20


class Ask(IntEnum):
    """What a client may send, of what the simulator answers."""

    CONTRACT_DETAILS = 9
    CURRENT_TIME = 49
    BARS = 50
    CANCEL_BARS = 51
    START_API = 71
    TICK_BY_TICK = 97
    CANCEL_TICK_BY_TICK = 98


class Tell(IntEnum):
    """What TWS sends, of what the simulator sends."""

    ERROR = 4
    NEXT_VALID_ID = 9
    CONTRACT_DETAILS = 10
    MANAGED_ACCOUNTS = 15
    CURRENT_TIME = 49
    BAR = 50
    CONTRACT_DETAILS_END = 52
    TICK_BY_TICK = 99


def frame(*fields: object) -> bytes:
    """Return a frame of these fields; whole floats are written as TWS does, without `.0`."""
    body = b"".join(_text(field).encode() + b"\0" for field in fields)
    return struct.pack(">I", len(body)) + body


async def read_text(reader: asyncio.StreamReader) -> str:
    """Return the content of the next frame. IncompleteReadError: the connection is over."""
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    if size > _MOST:
        raise ValueError(f"a frame of {size} bytes")
    return (await reader.readexactly(size)).decode()


async def read_fields(reader: asyncio.StreamReader) -> list[str]:
    """Return the fields of the next frame."""
    return (await read_text(reader)).split("\0")[:-1]


def _text(field: object) -> str:
    if isinstance(field, bool):
        return str(int(field))
    if isinstance(field, float) and field.is_integer():
        return str(int(field))
    return str(int(field)) if isinstance(field, IntEnum) else str(field)
