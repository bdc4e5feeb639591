"""Every error that the SDK raises on purpose, by what its reader can do about it.

* EkkoError
    * APIError                   the server answered, and said no
        * BadRequestError            400, 413, 422: mend what was asked; `fix` works when pasted
        * AuthenticationError        401: the API key or token is missing, wrong or expired
        * PermissionDeniedError      403: the key is known, and may not do this
        * NotFoundError              404: there is no such stream
        * ConflictError              409: something else happened meanwhile
        * RateLimitError             429: too much; wait `retry_after_s`, or stop a stream
        * ServerError                5xx: the server's fault; try later
    * APIConnectionError         nobody answered: is the server running?
    * UnexpectedAnswerError      somebody answered, but not as a Bond server does
    * StreamError                a subscription ended, and connecting again can't help
        * StreamDeletedError         the stream was deleted, or has ended
        * StreamRefusedError         the server refuses this subscription
    * LocalModeError             local mode was asked for and isn't installed
    * MissingLibraryError        a table was asked for of a library that isn't installed
    * RunningLoopError           `listen_sync` was called where `listen` belongs

The fields are the error; the text is made from them. No text holds a token or an API key.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import attrs


class EkkoError(Exception):
    """Base of every error that the SDK raises on purpose."""


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        pointer: JSON pointer (RFC 6901) into the request's body, such as `/natural_language`.
        span: Start and end in the sentence, in characters, end excluded.
        text: The words at `span`, or the value at `pointer`.
        did_you_mean: What may have been meant, the likeliest first.
        detail: What is wrong, where the server says it for each problem.
        asked: The sentence that `span` points into, as it was sent.
    """

    pointer: str | None = None
    span: tuple[int, int] | None = None
    text: str | None = None
    did_you_mean: tuple[str, ...] = ()
    detail: str | None = None
    asked: str | None = None

    def lines(self) -> list[str]:
        """Show the sentence with the span underlined; without a span, where the value stands."""
        meant = " or ".join(self.did_you_mean)
        hint = f" did you mean {meant}?" if meant else ""
        if self.asked is not None and self.span is not None:
            start, end = self.span
            indent = " " * _columns(self.asked[:start])
            marks = "^" * max(1, _columns(self.asked[start:end]))
            return [f"  {_one_line(self.asked)}", f"  {indent}{marks}{hint}"]
        where = " ".join(
            part
            for part in (self.pointer, repr(self.text) if self.text is not None else None)
            if part
        )
        said = " ".join(part for part in (self.detail, hint.strip()) if part)
        if not where and not said:
            return []
        return [f"  {where}: {said}" if where and said else f"  {where or said}"]


@attrs.define(eq=False)
class APIError(EkkoError):
    """The server answered, and said no.

    Attributes:
        status: The HTTP status.
        code: A stable word for programs, such as `unknown_exchange`.
        detail: What happened, as a sentence.
        errors: The single things that are wrong with the request.
        fix: A complete input that works.
        retryable: Whether the same request may succeed later, unchanged.
        request_id: What to name when asking the server's operator.
        retry_after_s: Seconds to wait before asking again, where the server says so.
        docs: Where the server explains the code, such as `/v1/errors/rate`.
        proposal: What a language model proposes in place of a sentence that was not understood:
            `sentence`, `spec`, `assumed`, `interpreted`, `left_out`, `compiled_by`. Nothing of
            it runs until its sentence or spec is sent.
    """

    status: int
    code: str
    detail: str
    errors: tuple[Problem, ...] = ()
    fix: str | None = None
    retryable: bool = False
    request_id: str | None = None
    retry_after_s: float | None = None
    docs: str | None = None
    proposal: dict[str, Any] | None = None

    def __str__(self) -> str:
        """Say what is wrong, where in the request, and what to do."""
        lines = [self.detail]
        for problem in self.errors:
            lines += [shown for shown in problem.lines() if shown not in lines]
        if self.fix:
            lines.append(f"  try: {self.fix}")
        if self.proposal:
            by = _one_line(str(self.proposal.get("compiled_by")))
            said = _one_line(str(self.proposal.get("sentence")))
            lines.append(f"  {by} proposes, if that is meant: {said}")
        if self.retry_after_s is not None:
            lines.append(f"  wait: {self.retry_after_s:g} s")
        request = f", request {self.request_id}" if self.request_id else ""
        lines.append(f"  [{self.code}, HTTP {self.status}{request}]")
        return "\n".join(lines)


class BadRequestError(APIError):
    """What was asked makes no sense, or can't be had; asking otherwise helps."""


class AuthenticationError(APIError):
    """The API key or token is missing, wrong or expired."""


class PermissionDeniedError(APIError):
    """The API key is known, and may not do this."""


class NotFoundError(APIError):
    """There is no such stream, or no such route."""


class ConflictError(APIError):
    """Something else happened meanwhile."""


@attrs.define(eq=False)
class RateLimitError(APIError):
    """Too many requests, streams or connections.

    Attributes:
        limit: How many are allowed.
        used: How many are in use.
    """

    limit: int | None = None
    used: int | None = None


class ServerError(APIError):
    """The server failed, or is not ready; the request may work later."""


@attrs.define(eq=False)
class APIConnectionError(EkkoError):
    """Nobody answered.

    Attributes:
        url: Where the SDK tried, without query and credentials.
        reason: What the network said.
        may_have_arrived: Whether the request can have reached the server all the same.
    """

    url: str
    reason: str
    may_have_arrived: bool = False

    def __str__(self) -> str:
        """Say where nobody answered and what to look at."""
        return (
            f"no answer from {self.url}: {self.reason}\n"
            "  Is a Bond server running there? `bond serve` starts one on this machine; "
            "api_url= or EKKO_API_URL names another."
        )


@attrs.define(eq=False)
class UnexpectedAnswerError(EkkoError):
    """Somebody answered, but not as a Bond server does.

    Attributes:
        url: Who answered, without query and credentials.
        what: What was wrong with the answer.
    """

    url: str
    what: str

    def __str__(self) -> str:
        """Say who answered what."""
        return f"{self.url} {self.what}\n  Is that a Bond server, and of the SDK's version?"


@attrs.define(eq=False)
class StreamError(EkkoError):
    """A subscription ended, and connecting again can't help.

    Attributes:
        stream_id: The stream.
        reason: What the server said.
        last_id: The position reached, to go on with as `after=`; None when there is none.
    """

    stream_id: str
    reason: str
    last_id: str | None = None

    def __str__(self) -> str:
        """Say which stream ended, why, and how far it had come."""
        reached = f"; it had come to {self.last_id}" if self.last_id else ""
        return f"stream {self.stream_id}: {self.reason}{reached}"


class StreamDeletedError(StreamError):
    """The stream was deleted, or ended after its last client had left."""


class StreamRefusedError(StreamError):
    """The server refuses this subscription for a reason that trying again doesn't change."""


@attrs.define(eq=False)
class LocalModeError(EkkoError):
    """Local mode was asked for, and what it needs isn't installed.

    Attributes:
        missing: The module that could not be imported.
    """

    missing: str

    def __str__(self) -> str:
        """Say what is missing and how to get it."""
        return (
            f"local mode runs the stream in this process, and needs the module {self.missing!r}, "
            "which isn't installed.\n"
            "  From a checkout of Bond: pip install -e '.[server]' "
            "(or -r requirements.txt for server, SDK and all plugins).\n"
            "  Or use a server: leave local=True away."
        )


@attrs.define(eq=False)
class MissingLibraryError(EkkoError):
    """A table was asked for of a library that isn't installed.

    Attributes:
        library: Which one.
    """

    library: str

    def __str__(self) -> str:
        """Say what is missing and how to get it."""
        return (
            f"a {self.library} table needs {self.library}, which isn't installed.\n"
            f"  From a checkout of Bond: pip install -e 'sdk/python[{self.library}]'"
        )


class RunningLoopError(EkkoError, RuntimeError):
    """`listen_sync` was called inside a running event loop, which it would block."""

    def __str__(self) -> str:
        """Say what to write instead."""
        return (
            "this would block the event loop that is running here (a notebook has one, too).\n"
            "  Write instead: async for event in listen(...)\n"
            "  or say when it ends: listen_sync(..., seconds=30).collect()"
        )


_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}


def api_error(
    status: int, problem: Any, *, asked: Any = None, retry_after_s: float | None = None
) -> APIError:
    """Return the error that a server's answer means.

    Args:
        status: The HTTP status, 400 or above.
        problem: The decoded `application/problem+json` body (RFC 9457); anything else,
            such as a proxy's own page, leaves only the status to tell.
        asked: The JSON body that was sent, to underline what was wrong in it.
        retry_after_s: Seconds from the header `Retry-After`.
    """
    body: dict[str, Any] = problem if isinstance(problem, dict) else {}
    usual = status in {408, 429} or status >= 500
    retryable = body.get("retryable")
    fields: dict[str, Any] = {
        "status": status,
        "code": str(body.get("code") or f"http_{status}"),
        "detail": str(body.get("detail") or body.get("title") or f"the server answered {status}"),
        "errors": tuple(_problem(item, asked) for item in _dicts(body.get("errors"))),
        "fix": _text(body.get("fix")),
        "retryable": retryable if isinstance(retryable, bool) else usual,
        "request_id": _text(body.get("request_id")),
        "docs": _text(body.get("docs")),
        "retry_after_s": retry_after_s,
        "proposal": body.get("proposal") if isinstance(body.get("proposal"), dict) else None,
    }
    if status == 429:
        return RateLimitError(
            **fields, limit=_count(body.get("limit")), used=_count(body.get("used"))
        )
    return _BY_STATUS.get(status, ServerError if status >= 500 else APIError)(**fields)


def _problem(item: dict[str, Any], asked: Any) -> Problem:
    pointer = _text(item.get("pointer"))
    sentence = _at(asked, pointer or "/natural_language")
    sentence = sentence if isinstance(sentence, str) else None
    meant = item.get("did_you_mean")
    return Problem(
        pointer=pointer,
        span=_span(item.get("span"), sentence),
        text=_text(item.get("text")),
        did_you_mean=tuple(str(word) for word in meant) if isinstance(meant, list) else (),
        detail=_text(item.get("detail")),
        asked=sentence,
    )


def _at(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer points at; None when nothing stands there."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document


def _span(value: Any, sentence: str | None) -> tuple[int, int] | None:
    """Return a span that fits the sentence; None for anything else."""
    if sentence is None or not isinstance(value, list) or len(value) != 2:
        return None
    start, end = value
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    return (start, end) if 0 <= start <= end <= len(sentence) else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _one_line(text: str) -> str:
    return "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)


def _columns(text: str) -> int:
    """Return how many columns a terminal gives to the text."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )
