"""Create, list, show and delete streams; give tokens for them; say how they do."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.openapi.datastructures import ResponseSpec

from bond_core.errors import Problem, RequestError
from bond_core.spec.canonical import spec_as_json
from bond_server.auth.tokens import Tokens
from bond_server.delivery.counters import Counters
from bond_server.local import Bond, Stream
from bond_server.problems import UnknownStreamError
from bond_server.routes.answers import CreatedStream, FreshToken, details, summary, understood
from bond_server.routes.body import read_object, read_optional_object
from bond_server.routes.given import Given, StreamId
from bond_server.routes.links import sse_url, ws_url
from bond_server.routes.operations import BODY, AsksForAStream, AsksForAToken
from bond_server.routes.operations import problem_answers as problems
from bond_server.settings import ServerSettings

_NOT_STORED = {"Cache-Control": "no-store"}


@post(
    "/v1/streams",
    summary="Create a stream",
    operation_class=AsksForAStream,
    responses={
        200: ResponseSpec(CreatedStream, description="It was there already"),
        **problems(*BODY, 429, 503),
    },
)
async def create_stream(
    request: Request[Any, Any, Any],
    bond: Given[Bond],
    settings: Given[ServerSettings],
    tokens: Given[Tokens],
    project: Given[str],
) -> Response[CreatedStream]:
    """Turn a sentence or a spec into a running stream; the same request gives the same one."""
    compiled = bond.compile(await read_object(request))
    stream, is_new = await bond.create(compiled, project=project)
    token = tokens.issue(stream.stream_id)
    replay_ms = compiled.options.replay_ms
    answer = CreatedStream(
        stream_id=stream.stream_id,
        ws_url=ws_url(request, settings, stream.stream_id, token.text, replay_ms),
        sse_url=sse_url(request, stream.stream_id, token.text, replay_ms),
        access_token=token.text,
        expires_in_sec=token.expires_in_s,
        spec=spec_as_json(compiled.spec),
        understood=understood(compiled),
        warnings=list(compiled.warnings),
    )
    return Response(answer, status_code=201 if is_new else 200, headers=_NOT_STORED)


@get("/v1/streams", summary="List your streams")
async def list_streams(bond: Given[Bond], project: Given[str]) -> list[dict[str, Any]]:
    """Return the project's streams, the oldest first."""
    return [summary(stream) for stream in bond.streams(project)]


@get("/v1/streams/{stream_id:str}", summary="Show a stream", responses=problems(400, 404))
async def show_stream(
    stream_id: StreamId, bond: Given[Bond], project: Given[str]
) -> dict[str, Any]:
    """Return one stream, with its state and its sources' health."""
    return details(_own(bond, project, stream_id))


@delete("/v1/streams/{stream_id:str}", summary="Delete a stream", responses=problems(400, 404))
async def delete_stream(stream_id: StreamId, bond: Given[Bond], project: Given[str]) -> None:
    """Stop a stream and forget its records; its clients are told and closed."""
    await bond.delete(_own(bond, project, stream_id).stream_id)


@post(
    "/v1/streams/{stream_id:str}/token",
    status_code=200,
    summary="Get a fresh token",
    operation_class=AsksForAToken,
    responses=problems(*BODY, 404),
)
async def refresh_token(
    request: Request[Any, Any, Any],
    stream_id: StreamId,
    bond: Given[Bond],
    settings: Given[ServerSettings],
    tokens: Given[Tokens],
    project: Given[str],
) -> Response[FreshToken]:
    """Return a fresh token for a stream that is there."""
    for key in await read_optional_object(request):
        raise RequestError(
            f"unknown key {key!r}: a token takes no settings",
            problems=[Problem(detail="unknown key", pointer=f"/{key}", text=key)],
            fix="{}",
        )
    token = tokens.issue(_own(bond, project, stream_id).stream_id)
    answer = FreshToken(
        token=token.text,
        ws_url=ws_url(request, settings, stream_id, token.text),
        expires_in_sec=token.expires_in_s,
    )
    return Response(answer, headers=_NOT_STORED)


@get(
    "/v1/streams/{stream_id:str}/metrics", summary="How a stream does", responses=problems(400, 404)
)
async def stream_metrics(
    stream_id: StreamId, bond: Given[Bond], counters: Given[Counters], project: Given[str]
) -> dict[str, Any]:
    """Return uptime, messages, what was dropped, latency, and what its clients got here."""
    stream = _own(bond, project, stream_id)
    body, delivered = stream.metrics(), counters.of(stream)
    return body | {
        "dropped": body["dropped"] + delivered.conflated,
        "clients": delivered.clients,
        "delivered": delivered.sent,
        "conflated": delivered.conflated,
        "slow_disconnects": delivered.slow,
    }


def _own(bond: Bond, project: str, stream_id: str) -> Stream:
    stream = bond.find(stream_id)
    if stream is None or stream.project != project:
        raise UnknownStreamError(stream_id)
    return stream
