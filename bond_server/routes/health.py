"""Whether the server lives, and whether it can serve; and what it is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import metadata
from typing import Any

from litestar import HttpMethod, Response, get, route
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec

from bond_core.clock import NS
from bond_core.errors import LogUnavailableError
from bond_core.log.offset import START
from bond_server.auth.project import NOBODY, OPEN, needs
from bond_server.delivery.drain import Drain
from bond_server.parts.loading import Part
from bond_server.routes.given import Given
from bond_server.service import Service
from bond_server.settings import ServerSettings

_LOG_ANSWERS_WITHIN_S = 2.0
_ASKED = (HttpMethod.GET, HttpMethod.HEAD)  # what balancers and monitors ask with


@get("/", summary="What this is", opt=needs(OPEN))
async def about(parts: Given[tuple[Part, ...]]) -> dict[str, Any]:
    """Say what this is and where things are."""
    return {
        "name": "Bond",
        "what": "A sentence in, a live and time-aligned stream of market data out",
        "version": metadata.version("bond-streams"),
        "streams": "/v1/streams",
        "explain": "/v1/explain",
        "sources": "/v1/sources",
        "errors": "/v1/errors",
        "plugins": "/v1/plugins",
        "websocket": "/ws/{stream_id}?token=…",
        "events": "/v1/streams/{stream_id}/events?token=…",
        "health": "/health",
        "metrics": "/metrics",
        "openapi": "/schema",
        "parts": {part.spec.name: part.about() for part in parts},
    }


@route("/health", http_method=_ASKED, summary="How the server does", opt=needs(OPEN))
async def health(
    bond: Given[Service], settings: Given[ServerSettings], project: Given[str], state: State,
    parts: Given[tuple[Part, ...]],
) -> dict[str, Any]:  # fmt: skip
    """Return that it is up, since when, and how many streams you have: null without a key."""
    streams = None
    if project != NOBODY:
        with suppress(LogUnavailableError):  # then `status` says so
            streams = len(await bond.listed(project))
    return {
        "status": "ok" if bond.ails() is None else "degraded",
        "reason": bond.ails(),
        "role": settings.role,
        "version": metadata.version("bond-streams"),
        "uptime_sec": round((bond.clock.monotonic_ns() - state.started_ns) / NS, 3),
        "streams": streams,
        "parts": {part.spec.name: _of_part(part, project) for part in parts},
    }


def _of_part(part: Part, project: str) -> dict[str, Any]:
    said = part.health()
    if project == NOBODY and said.get("status") == "failed":
        said.pop("reason", None)  # it may name settings
    return said


@route("/health/live", http_method=_ASKED, summary="Is it alive?", opt=needs(OPEN))
async def live() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@route(
    "/health/ready",
    http_method=_ASKED,
    summary="Can it serve?",
    opt=needs(OPEN),
    responses={503: ResponseSpec(dict[str, str], description="Not now; `reason` says why")},
)
async def ready(bond: Given[Service], drain: Given[Drain]) -> Response[dict[str, str]]:
    """Say whether it takes new clients: its log answers, and it isn't leaving."""
    reason = "leaving" if drain.is_draining else bond.ails() or await _what_ails_the_log(bond)
    if reason is None:
        return Response({"status": "ok"})
    return Response({"status": "unavailable", "reason": reason}, status_code=503)


async def _what_ails_the_log(bond: Service) -> str | None:
    try:
        async with asyncio.timeout(_LOG_ANSWERS_WITHIN_S):
            await bond.log.read("health", START, 1)
    except TimeoutError:
        return f"the log does not answer within {_LOG_ANSWERS_WITHIN_S:g} s"
    except LogUnavailableError as error:
        return error.detail
    return None
