"""Where a client presents what it has, in this order: a header, a subprotocol, the address.

    Authorization: Bearer {token}
    Sec-WebSocket-Protocol: bond.plain, bond.token.{base64url of the token}
    ?token={token}
    ?ticket={ticket}

An API key in the header is no stream token: a client that sends its key everywhere is still
asked for a token.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Literal

from bond_server.auth.keys import PREFIX

PLAIN = "bond.plain"
"""The subprotocol of plain framing: a browser that offers any wants one of them chosen."""

_TOKEN_PROTOCOL = "bond.token."  # noqa: S105 -- a prefix
_BASE64 = re.compile(r"[A-Za-z0-9_-]{1,1024}={0,2}")


def header_of(scope: Any, name: bytes) -> str | None:
    """Return a header without having them all parsed, and kept as long as the connection lasts."""
    return next((v.decode("latin-1") for n, v in scope["headers"] if n == name), None)


def bearer(connection: Any) -> str | None:
    """Return the credentials of an `Authorization: Bearer` header; None where there are none."""
    kind, _, credentials = (header_of(connection.scope, b"authorization") or "").partition(" ")
    text = str(credentials).strip()
    return text if kind.lower() == "bearer" and text else None


def presented_token(connection: Any) -> tuple[Literal["token", "ticket"], str | None]:
    """Return what a client presents for a stream, and as what."""
    text = bearer(connection)
    if text is not None and not text.startswith(PREFIX):
        return "token", text
    for name in connection.scope.get("subprotocols") or ():
        if name.startswith(_TOKEN_PROTOCOL):
            return "token", _decode(name.removeprefix(_TOKEN_PROTOCOL))
    query = connection.query_params
    if (token := query.get("token")) is not None:
        return "token", str(token)
    if (ticket := query.get("ticket")) is not None:
        return "ticket", str(ticket)
    return "token", None


def chosen_subprotocol(connection: Any) -> str | None:
    """Return the subprotocol to accept with; never one that carries a token."""
    return PLAIN if PLAIN in (connection.scope.get("subprotocols") or ()) else None


def _decode(text: str) -> str | None:
    """Return the text in base64url, with or without padding; None if it is none, or no ASCII."""
    if not _BASE64.fullmatch(text):
        return None
    plain = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4)).decode("ascii")
    except ValueError:
        return None
