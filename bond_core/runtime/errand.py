"""What a sink is handed while it runs: its stream's name, a log that hides, and ways out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bond_core.clock import Clock
from bond_core.plugin.egress import Egress
from bond_core.plugin.sink import Reply
from bond_core.runtime.outside import Outside
from bond_core.runtime.sink_policy import SinkPolicy


class Errand:
    """One sink's SinkContext. Every URL and path in its settings is taken for a user's."""

    def __init__(
        self, *, stream_id: str, sink_name: str, clock: Clock, log: logging.Logger,
        egress: Egress, policy: SinkPolicy,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.log = log
        self.stream_id = stream_id
        self.sink_name = sink_name
        self._policy = policy
        self._egress = egress
        self._outside = Outside(egress, own=(), simulated_at=None, clock=clock)

    def path(self, text: str) -> Path:
        """See SinkContext."""
        return self._policy.path(text)

    async def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
    ) -> Reply:  # fmt: skip
        """See SinkContext."""
        return await self._outside.post(url, body, headers=headers, timeout_s=timeout_s)

    async def post_json(
        self, url: str, value: Any, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """See SinkContext."""
        return await self._outside.post_json(
            url, value, params=params, headers=headers, timeout_s=timeout_s
        )

    async def reach(self, host: str, port: int, *, tls: bool) -> Sequence[str]:
        """See SinkContext."""
        # The guard judges by host, port and whether it is TLS; what is spoken there is no matter.
        route = await self._egress.route(f"{'https' if tls else 'http'}://{host}:{port}/")
        return route.addresses

    def sdk(self, name: str) -> Any:
        """See SinkContext."""
        return self._outside.sdk(name)
