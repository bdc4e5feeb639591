"""Open the HTTP session that tweepy works with, and note what is refused on it.

tweepy has X's address in its code, and hides from its hooks what stands in an answer that is no
200. Both are mended from outside of it, by what aiohttp offers to everybody.
"""

from __future__ import annotations

import logging
from typing import Any

import attrs

from bond_x.refusals import Answer

SILENCE_S = 30.0
"""X says that it lives every 20 s; a stream silent for longer is dead."""

_CONNECT_S = 10.0


@attrs.define
class Noted:
    """The newest answers on a session.

    Attributes:
        refused: The newest that was no success; whoever acts on it takes it away.
        limits: By path, the headers of the newest answer.
    """

    refused: Answer | None = None
    limits: dict[str, dict[str, str]] = attrs.field(factory=dict)

    def take(self) -> Answer | None:
        """Return the newest refusal, once."""
        refused, self.refused = self.refused, None
        return refused


def open_session(aiohttp: Any, *, simulated_at: str | None) -> tuple[Any, Noted]:
    """Return an `aiohttp.ClientSession`, and where its answers are noted.

    Args:
        aiohttp: The library.
        simulated_at: Base URL of the simulator that every request goes to, or None.
    """
    for name in ("tweepy", "requests_oauthlib"):  # it logs headers, and with them the key
        logging.getLogger(name).setLevel(logging.WARNING)
    noted = Noted()

    async def note(_session: Any, _context: Any, params: Any) -> None:
        answer = params.response
        headers = {name.lower(): value for name, value in answer.headers.items()}
        noted.limits[params.url.path] = headers
        if answer.status >= 300:
            noted.refused = Answer(answer.status, headers, await answer.read())

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(note)
    more = {} if simulated_at is None else {"request_class": _rerouted(aiohttp, simulated_at)}
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=SILENCE_S),
        trace_configs=[trace],
        **more,
    )
    return session, noted


def _rerouted(aiohttp: Any, base: str) -> type:
    """Return a request that goes to the same path at another address."""
    from yarl import URL  # noqa: PLC0415 -- aiohttp's own

    here = URL(base)

    class Rerouted(aiohttp.ClientRequest):  # type: ignore[misc]  # known when it runs
        def __init__(self, method: str, url: Any, **rest: Any) -> None:
            super().__init__(method, here.join(url.relative()), **rest)

    return Rerouted
