"""Every error that Bond raises on purpose, by what its reader can do about it.

* BondError
    * RequestError               mend what was asked: a sentence, a spec, a query
        * LimitError             ask for less, or later
    * AnsweredError              a route of a plugin's says no, with a status of its own
    * SetupError                 mend the installation, a setting or a key
        * NotInstalledError      install the plugin that provides it
        * PluginError            a plugin broke its contract
    * SourceError                one source is affected; the supervisor acts on it
        * Retryable              try again after a pause
        * Fatal                  stop this source and show why
    * LogError                   the event log did not take or does not have it
        * FencedError            somebody else owns the stream now
        * LogUnavailableError    try again: nothing is known to be lost

The fields are the error; the text is made from them. Whoever answers a person (command
line, HTTP, SDK) renders the same fields in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong, and where.

    Attributes:
        detail: What is wrong, as a sentence.
        pointer: JSON pointer (RFC 6901) into the request's body, such as `/spec/sources/0/type`.
        span: Start and end in the sentence, in characters, end excluded.
        text: The words at `span`, or the value at `pointer`.
        did_you_mean: What may have been meant, the likeliest first.
    """

    detail: str
    pointer: str | None = None
    span: tuple[int, int] | None = None
    text: str | None = None
    did_you_mean: tuple[str, ...] = ()


class BondError(Exception):
    """Base of every error that Bond raises on purpose.

    Attributes:
        code: A stable word for programs, such as `unknown_symbol`.
        detail: What happened and what to do, as a sentence.
        problems: The single things that are wrong; empty when `detail` says it all.
        fix: A complete input that works: a sentence, a spec as JSON, or a command.
        retryable: Whether the same request may succeed later, unchanged.
    """

    default_code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        problems: Sequence[Problem] = (),
        fix: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.problems = tuple(problems)
        self.fix = fix

    def __str__(self) -> str:
        """Say it on one line, then each problem, then what to do."""
        lines = [self.detail]
        lines += [
            f"  {p.pointer or p.text or ''}: {p.detail}".replace("  : ", "  ")
            for p in self.problems
            if p.detail != self.detail
        ]
        if self.fix:
            lines.append(f"  try: {self.fix}")
        return "\n".join(lines)


class RequestError(BondError):
    """What was asked makes no sense, or can't be had; asking otherwise helps."""

    default_code = "invalid_request"


class LimitError(RequestError):
    """More was asked for than is allowed.

    Attributes:
        limit: How many are allowed.
        used: How many are in use.
    """

    default_code = "limit"
    retryable = True

    def __init__(self, detail: str, *, limit: int, used: int, fix: str | None = None) -> None:
        super().__init__(detail, fix=fix)
        self.limit = limit
        self.used = used


class AnsweredError(BondError):
    """A route that a plugin added to the server says no.

    Attributes:
        status: The HTTP status.
        more: What the answer says besides, as members of the problem document.
        retry_after_s: After how many seconds to ask again, where that is said.
    """

    default_code = "refused"

    def __init__(
        self, detail: str, *, status: int, code: str | None = None, fix: str | None = None,
        more: Mapping[str, Any] | None = None, retry_after_s: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail, code=code, fix=fix)
        self.status = status
        self.more = dict(more or {})
        self.retry_after_s = retry_after_s


class SetupError(BondError):
    """Nothing starts until the installation, a setting or a key changes."""

    default_code = "setup"


class NotInstalledError(SetupError):
    """No installed plugin provides what was asked for."""

    default_code = "not_installed"


class PluginError(SetupError):
    """A plugin doesn't keep the contract it registered under."""

    default_code = "plugin"


class SourceError(BondError):
    """Something is wrong with one source; a connector raises it and its supervisor acts.

    Attributes:
        http_status: The status of an HTTP answer, where it is about one.
    """

    default_code = "source"
    http_status: int | None = None


class Retryable(SourceError):  # noqa: N818 -- authors write `raise Retryable(...)`: it names what to do
    """The source can't be heard just now; listen again after a pause.

    Attributes:
        retry_after_s: What the source asked for, in seconds; None leaves it to the backoff.
    """

    default_code = "source_unavailable"
    retryable = True

    def __init__(
        self, detail: str, *, retry_after_s: float | None = None, fix: str | None = None
    ) -> None:
        super().__init__(detail, fix=fix)
        self.retry_after_s = retry_after_s


class Fatal(SourceError):  # noqa: N818 -- as above
    """The source can't be heard until somebody changes something: a key, a symbol, a plan."""

    default_code = "source_failed"


class LogError(BondError):
    """The event log did not take, or does not have, what was asked."""

    default_code = "log"


class FencedError(LogError):
    """Somebody else owns the stream now: stop writing to it."""

    default_code = "fenced"


class LogUnavailableError(LogError):
    """The log can't be reached; the append may or may not have happened: repeat it."""

    default_code = "log_unavailable"
    retryable = True
