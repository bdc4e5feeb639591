"""Stream tokens: who holds one may read one stream until it expires.

{expiry}.{signature}              what is issued; expiry in Unix seconds
{stream_id}.{expiry}.{signature}  accepted as well
b2.{kid}.{claims}.{signature}     version 2, for who asks for it

1: signature = first 16 hex digits of HMAC-SHA256(secret, "{stream_id}.{expiry}")
2: claims = base64url of {"sid", "prj", "exp", "iat", "jti", "scp"}; signature = the whole
   HMAC-SHA256 over all that stands before it, in base64url, with a key of its own:
   HKDF-SHA256(secret, info="bond-ws-v2") (RFC 5869); kid names the secret.

Nothing is kept here: what was revoked or has to be registered is said by `registry.py`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import re
import secrets as chance
from collections.abc import Callable

import attrs
import msgspec

from bond_core.clock import NS, Clock
from bond_core.errors import BondError
from bond_core.settings import Secret
from bond_server.auth.keys import digest_of

LEEWAY_S = 30
"""How far clocks may disagree."""

SUBSCRIBE, REPLAY = "sub", "replay"
TOKEN_SCOPES = frozenset({SUBSCRIBE, REPLAY})
"""What a token lets do: hear what is new, and what was."""

_STREAM_ID = re.compile(r"[0-9a-f]{16}")
_FIRST = re.compile(r"(?:([0-9a-f]{16})\.)?([0-9]{10,12})\.([0-9a-f]{16})")
_SECOND = re.compile(r"b2\.([0-9a-f]{8})\.([A-Za-z0-9_-]{16,512})\.([A-Za-z0-9_-]{43})")
_LONGEST = 640


class TokenError(BondError):
    """The token does not open the stream, or there is no such stream: it is not said which.

    Codes: `token_invalid`; `token_expired` and `token_revoked` where it was good once; `scope`.
    """

    default_code = "token_invalid"


@attrs.frozen
class Token:
    """A token as issued.

    Attributes:
        text: What the client presents.
        expires_in_s: For how long it is good, in seconds.
        expiry_s: Until when, in Unix seconds.
    """

    text: str = attrs.field(repr=False)
    expires_in_s: int
    expiry_s: int = 0


@attrs.frozen(kw_only=True)
class Grant:
    """What a good token gives.

    Attributes:
        stream_id: Which stream it opens.
        digest: SHA-256 of what was presented, as 64 hex digits; the only trace of it.
        expiry_s: What the token says, in Unix seconds.
        end_s: When it stops to count: the leeway included, the end of its secret respected.
        scopes: What it lets do, of TOKEN_SCOPES.
        project: Whose stream it says that is; None where it doesn't say.
    """

    stream_id: str
    digest: str
    expiry_s: int
    end_s: int
    scopes: frozenset[str] = TOKEN_SCOPES
    project: str | None = None


class _Claims(msgspec.Struct):
    """What a token of version 2 says; it is read after its signature was found good."""

    sid: str
    prj: str
    exp: int
    iat: int
    jti: str
    scp: list[str]


class Tokens:
    """Signs tokens and verifies them; keeps none.

    Args:
        secret: Signs.
        clock: The only clock.
        ttl_s: How long a token is good for where nobody says.
        previous: Signed before; its tokens count as well.
        previous_until_s: Until then, in Unix seconds; None: as long as it is set.
    """

    def __init__(
        self, secret: Secret, clock: Clock, *, ttl_s: int = 3600, previous: Secret | None = None,
        previous_until_s: int | None = None,
    ) -> None:  # fmt: skip
        self.ttl_s = ttl_s
        self._clock = clock
        self._current = secret
        self._previous = previous
        self._previous_until_s = previous_until_s

    def issue(self, stream_id: str, *, ttl_s: int | None = None, later_than_s: int = 0) -> Token:
        """Return a fresh token for a stream.

        Args:
            stream_id: The stream.
            ttl_s: How long it is good for, in seconds.
            later_than_s: It must not expire before this, in Unix seconds, nor then.
        """
        now_s = self._now_s()
        expiry_s = max(now_s + (ttl_s or self.ttl_s), later_than_s + 1)
        signature = _sign(self._current, stream_id, str(expiry_s))
        return Token(f"{expiry_s}.{signature}", expiry_s - now_s, expiry_s)

    def issue_second(
        self, stream_id: str, project: str, *, scopes: frozenset[str] = TOKEN_SCOPES,
        ttl_s: int | None = None, later_than_s: int = 0,
    ) -> Token:  # fmt: skip
        """Return a fresh token of version 2; arguments as for `issue`."""
        now_s = self._now_s()
        expiry_s = max(now_s + (ttl_s or self.ttl_s), later_than_s + 1)
        claims = _Claims(
            sid=stream_id, prj=project, exp=expiry_s, iat=now_s, jti=chance.token_hex(8),
            scp=sorted(scopes),
        )  # fmt: skip
        said = f"b2.{key_id_of(self._current)}.{_base64(msgspec.json.encode(claims))}"
        return Token(f"{said}.{_sign_second(self._current, said)}", expiry_s - now_s, expiry_s)

    def verify(self, stream_id: str, text: str | None) -> Grant:
        """Return what the token gives.

        Raises:
            TokenError: `token_invalid`, or `token_expired` where it was good once.
        """
        # The pattern first: compare_digest takes no other text than ASCII, int() takes too much.
        if not text or len(text) > _LONGEST or not _STREAM_ID.fullmatch(stream_id):
            raise invalid_token(stream_id)
        if first := _FIRST.fullmatch(text):
            grant = self._verify_first(stream_id, text, first)
        elif second := _SECOND.fullmatch(text):
            grant = self._verify_second(stream_id, text, second)
        else:
            raise invalid_token(stream_id)
        if self._now_s() > grant.end_s:
            raise TokenError(
                "The token has expired", code="token_expired", fix=how_to_get_one(stream_id)
            )
        return grant

    def _verify_first(self, stream_id: str, text: str, parts: re.Match[str]) -> Grant:
        if parts[1] not in (None, stream_id):
            raise invalid_token(stream_id)
        secret = self._signer(
            lambda known: hmac.compare_digest(_sign(known, stream_id, parts[2]), parts[3])
        )
        if secret is None:
            raise invalid_token(stream_id)
        # Its two forms are one token: revoked in one, it is in the other.
        return self._grant(stream_id, f"{parts[2]}.{parts[3]}", int(parts[2]), secret)

    def _verify_second(self, stream_id: str, text: str, parts: re.Match[str]) -> Grant:
        said = text.rpartition(".")[0]
        secret = self._signer(
            lambda known: (
                hmac.compare_digest(key_id_of(known), parts[1])
                and hmac.compare_digest(_sign_second(known, said), parts[3])
            )
        )
        if secret is None:
            raise invalid_token(stream_id)
        try:
            raw = base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4))
            claims = msgspec.json.decode(raw, type=_Claims)
        except (ValueError, msgspec.DecodeError):  # signed by us, so by another version of us
            raise invalid_token(stream_id) from None
        if claims.sid != stream_id:
            raise invalid_token(stream_id)
        grant = self._grant(stream_id, text, claims.exp, secret)
        return attrs.evolve(grant, scopes=frozenset(claims.scp) & TOKEN_SCOPES, project=claims.prj)

    def _signer(self, signed: Callable[[Secret], bool]) -> Secret | None:
        """Return the secret that signed; all are tried, so that time doesn't tell which."""
        known = [self._current]
        until_s = self._previous_until_s
        if self._previous is not None and (until_s is None or self._now_s() <= until_s):
            known.append(self._previous)
        return next((secret for secret, is_it in [(s, signed(s)) for s in known] if is_it), None)

    def _grant(self, stream_id: str, text: str, expiry_s: int, secret: Secret) -> Grant:
        end_s = expiry_s + LEEWAY_S
        if secret is not self._current and self._previous_until_s is not None:
            end_s = min(end_s, self._previous_until_s)
        return Grant(stream_id=stream_id, digest=digest_of(text), expiry_s=expiry_s, end_s=end_s)

    def _now_s(self) -> int:
        return self._clock.now_ns() // NS


def invalid_token(stream_id: str) -> TokenError:
    """Return the one thing that is said of a bad token and of a stream that isn't there."""
    detail = "The token does not open this stream, or there is no such stream"
    return TokenError(detail, fix=how_to_get_one(stream_id))


def how_to_get_one(stream_id: str) -> str:
    """Return the call that gives a fresh token."""
    known = stream_id if _STREAM_ID.fullmatch(stream_id) else "{stream_id}"
    return f"POST /v1/streams/{known}/token"


@functools.lru_cache(maxsize=8)
def key_id_of(secret: Secret) -> str:
    """Return the 8 hex digits by which tokens of version 2 name the secret that signed them."""
    return _derive(secret, b"bond-ws-v2 kid").hex()[:8]


def _sign(secret: Secret, stream_id: str, expiry: str) -> str:
    message = f"{stream_id}.{expiry}".encode()
    return hmac.new(os.fsencode(secret.reveal()), message, hashlib.sha256).hexdigest()[:16]


def _sign_second(secret: Secret, said: str) -> str:
    return _base64(hmac.digest(_second_key(secret), said.encode(), "sha256"))


@functools.lru_cache(maxsize=8)
def _second_key(secret: Secret) -> bytes:
    return _derive(secret, b"bond-ws-v2")


def _derive(secret: Secret, info: bytes) -> bytes:
    """Return HKDF-SHA256 (RFC 5869) of a secret, without salt, 32 bytes: one block of it."""
    extracted = hmac.digest(bytes(32), os.fsencode(secret.reveal()), "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
