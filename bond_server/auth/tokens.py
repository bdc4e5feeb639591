"""Stream tokens: who holds one may read one stream until it expires.

{expiry}.{signature}              what is issued; expiry in Unix seconds
{stream_id}.{expiry}.{signature}  accepted as well

signature = first 16 hex digits of HMAC-SHA256(secret, "{stream_id}.{expiry}")
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re

import attrs

from bond_core.clock import NS, Clock
from bond_core.errors import BondError
from bond_core.settings import Secret

LEEWAY_S = 30
"""How far clocks may disagree."""

_STREAM_ID = re.compile(r"[0-9a-f]{16}")
_TOKEN = re.compile(r"(?:([0-9a-f]{16})\.)?([0-9]{10,12})\.([0-9a-f]{16})")
_LONGEST = 64


class TokenError(BondError):
    """The token does not open the stream, or there is no such stream: it is not said which."""

    default_code = "token_invalid"


@attrs.frozen
class Token:
    """A token as issued.

    Attributes:
        text: What the client presents.
        expires_in_s: For how long it is good, in seconds.
    """

    text: str = attrs.field(repr=False)
    expires_in_s: int


class Tokens:
    """Issues tokens and verifies them; keeps none."""

    def __init__(
        self, secret: Secret, clock: Clock, *, ttl_s: int = 3600, previous: Secret | None = None
    ) -> None:
        self._secrets = (secret,) if previous is None else (secret, previous)
        self._clock = clock
        self._ttl_s = ttl_s

    def issue(self, stream_id: str) -> Token:
        """Return a fresh token for a stream."""
        expiry = str(self._now_s() + self._ttl_s)
        signature = _sign(self._secrets[0], stream_id, expiry)
        return Token(f"{expiry}.{signature}", self._ttl_s)

    def verify(self, stream_id: str, text: str | None) -> int:
        """Return when the token stops to count, in Unix seconds, the leeway included.

        Raises:
            TokenError: `token_invalid`, or `token_expired` where it was good once.
        """
        # The pattern first: compare_digest takes no other text than ASCII, int() takes too much.
        found = _TOKEN.fullmatch(text) if text and len(text) <= _LONGEST else None
        if not found or not _STREAM_ID.fullmatch(stream_id) or found[1] not in (None, stream_id):
            raise _invalid(stream_id)
        good = [
            hmac.compare_digest(_sign(secret, stream_id, found[2]), found[3])
            for secret in self._secrets
        ]
        if not any(good):
            raise _invalid(stream_id)
        end_s = int(found[2]) + LEEWAY_S
        if self._now_s() > end_s:
            raise TokenError(
                "The token has expired", code="token_expired", fix=_how_to_get_one(stream_id)
            )
        return end_s

    def _now_s(self) -> int:
        return self._clock.now_ns() // NS


def _sign(secret: Secret, stream_id: str, expiry: str) -> str:
    message = f"{stream_id}.{expiry}".encode()
    return hmac.new(os.fsencode(secret.reveal()), message, hashlib.sha256).hexdigest()[:16]


def _invalid(stream_id: str) -> TokenError:
    detail = "The token does not open this stream, or there is no such stream"
    return TokenError(detail, fix=_how_to_get_one(stream_id))


def _how_to_get_one(stream_id: str) -> str:
    known = stream_id if _STREAM_ID.fullmatch(stream_id) else "{stream_id}"
    return f"POST /v1/streams/{known}/token"
