"""Fetch JSON for a connector, with errors that say what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from bond_core.errors import Fatal, Retryable

_PASSING = {408, 425, 429, 500, 502, 503, 504}


async def fetch_json(
    url: str, *, params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
) -> Any:  # fmt: skip
    """Return the JSON body of a GET. Errors name the host, never the query or headers.

    Raises:
        Retryable: No connection, a time-out, or a status that may pass.
        Fatal: Any other status that isn't 2xx, or a body that isn't JSON.
    """
    import httpx  # noqa: PLC0415 -- an extra: only connectors that poll need it

    host = _host(url)
    try:
        async with httpx.AsyncClient(timeout=timeout_s) as client:
            reply = await client.get(url, params=dict(params or {}), headers=dict(headers or {}))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Fatal(f"{host}: that is no URL to fetch from: {type(error).__name__}") from None
    except httpx.HTTPError as error:
        raise Retryable(f"{host} can't be reached: {type(error).__name__}") from None
    if reply.status_code in _PASSING:
        raise Retryable(
            f"{host} answered {reply.status_code}", retry_after_s=_retry_after_s(reply.headers)
        )
    if not reply.is_success:
        raise Fatal(f"{host} answered {reply.status_code}: the request is refused")
    try:
        return json.loads(reply.content)
    except ValueError:
        raise Fatal(f"{host} did not answer with JSON") from None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


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
