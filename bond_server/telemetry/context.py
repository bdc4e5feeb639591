"""What is being done right now, and for whom: kept beside the code, for logs and errors.

A task takes over what was bound where it was created. Tasks that outlive the request that
created them (streams, connectors) are therefore created in a context of their own.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
STREAM_ID: ContextVar[str | None] = ContextVar("stream_id", default=None)

_GIVEN = re.compile(r"[A-Za-z0-9_-]{1,64}")  # no dot: a stream token is none of these
_STREAM = re.compile(r"[0-9a-f]{16}")


def bound() -> dict[str, str]:
    """Return the ids that are bound here, by name."""
    found = {"request_id": REQUEST_ID.get(), "stream_id": STREAM_ID.get()}
    return {name: value for name, value in found.items() if value is not None}


def new_request_id() -> str:
    """Return an id that no other request has."""
    return f"req_{secrets.token_hex(8)}"


def request_id_from(given: str | None) -> str:
    """Return the id that a client gave its request, or a new one where that can't be one."""
    return given if given is not None and _GIVEN.fullmatch(given) else new_request_id()


def is_stream_id(text: str) -> bool:
    """Return whether this has a stream id's form; nothing else a client sends gets into logs."""
    return _STREAM.fullmatch(text) is not None
