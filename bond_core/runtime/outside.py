"""A connector's way out: whatever it asks for by URL passes the guard first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bond_core.clock import Clock
from bond_core.errors import Fatal
from bond_core.plugin.context import WebSocket
from bond_core.plugin.egress import Egress, Route
from bond_core.runtime.http import fetch_json
from bond_core.runtime.websocket import open_websocket


class Outside:
    """What lies outside, as one connector may reach it.

    Args:
        egress: The guard of this process.
        own: The hosts that the connector's spec names.
        simulated_at: Base URL of the simulator that stands in, or None.
        clock: By which frames are paced.
    """

    def __init__(
        self, egress: Egress, *, own: Sequence[str], simulated_at: str | None, clock: Clock
    ) -> None:
        self._egress = egress
        self._own = own
        self._simulated_at = simulated_at
        self._clock = clock

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """See Context."""
        route = await self._route(url, "http", "https")
        return await fetch_json(
            route, params=params, headers=headers, timeout_s=timeout_s, tls=self._egress.tls
        )

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

    async def _route(self, url: str, *schemes: str) -> Route:
        route = await self._egress.route(url, own=self._own, simulated_at=self._simulated_at)
        if route.scheme not in schemes:
            raise Fatal(f"a URL that starts with {schemes[-1]}:// was expected for {route.host}")
        return route
