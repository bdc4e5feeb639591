"""Turn every error into the one shape that clients get: RFC 9457 `application/problem+json`.

    {"type": "urn:bond:problem:unknown_exchange", "title": "Unknown exchange", "status": 422,
     "code": "unknown_exchange", "detail": "I don't know the exchange 'binanse'",
     "errors": [{"pointer": "/natural_language", "span": [13, 20], "text": "binanse",
                 "did_you_mean": ["binance"]}],
     "fix": "BTC price on binance every 5s", "retryable": false, "request_id": "req_1f…",
     "docs": "/v1/errors/unknown_exchange"}

`fix` is a complete input that works; what nobody foresaw is said in the log and not here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from bond_core.errors import (
    AnsweredError,
    BondError,
    FencedError,
    LimitError,
    LogUnavailableError,
    Problem,
    RequestError,
    Retryable,
    SetupError,
    SourceError,
)
from bond_server.error_catalogue.catalogue import entry_of, link_of
from bond_server.mending import EXAMPLE
from bond_server.proposals.refusal import ProposedError
from bond_server.telemetry.context import REQUEST_ID, new_request_id

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5

_log = logging.getLogger("bond.server")

_STATUS_OF_CLASS: tuple[tuple[type[BondError], int], ...] = (
    (LimitError, 429),
    (RequestError, 422),
    (SetupError, 422),
    (Retryable, 503),
    (SourceError, 422),
    (LogUnavailableError, 503),
    (FencedError, 409),
)
EXAMPLE_REQUEST = f'{{"natural_language": "{EXAMPLE}"}}'

_CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_FIX_OF_STATUS = {
    400: "GET /schema describes every request",
    404: "GET / lists what is here",
    405: "GET /schema lists the methods of every address",
}


class UnknownStreamError(RequestError):
    """There is no stream with this id, or it is somebody else's: it is not said which."""

    default_code = "unknown_stream"

    def __init__(self, stream_id: str) -> None:
        super().__init__(f"There is no stream {stream_id[:40]!r}", fix="GET /v1/streams")


def status_of(error: BondError) -> int:
    """Return the HTTP status of an error: of its code, else, for a plugin's own, of its class."""
    if isinstance(error, AnsweredError):
        return error.status
    entry = entry_of(error.code)
    if entry is not None and entry.status is not None:
        return entry.status
    return next((status for cls, status in _STATUS_OF_CLASS if isinstance(error, cls)), 500)


def problem_body(error: BondError, status: int, request_id: str) -> dict[str, Any]:
    """Return the problem document of an error."""
    entry = entry_of(error.code)
    body: dict[str, Any] = {
        "type": f"urn:bond:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": status,
        "code": error.code,
        "detail": error.detail,
        "errors": [_problem(problem) for problem in error.problems],
        "fix": error.fix or _default_fix(error),
        "retryable": error.retryable if entry is None else entry.again,
        "request_id": request_id,
        "docs": link_of(error.code),
    }
    if isinstance(error, LimitError):
        body |= {"limit": error.limit, "used": error.used}
    if isinstance(error, AnsweredError):
        body |= {key: value for key, value in error.more.items() if key not in body}
    if isinstance(error, ProposedError):
        body["proposal"] = error.proposal.as_json()
    return body


def answer_bond_error(request: Request[Any, Any, Any], error: BondError) -> Response[Any]:
    """Answer with what Bond itself raised."""
    status = status_of(error)
    if status == 500:
        return answer_unexpected(request, error)
    return _response(error, status, _headers_of(error, status))


def plain_answer(error: BondError) -> tuple[int, dict[str, str], bytes]:
    """Return the same answer as status, headers and body, for who refuses before routing."""
    status = status_of(error)
    body = msgspec.json.encode(problem_body(error, status, REQUEST_ID.get() or new_request_id()))
    return status, {"Content-Type": MEDIA_TYPE} | _headers_of(error, status), body


def _headers_of(error: BondError, status: int) -> dict[str, str]:
    headers = {}
    if status in (429, 503):
        asked: float | None = getattr(error, "retry_after_s", None)
        headers["Retry-After"] = str(max(1, math.ceil(asked or RETRY_AFTER_S)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 408:
        headers["Connection"] = "close"  # the rest of the body may still come
    if status == 426:
        headers["Upgrade"] = "websocket"
    return headers


def answer_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Answer with what the framework raised: no such address, no such method, a bad header."""
    status = error.status_code
    if status >= 500:
        return answer_unexpected(request, error)
    path = request.scope["path"][:80]
    headers = dict(error.headers or {})
    detail = f"{error.detail}"
    if status == 404:
        detail = f"There is nothing at {path}"
    elif status == 405:
        detail = f"{path} does not take {request.method}; Allow says what it takes"
    ours = RequestError(
        detail,
        code=_CODE_OF_STATUS.get(status, "bad_request"),
        fix=_FIX_OF_STATUS.get(status, _FIX_OF_STATUS[400]),
    )
    return _response(ours, status, headers)


def answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer with what nobody foresaw: told to the log, not to the client."""
    request_id = REQUEST_ID.get() or new_request_id()
    _log.error("%s %s %s failed", request_id, request.method, request.scope["path"], exc_info=error)
    ours = BondError(
        "Something went wrong in the server; its log says what, under the request_id",
        code="internal",
        fix="Send it again later",
    )
    return _response(ours, 500, {}, request_id)


def _response(
    error: BondError, status: int, headers: Mapping[str, str], request_id: str | None = None
) -> Response[Any]:
    return Response(
        problem_body(error, status, request_id or REQUEST_ID.get() or new_request_id()),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers),
    )


def _default_fix(error: BondError) -> str | None:
    """Return an input that works, where whoever raised the error had none at hand."""
    entry = entry_of(error.code)
    if entry is not None and entry.fix is not None:
        return entry.fix
    if isinstance(error, LogUnavailableError | Retryable):
        return "Send it again later"
    return EXAMPLE_REQUEST if isinstance(error, RequestError) else None


def _problem(problem: Problem) -> dict[str, Any]:
    pointer = problem.pointer or ("/natural_language" if problem.span else None)
    known = {
        "pointer": pointer,
        "span": problem.span and list(problem.span),
        "text": problem.text,
        "detail": problem.detail,
    }
    said = {key: value for key, value in known.items() if value is not None}
    return said | {"did_you_mean": list(problem.did_you_mean)}
