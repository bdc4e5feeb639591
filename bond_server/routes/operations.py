"""What OpenAPI says of requests and errors, where the handlers' types don't say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import attrs
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from bond_server.mending import EXAMPLE
from bond_server.problems import MEDIA_TYPE

_TEXTS = Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.STRING))


@attrs.frozen(kw_only=True)
class ProblemError:
    """One thing that is wrong with a request."""

    did_you_mean: list[str]
    pointer: str | None = None
    span: list[int] | None = None
    text: str | None = None
    detail: str | None = None


@attrs.frozen(kw_only=True)
class ProblemDocument:
    """An error, as RFC 9457 has it, and how to mend it."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemError]
    fix: str | None
    retryable: bool
    request_id: str


_SAYS = {
    400: "The body is not JSON",
    401: "The key is missing or none; or the token does not open the stream",
    403: "The key, or token, may not do this; or a page of another site asks",
    404: "There is no such stream",
    413: "The body is larger than 64 KiB",
    422: "It makes no sense, or can't be had here; `fix` is a complete input that works",
    429: "More than is allowed; `limit` and `used` say how much",
    503: "Not now; Retry-After says when",
}


def problem_answers(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the documentation of these errors."""
    return {
        status: ResponseSpec(
            ProblemDocument,
            description=_SAYS[status],
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status in statuses
    }


def guarded_answers(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the documentation of these errors, and of those that every call with a key has."""
    return problem_answers(401, 403, *statuses, 429)


@dataclass
class AsksForAStream(Operation):
    """An operation whose body is a sentence or a spec."""

    def __post_init__(self) -> None:
        """Describe the body, which the handler reads itself."""
        self.request_body = RequestBody(
            required=True,
            content={
                "application/json": OpenAPIMediaType(
                    schema=_stream_request(), examples=_stream_examples()
                )
            },
        )


@dataclass
class AsksForAToken(Operation):
    """An operation whose body, if there is one, says what kind of token is wanted."""

    def __post_init__(self) -> None:
        """Describe the body, which the handler reads itself."""
        properties: dict[str, Reference | Schema] = {
            "persistent": Schema(type=OpenAPIType.BOOLEAN),
            "label": Schema(type=OpenAPIType.STRING, max_length=100),
            "version": Schema(type=OpenAPIType.INTEGER, enum=[1, 2]),
            "scopes": _TEXTS,
        }
        schema = Schema(type=OpenAPIType.OBJECT, properties=properties)
        self.request_body = RequestBody(
            required=False, content={"application/json": OpenAPIMediaType(schema=schema)}
        )


def _stream_request() -> Schema:
    return Schema(
        type=OpenAPIType.OBJECT,
        description="Either natural_language or spec.",
        properties={
            "natural_language": Schema(type=OpenAPIType.STRING, max_length=500),
            "spec": Schema(type=OpenAPIType.OBJECT, properties={"symbols": _TEXTS}),
            "ephemeral": Schema(type=OpenAPIType.BOOLEAN),
            "duration_sec": Schema(type=OpenAPIType.NUMBER),
            "replay_sec": Schema(type=OpenAPIType.NUMBER),
            "label": Schema(type=OpenAPIType.STRING),
        },
    )


def _stream_examples() -> dict[str, Any]:
    spec = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 5}
    return {
        "sentence": Example(value={"natural_language": EXAMPLE}),
        "spec": Example(value={"spec": spec}),
    }
