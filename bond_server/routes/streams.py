"""Create, list, show and delete streams; give tokens for them; say how they do."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.openapi.datastructures import ResponseSpec

from bond_core.spec.canonical import spec_as_json
from bond_server.auth.access import Access
from bond_server.auth.project import needs
from bond_server.delivery.counters import Counters
from bond_server.proposals.proposer import Proposer
from bond_server.proposals.refusal import compile_or_propose
from bond_server.routes.answers import CreatedStream, details, summary, understood
from bond_server.routes.body import read_object
from bond_server.routes.given import Given, StreamId
from bond_server.routes.links import sse_url, ws_url
from bond_server.routes.operations import BODY, AsksForAStream
from bond_server.routes.operations import guarded_answers as problems
from bond_server.routes.owned import own
from bond_server.routes.tokens import NOT_STORED
from bond_server.service import Service
from bond_server.settings import ServerSettings


@post(
    "/v1/streams",
    summary="Create a stream",
    operation_class=AsksForAStream,
    opt=needs("streams:write"),
    responses={
        200: ResponseSpec(CreatedStream, description="It was there already"),
        **problems(*BODY, 503),
    },
)
async def create_stream(
    request: Request[Any, Any, Any],
    bond: Given[Service],
    settings: Given[ServerSettings],
    access: Given[Access],
    project: Given[str],
    proposer: Given[Proposer],
) -> Response[CreatedStream]:
    """Turn a sentence or a spec into a running stream; the same request gives the same one."""
    compiled = await compile_or_propose(await read_object(request), bond, proposer)
    stream, is_new = await bond.create(compiled, project=project)
    token, _ = await access.issue(stream.stream_id, project)
    replay_ms = compiled.options.replay_ms
    answer = CreatedStream(
        stream_id=stream.stream_id,
        ws_url=ws_url(request, settings, stream.stream_id, token.text, replay_ms),
        sse_url=sse_url(request, settings, stream.stream_id, token.text, replay_ms),
        access_token=token.text,
        expires_in_sec=token.expires_in_s,
        spec=spec_as_json(compiled.spec),
        understood=understood(compiled),
        warnings=list(compiled.warnings),
    )
    return Response(answer, status_code=201 if is_new else 200, headers=NOT_STORED)


@get("/v1/streams", summary="List your streams", opt=needs("streams:read"), responses=problems())
async def list_streams(bond: Given[Service], project: Given[str]) -> list[dict[str, Any]]:
    """Return the project's streams, the oldest first."""
    return [summary(stream) for stream in await bond.listed(project)]


@get(
    "/v1/streams/{stream_id:str}",
    summary="Show a stream",
    opt=needs("streams:read"),
    responses=problems(400, 404),
)
async def show_stream(
    stream_id: StreamId, bond: Given[Service], project: Given[str]
) -> dict[str, Any]:
    """Return one stream, with its state and its sources' health."""
    return details(await own(bond, project, stream_id))


@delete(
    "/v1/streams/{stream_id:str}",
    summary="Delete a stream",
    opt=needs("streams:delete"),
    responses=problems(400, 404),
)
async def delete_stream(stream_id: StreamId, bond: Given[Service], project: Given[str]) -> None:
    """Stop a stream and forget its records; its clients are told and closed."""
    await bond.delete((await own(bond, project, stream_id)).stream_id)


@get(
    "/v1/streams/{stream_id:str}/metrics",
    summary="How a stream does",
    opt=needs("metrics:read"),
    responses=problems(400, 404),
)
async def stream_metrics(
    stream_id: StreamId, bond: Given[Service], counters: Given[Counters], project: Given[str]
) -> dict[str, Any]:
    """Return uptime, messages, what was dropped, latency, and what its clients got here."""
    stream = await own(bond, project, stream_id)
    body, delivered = stream.metrics(), counters.of(stream)
    return body | {
        "dropped": body["dropped"] + delivered.conflated,
        "clients": delivered.clients,
        "delivered": delivered.sent,
        "conflated": delivered.conflated,
        "slow_disconnects": delivered.slow,
    }
