"""Read a request's body: JSON, an object, and no more of it than makes sense."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Request

from bond_core.errors import Problem, RequestError
from bond_server.problems import EXAMPLE_REQUEST

MAX_BYTES = 64 * 1024

# Who is cut off in the middle of sending sees a broken connection and not the answer, so
# what is too much is read to its end and thrown away, as far as that is bearable.
_DRAIN_BYTES = 16 * 1024 * 1024
_WITHIN_S = 15.0
_MAX_DEPTH = 16


async def read_object(
    request: Request[Any, Any, Any], *, fix: str = EXAMPLE_REQUEST
) -> dict[str, Any]:
    """Return the JSON object that a request carries.

    Raises:
        RequestError: `body_too_large`, `not_json`, or another kind of JSON than an object.
    """
    value = _decode(await _read(request), fix)
    if not isinstance(value, dict):
        raise RequestError("The body must be a JSON object", code="invalid_request", fix=fix)
    if _is_deeper_than(value, _MAX_DEPTH):
        raise RequestError(f"The body is nested deeper than {_MAX_DEPTH} levels", fix=fix)
    return value


async def read_optional_object(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Return the JSON object that a request carries; nothing at all is an empty one."""
    raw = await _read(request)
    if not raw.strip():
        return {}
    value = _decode(raw, "{}")
    if not isinstance(value, dict):
        raise RequestError("The body must be a JSON object, or nothing", fix="{}")
    return value


async def _read(request: Request[Any, Any, Any]) -> bytes:
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await _receive(request)
    except TimeoutError:
        raise RequestError(
            f"The body did not arrive within {_WITHIN_S:g} s",
            code="request_timeout",
            fix=EXAMPLE_REQUEST,
        ) from None


async def _receive(request: Request[Any, Any, Any]) -> bytes:
    chunks, size = [], 0
    while True:
        event = await request.receive()
        if event["type"] != "http.request":
            raise RequestError("The client left", code="bad_request")
        chunk = event["body"]
        size += len(chunk)
        if size <= MAX_BYTES:
            chunks.append(chunk)
        if size > _DRAIN_BYTES or not event["more_body"]:
            break
    if size > MAX_BYTES:
        raise RequestError(
            f"The body is larger than {MAX_BYTES // 1024} KiB",
            code="body_too_large",
            fix=EXAMPLE_REQUEST,
        )
    return b"".join(chunks)


def _decode(raw: bytes, fix: str) -> object:
    # The last two are no msgspec errors: bytes that are no UTF-8, and brackets without end.
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(
            f"The body is not JSON: {what}",
            code="not_json",
            problems=[Problem(pointer="", detail=what)],
            fix=fix,
        ) from None


def _is_deeper_than(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_is_deeper_than(v, levels - 1) for v in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_is_deeper_than(v, levels - 1) for v in value)
    return False
