"""The addresses that clients are given."""

from __future__ import annotations

from typing import Any, Literal

from litestar import Request

from bond_core.spec.duration import format_duration
from bond_server.settings import ServerSettings


def ws_url(
    request: Request[Any, Any, Any], settings: ServerSettings, stream_id: str, token: str,
    replay_ms: int | None = None, *, as_what: Literal["token", "ticket"] = "token",
) -> str:  # fmt: skip
    """Return a stream's WebSocket address: as the settings say, else where the request came.

    With `replay_ms` it replays so much of the past first. `as_what` says what `token` is.
    """
    is_secure = request.url.scheme == "https"
    if settings.public_ws_base:
        base = settings.public_ws_base.rstrip("/")
    else:
        host = settings.ws_host or _own_host(request)
        base = f"{'wss' if is_secure else 'ws'}://{host}/ws"
    return f"{base}/{stream_id}?{as_what}={token}{_replaying(replay_ms)}"


def sse_url(
    request: Request[Any, Any, Any], settings: ServerSettings, stream_id: str, token: str,
    replay_ms: int | None = None,
) -> str:  # fmt: skip
    """Return a stream's address for Server-Sent Events; `replay_ms` as for `ws_url`.

    It is where the request came, or where the WebSockets are, if this process serves neither.
    """
    base = f"{request.url.scheme}://{_own_host(request)}"
    if settings.role == "api" and settings.public_ws_base:
        base = settings.public_ws_base.replace("ws", "http", 1).rstrip("/").removesuffix("/ws")
    elif settings.role == "api" and settings.ws_host:
        base = f"{request.url.scheme}://{settings.ws_host}"
    return f"{base}/v1/streams/{stream_id}/events?token={token}{_replaying(replay_ms)}"


def _replaying(replay_ms: int | None) -> str:
    return f"&from=now-{format_duration(replay_ms)}" if replay_ms else ""


def _own_host(request: Request[Any, Any, Any]) -> str:
    """Return the host and port that the client asked; without that the server's own."""
    asked = request.headers.get("host")
    if asked:
        return asked
    host, port = request.scope.get("server") or ("localhost", 8000)
    return f"{host}:{port}" if port else str(host)
