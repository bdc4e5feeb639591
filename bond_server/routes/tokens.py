"""Give tokens and tickets for a stream, list the long-lived ones, and revoke."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import attrs
from litestar import Request, Response, delete, get, post

from bond_core.errors import Problem, RequestError
from bond_core.wire.times import iso
from bond_server.auth.access import Access, TokenRequest
from bond_server.auth.project import needs
from bond_server.auth.registry import Registered
from bond_server.auth.tokens import TOKEN_SCOPES
from bond_server.routes.body import read_optional_object
from bond_server.routes.given import Given, StreamId, TokenId
from bond_server.routes.links import ws_url
from bond_server.routes.operations import BODY, AsksForAToken
from bond_server.routes.operations import guarded_answers as problems
from bond_server.routes.owned import own
from bond_server.service import Service
from bond_server.settings import ServerSettings

NOT_STORED = {"Cache-Control": "no-store"}
_EXAMPLE = '{"persistent": true, "label": "bot"}'
_KEYS = ("persistent", "label", "version", "scopes")
_LONGEST_LABEL = 100
_NS = 1_000_000_000


@attrs.frozen(kw_only=True)
class FreshToken:
    """A new token for a stream that is there."""

    token: str
    ws_url: str
    expires_in_sec: int


@attrs.frozen(kw_only=True)
class RegisteredToken:
    """A new token that is registered, as every one is that lasts longer than 24 hours."""

    token: str
    ws_url: str
    expires_in_sec: int
    token_id: str


@attrs.frozen(kw_only=True)
class FreshTicket:
    """A ticket for one connection within `expires_in_sec`."""

    ticket: str
    ws_url: str
    expires_in_sec: int


@attrs.frozen(kw_only=True)
class KnownToken:
    """A registered token; its text is kept nowhere."""

    token_id: str
    label: str | None
    created_at: str
    expires_at: str
    last_used_at: str | None


@post(
    "/v1/streams/{stream_id:str}/token",
    status_code=200,
    summary="Get a fresh token",
    operation_class=AsksForAToken,
    opt=needs("tokens:mint"),
    responses=problems(*BODY, 404, 503),
)
async def refresh_token(
    request: Request[Any, Any, Any], stream_id: StreamId, bond: Given[Service],
    settings: Given[ServerSettings], access: Given[Access], project: Given[str],
) -> Response[FreshToken | RegisteredToken]:  # fmt: skip
    """Return a fresh token; `{"persistent": true, "label": "bot"}` a long-lived, registered one."""
    asked = _read_request(await read_optional_object(request))
    await own(bond, project, stream_id)
    token, entry = await access.issue(stream_id, project, asked)
    url, lasts_s = ws_url(request, settings, stream_id, token.text), token.expires_in_s
    answer: FreshToken | RegisteredToken
    if entry is None:
        answer = FreshToken(token=token.text, ws_url=url, expires_in_sec=lasts_s)
    else:
        answer = RegisteredToken(
            token=token.text, ws_url=url, expires_in_sec=lasts_s, token_id=entry.token_id
        )
    return Response(answer, headers=NOT_STORED)


@post(
    "/v1/streams/{stream_id:str}/ticket",
    status_code=200,
    summary="Get a ticket for one connection",
    opt=needs("tokens:mint"),
    responses=problems(400, 404, 503),
)
async def get_ticket(
    request: Request[Any, Any, Any], stream_id: StreamId, bond: Given[Service],
    settings: Given[ServerSettings], access: Given[Access], project: Given[str],
) -> Response[FreshTicket]:  # fmt: skip
    """Return what a browser may put into an address: good for one connection, half a minute."""
    await own(bond, project, stream_id)
    ticket, good_for_s = access.ticket(stream_id)
    answer = FreshTicket(
        ticket=ticket,
        ws_url=ws_url(request, settings, stream_id, ticket, as_what="ticket"),
        expires_in_sec=good_for_s,
    )
    return Response(answer, headers=NOT_STORED)


@get(
    "/v1/streams/{stream_id:str}/tokens",
    summary="List the registered tokens",
    opt=needs("tokens:mint"),
    responses=problems(400, 404, 503),
)
async def list_tokens(
    stream_id: StreamId, bond: Given[Service], access: Given[Access], project: Given[str]
) -> list[KnownToken]:
    """Return a stream's registered tokens, the oldest first, without their texts."""
    await own(bond, project, stream_id)
    return [_known(entry) for entry in access.registry.registered(stream_id)]


@delete(
    "/v1/streams/{stream_id:str}/tokens",
    summary="Revoke all tokens",
    opt=needs("tokens:mint"),
    responses=problems(400, 404, 503),
)
async def revoke_tokens(
    stream_id: StreamId, bond: Given[Service], access: Given[Access], project: Given[str]
) -> None:
    """Let no token count that was given for this stream until now, and close its listeners."""
    await own(bond, project, stream_id)
    await access.revoke_all(stream_id)


@delete(
    "/v1/streams/{stream_id:str}/tokens/{token_id:str}",
    summary="Revoke a token",
    opt=needs("tokens:mint"),
    responses=problems(400, 404, 503),
)
async def revoke_token(
    stream_id: StreamId, token_id: TokenId, bond: Given[Service], access: Given[Access],
    project: Given[str],
) -> None:  # fmt: skip
    """Let one token count no more, and close its listeners.

    `token_id` is that of a registered token, or the SHA-256 of any token as 64 hex digits.
    """
    await own(bond, project, stream_id)
    if not await access.revoke(stream_id, token_id):
        raise RequestError(
            f"This stream has no registered token {token_id[:40]!r}. One that is not registered "
            "is revoked by its SHA-256, 64 hex digits",
            code="unknown_token",
            fix=f"GET /v1/streams/{stream_id}/tokens",
        )


def _known(entry: Registered) -> KnownToken:
    last_s = entry.last_used_s
    return KnownToken(
        token_id=entry.token_id,
        label=entry.label,
        created_at=iso(entry.created_s * _NS),
        expires_at=iso(entry.expiry_s * _NS),
        last_used_at=None if last_s is None else iso(last_s * _NS),
    )


def _read_request(body: Mapping[str, Any]) -> TokenRequest:
    """Return what kind of token a body asks for.

    Raises:
        RequestError: It makes no sense.
    """
    for key in body:
        if key not in _KEYS:
            near = tuple(difflib.get_close_matches(key, _KEYS, n=1))
            raise _wrong(key[:40], "unknown key", near)
    persistent, label = body.get("persistent", False), body.get("label", "")
    version, scopes = body.get("version", 1), body.get("scopes", [])
    if not isinstance(persistent, bool):
        raise _wrong("persistent", "must be true or false")
    if not isinstance(label, str) or len(label) > _LONGEST_LABEL:
        raise _wrong("label", f"must be a text of up to {_LONGEST_LABEL} characters")
    if isinstance(version, bool) or version not in (1, 2):
        raise _wrong("version", "must be 1 or 2")
    asked = TokenRequest(version=version, persistent=persistent, label=label or None)
    if "scopes" not in body:
        return asked
    if version == 1:
        raise _wrong("scopes", "a token of version 1 has none; ask for version 2")
    if (
        not isinstance(scopes, list)
        or not scopes
        or any(s not in sorted(TOKEN_SCOPES) for s in scopes)
    ):
        raise _wrong("scopes", f"must be a list of {' and '.join(sorted(TOKEN_SCOPES))}")
    return attrs.evolve(asked, scopes=frozenset(scopes))


def _wrong(key: str, detail: str, near: tuple[str, ...] = ()) -> RequestError:
    problem = Problem(detail=detail, pointer=f"/{key}", text=key, did_you_mean=near)
    return RequestError(f"{key!r}: {detail}", problems=[problem], fix=_EXAMPLE)
