"""Who may use the routes of a plugin: by API key, or by a token that opens them all."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from litestar import Request

from bond_core.clock import NS, Clock
from bond_server.auth.access import Access
from bond_server.auth.keys import PREFIX
from bond_server.auth.limits import address_of
from bond_server.auth.listeners import Admission
from bond_server.auth.presented import bearer, header_of
from bond_server.auth.project import caller
from bond_server.auth.refusals import bad_origin, scope_missing
from bond_server.auth.tokens import Grant, TokenError

_NEVER_S = 1 << 53
_HOUR_S = 3600


def token_id_of(part: str) -> str:
    """Return what stands where tokens name their stream: one for each part of the server."""
    return hashlib.sha256(f"bond.part:{part}".encode()).hexdigest()[:16]


def admit(
    request: Request[Any, Any, Any], access: Access, clock: Clock, *, part: str, prefix: str,
    scope: str,
) -> Admission:  # fmt: skip
    """Return the right to listen that a request's key or token gives, or that everybody has.

    Raises:
        AccessError: There is no key, or none that may do it; or a page of another site asks,
            which must not cost anything upstream. TokenError: The token opens nothing.
        TooManyError: The key, token or address has all the listeners it may have.
        ServerFullError: The process has.
    """
    _refuse_strangers_pages(request, access)
    is_asked = access.keys.are_asked_for
    if is_asked and _has_token(request):
        try:
            return access.admit(request, token_id_of(part))
        except TokenError as error:  # it knows of streams only
            raise TokenError(error.detail, code=error.code, fix=f"POST {prefix}/token") from None
    key = caller(request)
    if not key.may(scope):
        raise scope_missing(scope, key.scopes)
    address = address_of(request.scope.get("client"))
    grant = Grant(
        stream_id=token_id_of(part),
        digest=key.digest if is_asked else secrets.token_hex(32),  # else the address counts
        expiry_s=clock.now_ns() // NS + _HOUR_S,
        end_s=_NEVER_S,
    )
    access.listeners.check(grant, address)
    return Admission(
        grant, address, access.listeners, lambda _: is_asked and not access.keys.holds(key.digest)
    )


def _refuse_strangers_pages(request: Request[Any, Any, Any], access: Access) -> None:
    """Refuse pages that may not come, and what they embed, which says no origin but whose it is."""
    origin, host = header_of(request.scope, b"origin"), header_of(request.scope, b"host")
    is_embedded = origin is None and header_of(request.scope, b"sec-fetch-site") == "cross-site"
    if is_embedded or not access.origins.accepts_origin(origin, host):
        raise bad_origin()


def _has_token(request: Request[Any, Any, Any]) -> bool:
    text = bearer(request)
    if text is not None:
        return not text.startswith(PREFIX)
    return "token" in request.query_params
