"""Ask the server over HTTP: one call, repeated where that is safe and may help."""

from __future__ import annotations

import asyncio
import email.utils
import functools
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import httpx

from ekko.backoff import Backoff
from ekko.errors import (
    APIConnectionError,
    APIError,
    EkkoError,
    RateLimitError,
    UnexpectedAnswerError,
    api_error,
)

log = logging.getLogger("ekko")

_LONGEST_WAIT_S = 30.0  # a server that asks for more patience gets its error shown instead
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


def shown_url(url: str) -> str:
    """Return the URL as it may be shown: no credentials, no query."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(username=None, password=None, query=None, fragment=None))


@attrs.define(kw_only=True)
class Transport:
    """The way to one server.

    Between `open` and `close` connections are kept and used again. Outside, each call opens and
    closes its own: nothing is left open, and each call may run in another event loop.

    Attributes:
        api_url: Where the server is, such as `http://localhost:8000`.
        api_key: Sent as `Authorization: Bearer`; None where the server asks for none.
        retries: How often a call is repeated, at most.
    """

    api_url: str
    api_key: str | None = attrs.field(default=None, repr=False)
    retries: int = 2
    backoff: Backoff = attrs.field(factory=lambda: Backoff(first_s=0.5, cap_s=8.0))
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _kept: httpx.AsyncClient | None = attrs.field(default=None, init=False, repr=False)

    def open(self) -> None:
        """Keep connections from now on."""
        if self._kept is None:
            self._kept = self._client()

    async def close(self) -> None:
        """Close the connections that were kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.aclose()

    async def request(
        self, method: str, path: str, body: Any = None, *, repeatable: bool = True
    ) -> Any:
        """Return the decoded answer; None for one without content.

        A call that failed is repeated, after a pause, on connection errors, 408, 429 and 5xx,
        unless the server says that it won't help.

        Args:
            method: The HTTP method.
            path: The path on the server, starting with a slash.
            body: What to send as JSON.
            repeatable: Whether doing it twice does no harm. If not, it is only repeated when
                the first request surely did nothing.

        Raises:
            APIError: The server said no.
            APIConnectionError: Nobody answered.
            UnexpectedAnswerError: The answer was no JSON.
        """
        attempt = 0
        while True:
            try:
                return await self._once(method, path, body)
            except (APIError, APIConnectionError) as error:
                pause_s = self._pause_s(error, attempt, repeatable=repeatable)
                if pause_s is None:
                    raise
                said = str(error).partition("\n")[0]
            log.info("%s %s: %s; again in %.1f s", method, path, said, pause_s)
            await self.sleep(pause_s)
            attempt += 1

    def _pause_s(self, error: EkkoError, attempt: int, *, repeatable: bool) -> float | None:
        """Return how long to wait before the next try; None to give up."""
        if attempt >= self.retries:
            return None
        pause_s = self.backoff.delay_s(attempt)
        if isinstance(error, APIConnectionError):
            return None if error.may_have_arrived and not repeatable else pause_s
        if not isinstance(error, APIError) or not error.retryable:
            return None
        if not repeatable and not isinstance(error, RateLimitError):
            return None
        pause_s = max(pause_s, error.retry_after_s or 0.0)
        return pause_s if pause_s <= _LONGEST_WAIT_S else None

    async def _once(self, method: str, path: str, body: Any) -> Any:
        url = self.api_url + path
        kept = self._kept
        client = kept or self._client()
        try:
            answer = await client.request(method, url, json=body)
        except httpx.TransportError as error:
            raise _no_answer(url, error) from None  # its request holds the API key
        finally:
            if kept is None:
                await client.aclose()
        return _decoded(answer, body)

    def _client(self) -> httpx.AsyncClient:
        headers = {"Accept": "application/json", "User-Agent": "bond-ekko"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return httpx.AsyncClient(headers=headers, timeout=_TIMEOUT, verify=_certificates())


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Return whom to trust. Reading that takes 45 ms, which is too long to do for each call."""
    return httpx.create_ssl_context()


def _no_answer(url: str, error: httpx.TransportError) -> APIConnectionError:
    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    reason = str(error) or type(error).__name__
    return APIConnectionError(shown_url(url), reason, may_have_arrived=not unsent)


def _decoded(answer: httpx.Response, asked: Any) -> Any:
    """Return the answer's JSON, or raise the error that it means."""
    try:
        content = answer.json() if answer.content else None
    except ValueError:
        if answer.is_success:
            what = f"answered {answer.status_code} with something that is no JSON"
            raise UnexpectedAnswerError(shown_url(str(answer.url)), what) from None
        content = None
    if answer.is_success:
        return content
    if not answer.is_error:
        what = f"answered {answer.status_code}, which the SDK doesn't follow"
        raise UnexpectedAnswerError(shown_url(str(answer.url)), what)
    raise api_error(
        answer.status_code,
        content,
        asked=asked,
        retry_after_s=retry_after_s(answer.headers.get("Retry-After")),
    )


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, given as seconds or as a date.

    The format is RFC 9110 §10.2.3. What can't be read counts as not said.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - time.time())
