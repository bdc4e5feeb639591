"""Around every request: its id, its span, and what came of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from bond_core.clock import Clock
from bond_core.runtime.stages import Latency
from bond_server.telemetry.context import REQUEST_ID, STREAM_ID, is_stream_id, request_id_from
from bond_server.telemetry.tracing import Span, Tracing

HEADER = "X-Request-Id"
NO_ROUTE = "none"
"""Stands for the route of a request that fits none."""

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@attrs.define
class Requests:
    """What was asked over HTTP.

    Attributes:
        answered: Answers by route (as a template), method and status.
        latency: From a request's head to its answer's, by route: an answer may go on for hours.
    """

    answered: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    latency: defaultdict[str, Latency] = attrs.field(factory=lambda: defaultdict(Latency))


class Observed:
    """An ASGI application around another one, which must leave the route in the scope."""

    def __init__(self, app: Asgi, *, clock: Clock, requests: Requests, tracing: Tracing) -> None:
        self._app = app
        self._clock = clock
        self._requests = requests
        self._tracing = tracing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        headers = {key.decode("latin-1"): v.decode("latin-1") for key, v in scope["headers"]}
        request_id = request_id_from(headers.get(HEADER.lower()))
        ids = REQUEST_ID.set(request_id), STREAM_ID.set(_stream_id(scope["path"]))
        kind, said = "websocket", {"url.scheme": scope["scheme"]}
        is_http = scope["type"] == "http"
        if is_http:
            kind = scope["method"] if scope["method"] in _METHODS else "other"
            said["http.request.method"] = kind
        try:
            with self._tracing.request(kind, headers, said) as span:
                headers.clear()  # read by now, while the connection may last for hours
                if is_http:
                    send = self._answering(scope, send, request_id, kind, span)
                try:
                    await self._app(scope, receive, send)
                finally:
                    _name(span, scope, kind)
        finally:
            REQUEST_ID.reset(ids[0])
            STREAM_ID.reset(ids[1])

    def _answering(
        self, scope: Any, send: Any, request_id: str, method: str, span: Span
    ) -> Callable[[Any], Awaitable[None]]:
        """Return a `send` that adds the request's id to the answer's head, and counts it."""
        since_ns = self._clock.monotonic_ns()
        requests = self._requests

        # No coroutine of its own: events go through here by the thousand.
        def sending(message: Any) -> Any:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (HEADER.lower().encode(), request_id.encode()),
                ]
                status, route = message["status"], scope.get("path_template") or NO_ROUTE
                requests.answered[route, method, str(status)] += 1
                requests.latency[route].saw(self._clock.monotonic_ns() - since_ns)
                span.set("http.response.status_code", status)
            return send(message)

        return sending


def _name(span: Span, scope: Any, kind: str) -> None:
    """Name a span after its route, which is known once it was found."""
    route = scope.get("path_template") or NO_ROUTE
    span.set("http.route", route)
    span.rename(f"{kind} {route}")


def _stream_id(path: str) -> str | None:
    """Return the stream that an address is about, before anybody has looked at it."""
    parts = path.split("/")
    found = parts[2] if parts[1:2] == ["ws"] and len(parts) > 2 else None
    if parts[1:3] == ["v1", "streams"] and len(parts) > 3:
        found = parts[3]
    return found if found is not None and is_stream_id(found) else None
