"""A connector's way out: whatever it asks for by URL passes the guard first, and keeps the pace."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from bond_core.clock import NS, Clock
from bond_core.errors import Fatal
from bond_core.plugin.context import Kept, Note, WebSocket
from bond_core.plugin.egress import Egress, Route
from bond_core.plugin.factories import load_name
from bond_core.plugin.sink import Reply
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.http import fetch, fetch_json, post
from bond_core.runtime.websocket import open_websocket


class WayOut(Protocol):
    """All that a connector may use of the outside world; see Context for each.

    What a test or a recording puts in its place is handed to `Feeds` as `ways_out`.
    """

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """See Context."""
        ...

    async def get_text(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
        kept: Kept | None = None,
    ) -> str:  # fmt: skip
        """See Context."""
        ...

    async def post_json(
        self, url: str, value: Any, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """See Context."""
        ...

    def ws(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (), max_size: int = 1 << 20,
    ) -> AbstractAsyncContextManager[WebSocket]:  # fmt: skip
        """See Context."""
        ...

    def noting(self, url: str) -> Note | None:
        """See Context."""
        ...

    def sdk(self, name: str) -> Any:
        """See Context."""
        ...


class WaysOut(Protocol):
    """Makes a connector's way out when it is first wanted."""

    def __call__(
        self, spec: ConnectorSpec, *, simulated_at: str | None, clock: Clock,
        sdks: Mapping[str, Any], name: str,
    ) -> WayOut:  # fmt: skip
        """Return the way out of one connector.

        Args:
            spec: The connector's.
            simulated_at: Base URL of its simulator, or None.
            clock: The only clock.
            sdks: What its simulator brings.
            name: That of its origin (`bond_core.runtime.feeds.Origin`).
        """
        ...


class Outside:
    """What lies outside, as one connector may reach it.

    Args:
        egress: The guard of this process.
        own: The hosts that the connector's spec names.
        simulated_at: Base URL of the simulator that stands in, or None.
        clock: By which frames and requests are paced.
        requests_per_min: How many requests are sent in a minute, at most; None for any number.
        sdks: By name, what stands in for a vendor's library; the others are imported.
    """

    def __init__(
        self, egress: Egress, *, own: Sequence[str], simulated_at: str | None, clock: Clock,
        requests_per_min: float | None = None, sdks: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._egress = egress
        self._own = own
        self._simulated_at = simulated_at
        self._clock = clock
        self._budget = None if requests_per_min is None else Budget(clock, requests_per_min)
        self._sdks = sdks or {}

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """See Context."""
        route = await self._request(url)
        return await fetch_json(
            route, params=params, headers=headers, timeout_s=timeout_s, tls=self._egress.tls
        )

    async def get_text(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
        kept: Kept | None = None,
    ) -> str:  # fmt: skip
        """See Context."""
        route = await self._request(url)
        body = await fetch(
            route, params=params, headers=headers, timeout_s=timeout_s, tls=self._egress.tls,
            kept=kept,
        )  # fmt: skip
        return body.decode("utf-8", errors="replace")

    async def post_json(
        self, url: str, value: Any, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """See Context."""
        sent = json.dumps(value, allow_nan=False).encode()
        route = await self._request(url)
        body = await fetch(
            route, params=params, headers={"Content-Type": "application/json", **(headers or {})},
            timeout_s=timeout_s, tls=self._egress.tls, sent=sent,
        )  # fmt: skip
        try:
            return json.loads(body) if body.strip() else None
        except ValueError:
            return body.decode("utf-8", errors="replace")

    async def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
    ) -> Reply:  # fmt: skip
        """See SinkContext."""
        route = await self._request(url)
        return await post(route, body, headers=headers, timeout_s=timeout_s, tls=self._egress.tls)

    @asynccontextmanager
    async def ws(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (), max_size: int = 1 << 20,
    ) -> AsyncIterator[WebSocket]:  # fmt: skip
        """See Context."""
        route = await self._route(url, "ws", "wss")
        async with open_websocket(
            route, clock=self._clock, headers=headers, subprotocols=subprotocols,
            max_size=max_size, tls=self._egress.tls,
            frames_per_s=self._egress.policy.frames_per_s if route.is_guarded else None,
        ) as socket:  # fmt: skip
            yield socket

    def noting(self, url: str) -> None:
        """See Context: nobody records."""

    def sdk(self, name: str) -> Any:
        """See Context."""
        return self._sdks[name] if name in self._sdks else load_name(name)

    async def _request(self, url: str) -> Route:
        if self._budget is not None:
            await self._budget.wait()
        return await self._route(url, "http", "https")

    async def _route(self, url: str, *schemes: str) -> Route:
        route = await self._egress.route(url, own=self._own, simulated_at=self._simulated_at)
        if route.scheme not in schemes:
            raise Fatal(f"a URL that starts with {schemes[-1]}:// was expected for {route.host}")
        return route


class Budget:
    """Lets so many pass in a minute, evenly: no minute, wherever it begins, sees more."""

    def __init__(self, clock: Clock, per_min: float) -> None:
        self._clock = clock
        self._step_ns = round(60 * NS / per_min)
        self._free_ns: int | None = None

    async def wait(self) -> None:
        """Return when the next may pass; who asks first goes first."""
        now_ns = self._clock.monotonic_ns()
        mine_ns = now_ns if self._free_ns is None else max(self._free_ns, now_ns)
        self._free_ns = mine_ns + self._step_ns
        if mine_ns > now_ns:
            await self._clock.sleep((mine_ns - now_ns) / NS)
