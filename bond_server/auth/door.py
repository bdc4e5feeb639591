"""Who gets as far as the application: asked of every request and handshake before routing.

1. The name it was sent to (421), since a page may point its own domain here.
2. The page it comes from: CORS for HTTP (403 for what changes something), 1008 `origin` for
   WebSockets, which browsers open for any page.
3. How much came lately from the same API key, or else address (429).
"""

from __future__ import annotations

from typing import Any

from litestar.types import ASGIApp, Message, Receive, Send

from bond_core.errors import BondError
from bond_server.auth.access import Access
from bond_server.auth.limits import Limiter, address_of
from bond_server.auth.origins import host_of
from bond_server.auth.presented import header_of
from bond_server.auth.refusals import AccessError, TooManyError, bad_origin
from bond_server.problems import plain_answer

_CHANGES_NOTHING = ("GET", "HEAD", "OPTIONS")
_ANSWERS_TO_ANYBODY = ("/health", "/health/live", "/health/ready")
_METHODS = b"GET, POST, DELETE"
_HEADERS = b"Authorization, Content-Type, Last-Event-ID"
_EXPOSED = (
    b"Bond-Epoch, Bond-Oldest-Id, Bond-Replay, Bond-Simulated, Bond-Top-Id, Retry-After, "
    b"X-Request-Id"
)
_REMEMBER_S = b"600"


class Door:
    """An ASGI application in front of another."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Refuse, or let pass."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        origin, is_welcome = self._origin_of(scope)
        if origin is not None:
            send = _saying_who_may_read(send, origin if is_welcome else None)
        is_preflight = scope["method"] == "OPTIONS" and header_of(
            scope, b"access-control-request-method"
        )
        refusal = self._wrong_host(scope)
        if refusal is None and is_preflight and origin is not None:
            await _answer_preflight(send, is_welcome=is_welcome)
            return
        if refusal is None and not is_welcome and scope["method"] not in _CHANGES_NOTHING:
            refusal = bad_origin()
        if refusal is None and scope["path"] not in _ANSWERS_TO_ANYBODY:
            refusal = self._too_many(scope, self._limiter_of(scope))
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await _answer(send, refusal)

    async def _websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        refusal = self._wrong_host(scope) or self._too_many(scope, self._access.connects)
        if refusal is not None:
            await receive()  # the handshake
            await refuse_handshake(send, refusal)
        elif not self._origin_of(scope)[1]:
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await send({"type": "websocket.close", "code": 1008, "reason": "origin"})
        else:
            await self._app(scope, receive, send)

    def _wrong_host(self, scope: Any) -> BondError | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if any(host_of(host) is None for host in hosts):
            return AccessError(
                "The Host header names no host", code="bad_request", fix="Host: localhost:8000"
            )
        is_open = not self._access.keys.are_asked_for
        if self._access.origins.accepts_host(hosts, is_open=is_open):
            return None
        return AccessError(
            f"This server is not reached as {hosts[0][:80]!a}; BOND_ALLOWED_HOSTS says as "
            "what it may be",
            code="host",
            fix="http://localhost:8000",
        )

    def _origin_of(self, scope: Any) -> tuple[str | None, bool]:
        """Return the page's origin, None where no browser says one, and whether it may come."""
        origin, host = header_of(scope, b"origin"), header_of(scope, b"host")
        return origin, self._access.origins.accepts_origin(origin, host)

    def _limiter_of(self, scope: Any) -> Limiter:
        if scope["method"] not in _CHANGES_NOTHING:
            return self._access.writes
        return self._access.connects if scope["path"].endswith("/events") else self._access.reads

    def _too_many(self, scope: Any, limiter: Limiter) -> BondError | None:
        text = (header_of(scope, b"authorization") or "").partition(" ")[2].strip()
        key = self._access.keys.find(text) if text else None
        wait_s = limiter.take(f"key {key.key_id}" if key else address_of(scope.get("client")))
        if not wait_s or limiter.rate is None:
            return None
        whose = "with this API key" if key else "from this address"
        return TooManyError(
            f"Too many requests {whose}: {limiter.rate} are allowed",
            limit=limiter.rate.burst,
            used=limiter.rate.burst,
            retry_after_s=wait_s,
        )


async def refuse_handshake(send: Send, error: BondError) -> None:
    """Answer a WebSocket's handshake with a problem over HTTP instead of accepting it."""
    status, headers, body = plain_answer(error)
    await send(
        {"type": "websocket.http.response.start", "status": status, "headers": _encoded(headers)}
    )
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


async def _answer(send: Send, error: BondError) -> None:
    status, headers, body = plain_answer(error)
    headers |= {"Content-Length": str(len(body))}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _answer_preflight(send: Send, *, is_welcome: bool) -> None:
    headers = [(b"content-length", b"0")]
    if is_welcome:
        headers = [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _HEADERS),
            (b"access-control-max-age", _REMEMBER_S),
        ]
    status = 204 if is_welcome else 403
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _saying_who_may_read(send: Send, origin: str | None) -> Send:
    """Return a `send` that adds the CORS headers; `origin` is None where nobody else may."""

    async def send_with_cors(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(b"vary", b"Origin")]
            if origin is not None:
                added += [
                    (b"access-control-allow-origin", origin.encode("latin-1")),
                    (b"access-control-expose-headers", _EXPOSED),
                ]
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return send_with_cors


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
