"""Why a client's session is over: the close codes, and a word for each."""

from __future__ import annotations

import attrs

from bond_server.streams import AnyStream


@attrs.frozen
class Ending:
    """Why a session is over: a WebSocket close code, and a word for it."""

    code: int
    reason: str


GONE = Ending(1006, "gone")
COMPLETE = Ending(1000, "complete")
EXPIRED = Ending(1008, "token_expired")
REVOKED = Ending(1008, "token_revoked")
BAD_SLOW = Ending(1008, "bad_slow")
TOO_MANY_MESSAGES = Ending(1008, "too_many_messages")
INTERNAL = Ending(1011, "internal")
RESTART = Ending(1012, "restart")
UNAVAILABLE = Ending(1013, "unavailable")
SLOW = Ending(4008, "slow")
TOO_MANY_CONNECTIONS = Ending(4429, "connections")
DELETED = Ending(4404, "stream_deleted")

_COME_BACK = frozenset({1011, 1012, 1013, 4008, 4429})


def is_retryable(ending: Ending) -> bool:
    """Return whether the same request may succeed later, with the same token."""
    return ending.code in _COME_BACK


def ending_of(stream: AnyStream) -> Ending:
    """Return why a stream brings nothing more: it came to its end, broke, or was deleted."""
    if stream.failure is not None:
        return INTERNAL
    return COMPLETE if stream.is_complete else DELETED
