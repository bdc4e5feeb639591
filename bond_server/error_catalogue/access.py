"""Errors of who asks: keys, tokens, origins, and how much one may."""

from __future__ import annotations

from bond_server.error_catalogue.entry import Entry

_KEY = "Authorization: Bearer bk_… (`bond keys new` makes one)"
_TOKEN = "POST /v1/streams/{stream_id}/token"  # noqa: S105 -- an address
_SLOWER = "Wait as long as Retry-After says"

ENTRIES = (
    Entry(
        code="bad_tokens", status=429, again=True,
        cause="Too many bad tokens came from one address.",
        remedy=f"{_SLOWER}, and use a good one.",
        fix=_TOKEN,
    ),
    Entry(
        code="connections", status=429, close=4429, again=True,
        cause="As many connections are open as one may have.",
        remedy="Close one, or raise BOND_MAX_CONNECTIONS.",
    ),
    Entry(
        code="full", status=503, again=True,
        cause="The server has all the listeners that it may have.",
        remedy="Connect again later; its operator may raise BOND_MAX_CONNECTIONS.",
    ),
    Entry(
        code="host", status=421,
        cause="The Host header names a server that this one is not.",
        remedy="Use its own address, or let BOND_ALLOWED_HOSTS list the name.",
        fix="BOND_ALLOWED_HOSTS=bond.example.com",
    ),
    Entry(
        code="key_invalid", status=401,
        cause="The API key is not, or no longer, one of this server's.",
        remedy="Use another; `bond keys list` shows which count.",
        fix=_KEY,
    ),
    Entry(
        code="key_missing", status=401,
        cause="The server asks for an API key, and the request has none.",
        remedy="Send one; the SDK and the command line take it from EKKO_API_KEY.",
        fix=_KEY,
    ),
    Entry(
        code="limit", status=429, again=True,
        cause="As many streams run as a project may have (BOND_MAX_STREAMS).",
        remedy="Stop one of those that GET /v1/streams lists, or raise the limit.",
        fix="DELETE /v1/streams/{stream_id}",
    ),
    Entry(
        code="metrics_refused", status=403,
        cause="/metrics is read on the machine itself, or with a key.",
        remedy="Send a key with the scope metrics:read.",
        fix=_KEY,
    ),
    Entry(
        code="origin", status=403, close=1008,
        cause="A page of another site asks, and is not on the list.",
        remedy="List it.",
        fix="BOND_ALLOWED_ORIGINS=https://app.example.com",
    ),
    Entry(
        code="rate", status=429, again=True,
        cause="More requests came than are allowed in this time.",
        remedy=f"{_SLOWER}.",
    ),
    Entry(
        code="scope", status=403, close=1008,
        cause="The key or token is known, and may not do this.",
        remedy="Use one with the scope that the error names.",
        fix="bond keys new --scopes streams:read,streams:write",
    ),
    Entry(
        code="tickets", status=429, again=True,
        cause="As many tickets are open as one may have.",
        remedy=f"Use those that are there. {_SLOWER}.",
    ),
    Entry(
        code="token_expired", status=401, close=1008,
        cause="The stream token's time is over.",
        remedy="Ask for a new one, and go on with `after`; the SDK does so by itself.",
        fix=_TOKEN,
    ),
    Entry(
        code="token_invalid", status=401, close=1008,
        cause="The token is none, or another stream's, or missing.",
        remedy="Ask for one.",
        fix=_TOKEN,
    ),
    Entry(
        code="token_revoked", status=401, close=1008,
        cause="The token was revoked.",
        remedy="Ask for another, if you still may.",
        fix=_TOKEN,
    ),
    Entry(
        code="tokens", status=429, again=True,
        cause="A stream has as many registered tokens as it may.",
        remedy="Revoke one.",
        fix="DELETE /v1/streams/{stream_id}/tokens/{token_id}",
    ),
    Entry(
        code="unknown_token", status=404,
        cause="The stream has no registered token of this id.",
        remedy="Use one of those listed.",
        fix="GET /v1/streams/{stream_id}/tokens",
    ),
)  # fmt: skip
