"""Tickets: what a browser puts into a WebSocket's address, good once and for half a minute.

Tickets live in this process only: whoever gave one has to be asked for the connection.
"""

from __future__ import annotations

import re
import secrets

import attrs

from bond_core.clock import NS, Clock
from bond_server.auth.keys import digest_of
from bond_server.auth.refusals import TooManyError
from bond_server.auth.tokens import LEEWAY_S, Grant, invalid_token

TICKET_S = 30
_MOST = 10_000
_PREFIX = "bt_"
_TICKET = re.compile(r"bt_[A-Za-z0-9_-]{43}")


@attrs.frozen
class _Kept:
    good_until_ns: int
    grant: Grant


class Tickets:
    """Gives tickets, and takes each once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def issue(self, stream_id: str, expiry_s: int) -> str:
        """Return a ticket for a connection that may last until `expiry_s`, in Unix seconds.

        Raises:
            TooManyError: Too many were given that nobody has used yet.
        """
        now_ns = self._clock.monotonic_ns()
        while self._kept and self._first().good_until_ns < now_ns:
            del self._kept[next(iter(self._kept))]
        if len(self._kept) >= _MOST:
            raise TooManyError(
                f"{_MOST} tickets are waiting to be used", limit=_MOST, used=len(self._kept),
                retry_after_s=TICKET_S, code="tickets",
            )  # fmt: skip
        text = f"{_PREFIX}{secrets.token_urlsafe(32)}"
        grant = Grant(
            stream_id=stream_id, digest=digest_of(text), expiry_s=expiry_s,
            end_s=expiry_s + LEEWAY_S,
        )  # fmt: skip
        self._kept[grant.digest] = _Kept(now_ns + TICKET_S * NS, grant)
        return text

    def redeem(self, stream_id: str, text: str) -> Grant:
        """Return what a ticket gives; it gives it once.

        Raises:
            TokenError: It is none, was used, is too old, or is for another stream.
        """
        found = self._kept.pop(digest_of(text), None) if _TICKET.fullmatch(text) else None
        if found is None or found.good_until_ns < self._clock.monotonic_ns():
            raise invalid_token(stream_id)
        if found.grant.stream_id != stream_id:
            raise invalid_token(stream_id)
        return found.grant

    def _first(self) -> _Kept:
        return next(iter(self._kept.values()))
