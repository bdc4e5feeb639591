"""Say whose request it is, and whether it may do that. Routes take the project from here only.

Every route says by its option `scope` what its caller needs; `OPEN` is nothing. A route that
says nothing is for `admin`, so that none is open by mistake. As long as there are no API keys,
every caller may do everything, in the project `local`.
"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from bond_server.auth.access import Access
from bond_server.auth.keys import LOCAL_PROJECT, PREFIX, SCOPES, ApiKey
from bond_server.auth.presented import bearer
from bond_server.auth.refusals import key_invalid, key_missing, scope_missing

OPEN = "open"
"""For whoever comes, or for who holds a token, which the route itself asks for."""

NOBODY = ""
"""The project of who has to show a key and does not: it has no streams, and gets none."""

_EVERYBODY = ApiKey(key_id="", digest="", scopes=frozenset({"admin"}))


def needs(scope: str) -> dict[str, str]:
    """Return the option of a route that takes this scope: `opt=needs("streams:read")`."""
    if scope != OPEN and scope not in SCOPES:
        raise ValueError(scope)
    return {"scope": scope}


def check_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let pass who may do what the route does.

    Raises:
        AccessError: `key_missing`, `key_invalid` or `scope`.
    """
    scope = handler.opt.get("scope", "admin")
    if scope == OPEN:
        return
    key = caller(connection)
    if not key.may(scope):
        raise scope_missing(scope, key.scopes)


def project(request: Request[Any, Any, Any]) -> str:
    """Return the project a request belongs to; NOBODY where a key is missing, on open routes."""
    access: Access = request.app.state.access
    if not access.keys.are_asked_for:
        return LOCAL_PROJECT
    text = bearer(request)
    known = access.keys.find(text) if text else None
    return known.project if known else NOBODY


def caller(connection: ASGIConnection[Any, Any, Any, Any]) -> ApiKey:
    """Return the key of a request; where none is asked for, one that may do everything.

    Raises:
        AccessError: `key_missing` or `key_invalid`.
    """
    access: Access = connection.app.state.access
    if not access.keys.are_asked_for:
        return _EVERYBODY
    text = bearer(connection)
    if text is None:
        raise key_missing()
    found = access.keys.find(text) if text.startswith(PREFIX) else None
    if found is None:
        raise key_invalid()
    return found
