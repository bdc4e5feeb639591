"""Say what X's refusals mean: try again and when, mend something first, or search instead.

Sources: https://docs.x.com/x-api/fundamentals/response-codes-and-errors, and for what stands in
the bodies the issues of client libraries (usage-capped, streaming-connection).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.plugin import Fatal, Retryable, plain

WHERE = "console.x.com"
_SPENT_PAUSE_S = 3600.0
_TAKEN_PAUSE_S = 60.0
_LONGEST_PAUSE_S = 900.0  # what a limit is counted over


class NoStreamError(Fatal):
    """The plan has no filtered stream."""


class StreamTakenError(Retryable):
    """The one stream of the key is open already, here or elsewhere."""


@attrs.frozen
class Answer:
    """An answer that isn't the one asked for.

    Attributes:
        headers: Their names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def problem(self) -> Mapping[str, Any]:
        """Return the problem that it states; empty if it states none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        if isinstance(found, dict) and isinstance(found.get("errors"), list) and found["errors"]:
            first = found["errors"][0]
            found = {**first, **found} if isinstance(first, dict) else found
        return found if isinstance(found, dict) else {}


def error_of(answer: Answer, *, what: str, now_ns: int) -> Exception:
    """Return what to raise for an answer.

    Args:
        answer: X's.
        what: What was asked for: `stream`, `rules` or `search`.
        now_ns: What time it is.
    """
    problem, status = answer.problem, answer.status
    kind = str(problem.get("type", "")).rpartition("/")[2]
    said = plain(str(problem.get("detail") or problem.get("title") or ""))[:200]
    tail = f": {said}" if said else ""
    if status == 401:
        return Fatal(
            f"X does not accept the key in X_BEARER (401); {WHERE} has an app's bearer token{tail}",
            fix="export X_BEARER=…",
        )
    if status == 402 or kind == "usage-capped" or problem.get("title") == "UsageCapExceeded":
        return Retryable(
            f"the plan's posts are used up at X ({status}){tail}", retry_after_s=_SPENT_PAUSE_S
        )
    if status == 403:
        if what != "search":
            return NoStreamError(f"X gives this key no filtered stream (403){tail}")
        return Fatal(
            f"X gives this key neither stream nor search (403): choose a plan with search, at "
            f"{WHERE}{tail}",
        )
    if status == 429:
        if problem.get("connection_issue") == "TooManyConnections" or "streaming" in kind:
            why = "X says that this key's one stream is open already"
            return StreamTakenError(f"{why} (429){tail}", retry_after_s=_TAKEN_PAUSE_S)
        pause_s = reset_s(answer.headers, now_ns)
        return Retryable(f"X limits how often it is asked (429){tail}", retry_after_s=pause_s)
    if status in (408, 409) or status >= 500:
        return Retryable(f"X answered {status}{tail}")
    return Fatal(f"X refuses what is asked for ({what}, {status}){tail}")


def reset_s(headers: Mapping[str, str], now_ns: int) -> float:
    """Return the seconds until X's limit starts anew, by `x-rate-limit-reset`."""
    reset = headers.get("x-rate-limit-reset", "")
    if not (reset.isascii() and reset.isdecimal()):
        return _TAKEN_PAUSE_S
    return min(max(1.0, int(reset) - now_ns / NS + 1.0), _LONGEST_PAUSE_S)


def unreachable(error: Exception) -> Exception:
    """Return what a failure that is no answer of X's means: a broken connection, or a bug."""
    of_http = type(error).__module__.partition(".")[0] == "aiohttp"
    if of_http or isinstance(error, (OSError, TimeoutError, ValueError)):
        return Retryable(f"X can't be reached: {type(error).__name__}")
    return error
