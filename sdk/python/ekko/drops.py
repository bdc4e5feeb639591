"""Say what a dropped connection means: connect again, when, with which token, or stop.

* 1000: the stream is complete. Stop.
* 1008, or HTTP 401 and 403: refresh the token, connect again. Give up the 4th time in a row.
* 1012, the server restarts: connect again after 0-5 s.
* 4008, this client read too slowly: connect again at once.
* 4404, the stream is gone: stop with StreamDeletedError.
* 1009, 1008 for a bad query, and other HTTP 4xx: stop with StreamRefusedError.
* 1011, 1013, 4429, the network, 35 s of silence, all else: connect again after 1-30 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import attrs

from ekko.backoff import Backoff
from ekko.errors import (
    APIConnectionError,
    AuthenticationError,
    EkkoError,
    StreamDeletedError,
    StreamRefusedError,
)


class Dropped(Exception):  # noqa: N818 - it happens every day, and no user sees it
    """A connection ended, or none came about.

    Attributes:
        code: The WebSocket close code; None when there was none.
        reason: What was said about it.
        status: The HTTP status that refused the WebSocket; None once it was open.
        retry_after_s: Seconds that the server asks to wait.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: int | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Say it for a log."""
        if self.code is not None:
            return f"closed with {self.code} {self.reason}".rstrip()
        if self.status is not None:
            return f"refused with HTTP {self.status}"
        return self.reason


@attrs.frozen(kw_only=True)
class ResumePolicy:
    """How patient a subscription is, and where it takes time and chance from.

    Attributes:
        backoff: The pauses between attempts.
        restart_jitter_s: Longest pause after the server said that it restarts.
        silence_s: After so long without any sign of life the connection counts as dead.
        refusals: How many refused tokens in a row are replaced.
        first_attempts: How many attempts the first connection gets. Later ones get as many as it
            takes.
        now: Returns a time in s that never steps back.
        sleep: Waits so many seconds.
    """

    backoff: Backoff = attrs.field(factory=Backoff)
    restart_jitter_s: float = 5.0
    silence_s: float = 35.0
    refusals: int = 3
    first_attempts: int = 4
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@attrs.define
class Tries:
    """What has gone wrong since the last record.

    Attributes:
        drops: How many connections ended or didn't come about.
        refusals: How many tokens were refused.
        connected: Whether there ever was a connection.
        revived: Whether the stream was asked for again.
    """

    drops: int = 0
    refusals: int = 0
    connected: bool = False
    revived: bool = False

    def saw_record(self) -> None:
        """Start to count anew: a record came through."""
        self.drops = self.refusals = 0
        self.revived = False


@attrs.frozen
class Again:
    """Connect again after `wait_s` seconds, with a fresh token where `renew` says so."""

    wait_s: float
    renew: bool = False


def after_drop(drop: Dropped, tries: Tries, policy: ResumePolicy) -> Again | None:
    """Return what follows a drop; None to stop because connecting again can't help.

    Args:
        drop: How the connection ended.
        tries: What had gone wrong before.
        policy: How patient to be.
    """
    if drop.code in {1000, 4404} or _refused_for_good(drop):
        return None
    if _token_refused(drop):
        if tries.refusals >= policy.refusals:
            return None
        wait_s = policy.backoff.delay_s(tries.refusals - 1) if tries.refusals else 0.0
        return Again(wait_s, renew=True)
    if drop.code == 1012:
        return Again(policy.restart_jitter_s * policy.backoff.random())
    if drop.code == 4008 and not tries.drops:
        return Again(0.0)
    if not tries.connected and tries.drops + 1 >= policy.first_attempts:
        return None
    return Again(max(policy.backoff.delay_s(tries.drops), drop.retry_after_s or 0.0))


def final_error(drop: Dropped, *, stream_id: str, endpoint: str, last_id: str | None) -> EkkoError:
    """Return the error of a drop after which connecting again can't help.

    Args:
        drop: How the last connection ended.
        stream_id: The stream.
        endpoint: The WebSocket's address, without query.
        last_id: How far the stream had come.
    """
    if drop.code == 4404:
        return StreamDeletedError(stream_id, f"it was deleted, or has ended ({drop})", last_id)
    if _refused_for_good(drop):
        return StreamRefusedError(stream_id, f"{endpoint} {drop}", last_id)
    if _token_refused(drop):
        detail = f"{endpoint} refuses the token, and fresh ones, too ({drop})"
        return AuthenticationError(401, drop.reason or "token_refused", detail)
    return APIConnectionError(endpoint, str(drop))


def _token_refused(drop: Dropped) -> bool:
    return drop.code == 1008 or drop.status in {401, 403}


def _refused_for_good(drop: Dropped) -> bool:
    if drop.code == 1009 or (drop.code == 1008 and drop.reason.startswith("bad_")):
        return True
    passes = {401, 403, 408, 429}
    return drop.status is not None and drop.status < 500 and drop.status not in passes
