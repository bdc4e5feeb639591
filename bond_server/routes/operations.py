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
    Parameter,
    Reference,
    RequestBody,
    Schema,
)

from bond_server.mending import EXAMPLE
from bond_server.problems import MEDIA_TYPE
from bond_server.routes.request_schema import stream_request


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
    docs: str | None
    proposal: dict[str, Any] | None = None


_SAYS = {
    400: "The request is not what it says it is, such as a body that is no JSON",
    401: "The key is missing or none; or the token does not open the stream",
    403: "Whoever asks may not: the key or token lacks a scope, or a page of another site asks",
    404: "There is no such stream",
    408: "The body did not arrive in time",
    413: "The body is larger than 64 KiB",
    422: "It makes no sense, or can't be had here; `fix` is a complete input that works",
    429: "More than is allowed; `limit` and `used` say how much",
    503: "It can't be had now, and can be later; Retry-After says when to try",
}
BODY = (400, 408, 413, 422)
"""What may be wrong with any request that has a body."""


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
                    schema=stream_request(), examples=_stream_examples()
                )
            },
        )


@dataclass
class AsksForAToken(Operation):
    """An operation whose body, if there is one, says what kind of token is wanted."""

    def __post_init__(self) -> None:
        """Describe the body, which the handler reads itself."""
        text = Schema(type=OpenAPIType.STRING)
        kinds: dict[str, Reference | Schema] = {
            "persistent": Schema(type=OpenAPIType.BOOLEAN),
            "label": Schema(type=OpenAPIType.STRING, max_length=100),
            "version": Schema(type=OpenAPIType.INTEGER, enum=[1, 2]),
            "scopes": Schema(type=OpenAPIType.ARRAY, items=text, min_items=1),
        }
        wanted = Schema(type=OpenAPIType.OBJECT, properties=kinds, additional_properties=False)
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(wanted)})


@dataclass
class Listens(Operation):
    """An operation that says where in a stream it starts, and why it may."""

    def __post_init__(self) -> None:
        """Describe the query and headers, which the handler reads itself."""
        said = (
            ("token", "query", "Opens the stream; `Authorization: Bearer` does as well"),
            ("ticket", "query", "Opens it once, instead of a token"),
            ("after", "query", "An id or a time; what comes behind it is sent"),
            ("from", "query", "A time such as now-60s; what is not before it is sent"),
            ("epoch", "query", "Which life of the log the client was last served from"),
            ("Last-Event-ID", "header", "As `after`, and wins over it"),
            ("lastEventId", "query", "As Last-Event-ID, for who can send no header"),
        )
        text = Schema(type=OpenAPIType.STRING)
        self.parameters = [
            *(self.parameters or ()),
            *(
                Parameter(name=name, param_in=where, description=what, schema=text)
                for name, where, what in said
            ),
        ]


def _stream_examples() -> dict[str, Any]:
    spec = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 5}
    return {
        "sentence": Example(value={"natural_language": EXAMPLE}),
        "spec": Example(value={"spec": spec}),
    }
