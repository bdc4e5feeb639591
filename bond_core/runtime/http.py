"""Fetch JSON for a connector, with errors that say what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
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

    host = urlsplit(url).hostname or "?"
    try:
        async with httpx.AsyncClient(timeout=timeout_s) as client:
            reply = await client.get(url, params=dict(params or {}), headers=dict(headers or {}))
    except httpx.HTTPError as error:
        raise Retryable(f"{host} can't be reached: {type(error).__name__}") from None
    if reply.status_code in _PASSING:
        after = reply.headers.get("retry-after", "")
        raise Retryable(
            f"{host} answered {reply.status_code}",
            retry_after_s=float(after) if after.isdigit() else None,
        )
    if not reply.is_success:
        raise Fatal(f"{host} answered {reply.status_code}: the request is refused")
    try:
        return json.loads(reply.content)
    except ValueError:
        raise Fatal(f"{host} did not answer with JSON") from None
