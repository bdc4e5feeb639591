"""Ask over HTTP for a connector, with errors that say what to do next."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from bond_core.errors import Fatal, Retryable
from bond_core.plugin.context import Kept
from bond_core.plugin.egress import Route
from bond_core.plugin.sink import Reply

if TYPE_CHECKING:
    import httpx

MAX_BODY = 16 * 1024 * 1024
"""The largest body that is read, in bytes."""

BEGINNING = 1024
"""How much of an answer's body `post` reads, in bytes."""

_PASSING = {408, 425, 429, 500, 502, 503, 504}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_log = logging.getLogger("bond.http")


async def fetch_json(
    route: Route, *, params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    tls: ssl.SSLContext | None = None,
) -> Any:  # fmt: skip
    """Return the JSON body of a GET; see `fetch`.

    Raises:
        Retryable: No connection, a time-out, or a status that may pass.
        Fatal: Any other status that isn't 2xx, or a body that isn't JSON.
    """
    body = await fetch(route, params=params, headers=headers, timeout_s=timeout_s, tls=tls)
    try:
        return json.loads(body)
    except ValueError:
        raise Fatal(f"{route.host} did not answer with JSON") from None


async def fetch(
    route: Route, *, params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    tls: ssl.SSLContext | None = None, sent: bytes | None = None, kept: Kept | None = None,
) -> bytes:  # fmt: skip
    """Return the body of an answer. Errors name the host, never the query, headers or body.

    Args:
        route: Where to; redirects are not followed.
        params: Added to the query.
        headers: Added to the request; not the Host header.
        timeout_s: For all of it, in real seconds.
        tls: What the certificate is checked with; None is httpx's default.
        sent: The body of a POST; None is a GET.
        kept: What is known of the page, and where what is learned now is put.

    Raises:
        Retryable: No connection, a time-out, or a status that may pass.
        Fatal: Any other status that isn't 2xx, or a body that is too large.
    """
    async with _answered(
        route, _with_query(route.target, params), headers={**(headers or {}), **_conditions(kept)},
        timeout_s=timeout_s, tls=tls, sent=sent,
    ) as reply:  # fmt: skip
        if reply.status_code == 304 and kept is not None and kept.body is not None:
            return kept.body
        if not reply.is_success:
            raise refusal(route.host, reply.status_code, reply.headers)
        body = await _body(reply, route)
        _keep(kept, body, reply.headers)
        return body


async def post(
    route: Route, body: bytes, *, headers: Mapping[str, str] | None = None,
    timeout_s: float = 15.0, tls: ssl.SSLContext | None = None,
) -> Reply:  # fmt: skip
    """Return the answer to a POST, whatever its status, with the beginning of its body.

    Args:
        route: Where to; redirects are not followed.
        body: What is sent.
        headers: Added to the request; not the Host header.
        timeout_s: For all of it, in real seconds.
        tls: What the certificate is checked with; None is httpx's default.

    Raises:
        Retryable: No connection, or no answer in time.
        Fatal: A header that can't be sent.
    """
    async with _answered(
        route, route.target, headers=headers, timeout_s=timeout_s, tls=tls, sent=body
    ) as reply:
        beginning = bytearray()
        async for part in reply.aiter_raw():
            beginning += part
            if len(beginning) >= BEGINNING:
                break
        return Reply(
            status=reply.status_code,
            body=bytes(beginning[:BEGINNING]),
            retry_after_s=_retry_after_s(reply.headers),
        )


@asynccontextmanager
async def _answered(
    route: Route, target: str, *, headers: Mapping[str, str] | None, timeout_s: float,
    tls: ssl.SSLContext | None, sent: bytes | None,
) -> AsyncIterator[httpx.Response]:  # fmt: skip
    """Give the answer to a request, its body not yet read."""
    import httpx  # noqa: PLC0415 -- an extra: only plugins that ask over HTTP need it

    for name in ("httpx", "httpcore"):  # they log whole URLs, and with them keys
        logging.getLogger(name).setLevel(logging.WARNING)
    told = checked_headers(route, headers)
    if route.is_guarded:
        told["accept-encoding"] = "identity"  # what unpacks to gigabytes isn't asked for
    client = httpx.AsyncClient(
        timeout=httpx.Timeout(timeout_s, connect=timeout_s / len(_hosts(route))),
        trust_env=not route.is_guarded,
        verify=tls or _usual_tls(trust_env=not route.is_guarded),
    )
    try:
        async with asyncio.timeout(timeout_s), client:
            reply = await _first_answer(client, route, target, told, sent)
            try:
                yield reply
            finally:
                await reply.aclose()
    except (httpx.HTTPError, TimeoutError) as error:
        raise unreachable(route, error) from None


def _conditions(kept: Kept | None) -> dict[str, str]:
    """Return the headers that ask only for what has changed since (RFC 9110, 13.1)."""
    if kept is None or kept.body is None:
        return {}
    asked = {"If-None-Match": kept.etag, "If-Modified-Since": kept.last_modified}
    return {name: value for name, value in asked.items() if value is not None and value.isascii()}


def _keep(kept: Kept | None, body: bytes, headers: Mapping[str, str]) -> None:
    if kept is None:
        return
    kept.body, kept.etag = body, headers.get("etag")
    kept.last_modified = headers.get("last-modified")


@functools.cache
def _usual_tls(*, trust_env: bool) -> ssl.SSLContext:
    """Return httpx's own default, made once: it takes milliseconds, and each message asks anew."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context(trust_env=trust_env)


async def _first_answer(
    client: httpx.AsyncClient, route: Route, target: str, headers: Mapping[str, str],
    sent: bytes | None,
) -> httpx.Response:  # fmt: skip
    """Return the answer of the first of the route's addresses that is there."""
    import httpx  # noqa: PLC0415

    connections: list[Any] = []

    async def note(event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            connections.append(info["return_value"])

    hosts = _hosts(route)
    for host in hosts:
        # The name stays in the Host header, in SNI and in what the certificate must show.
        request = client.build_request(
            "GET" if sent is None else "POST",
            httpx.URL(scheme=route.scheme, host=host, port=route.port, raw_path=target.encode()),
            headers={**headers, "Host": route.authority},
            content=sent,
            extensions={"sni_hostname": route.host, "trace": note},
        )
        try:
            return await client.send(request, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if host is hosts[-1]:
                raise
        except asyncio.CancelledError:
            # Cancelled while it agrees on TLS, httpcore leaves a connection open for good.
            for connection in connections:
                await connection.aclose()
            raise
    raise AssertionError("there is always one")


def _hosts(route: Route) -> Sequence[str]:
    return route.addresses[:3] or (route.host,)


async def _body(reply: httpx.Response, route: Route) -> bytes:
    if route.is_guarded and reply.headers.get("content-encoding", "identity") != "identity":
        raise Fatal(f"{route.host} answered in an encoding that was not asked for")
    body = bytearray()
    async for part in reply.aiter_bytes():
        body += part
        if len(body) > MAX_BODY:
            raise Fatal(f"{route.host} answered with more than {MAX_BODY >> 20} MiB")
    return bytes(body)


def checked_headers(route: Route, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers, if they can be sent as they are.

    Raises:
        Fatal: One would end the header it stands in, or say another host than the route's.
    """
    for name, value in (headers or {}).items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise Fatal(f"a header for {route.host} has a character that headers can't have")
        if name.lower() in ("host", "connection", "content-length", "transfer-encoding"):
            raise Fatal(f"the header {name} can't be set")
    return dict(headers or {})


def refusal(host: str, status: int, headers: Mapping[str, str]) -> Retryable | Fatal:
    """Return the error of an answer that isn't the one asked for. The body is not in it."""
    error: Retryable | Fatal
    if status in _PASSING:
        error = Retryable(f"{host} answered {status}", retry_after_s=_retry_after_s(headers))
    elif 300 <= status < 400:
        error = Fatal(f"{host} answered {status}: it has moved, and redirects are not followed")
    else:
        error = Fatal(f"{host} answered {status}: the request is refused")
    error.http_status = status
    return error


def unreachable(route: Route, error: Exception) -> Retryable:
    """Return the error of a connection that was not made, or broke.

    Where a user may have written the URL it is one for all: refused, silent and without TLS
    are not told apart, or a stream would be a port scanner. The log knows more.
    """
    if not route.is_guarded:
        return Retryable(f"{route.host} can't be reached: {type(error).__name__}")
    _log.info("%s can't be reached: %s", route.authority, type(error).__name__)
    return Retryable(f"{route.host} can't be reached")


def _with_query(target: str, params: Mapping[str, str] | None) -> str:
    if not params:
        return target
    return f"{target}{'&' if '?' in target else '?'}{urlencode(params)}"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the pause that an answer asks for (RFC 9110, 10.2.3), in seconds.

    Where it names a date, the answer's own Date says what time it is there.
    """
    after = headers.get("retry-after", "").strip()
    if after.isascii() and after.isdecimal():
        return float(after)
    try:
        pause = parsedate_to_datetime(after) - parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, pause.total_seconds())
    except (TypeError, ValueError):
        return None
