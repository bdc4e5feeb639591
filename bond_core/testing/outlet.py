"""The context that a sink is handed in a test: what it sends is kept, and sent nowhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bond_core.plugin.factories import load_name
from bond_core.testing.virtual_clock import VirtualClock


class Outlet:
    """What a sink may use of the outside world; see Context for each.

    Attributes:
        clock: Its clock, which stands still.
        log: A logger.
        sent: What it posted or sent, in order: (URL, value).
        error: Raised instead of sending; None sends.
        tried: How often it sent, or tried to.
    """

    simulated_at: str | None = None

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.log = logging.getLogger("bond.sink")
        self.sent: list[tuple[str, Any]] = []
        self.error: Exception | None = None
        self.tried = 0

    async def get_json(self, url: str, **_: Any) -> Any:
        """See Context: there is nothing."""
        await self._try()

    async def get_text(self, url: str, **_: Any) -> str:
        """See Context: there is nothing."""
        await self._try()
        return ""

    async def post_json(self, url: str, value: Any, **_: Any) -> Any:
        """See Context: keep it."""
        await self._try()
        self.sent.append((url, value))

    @asynccontextmanager
    async def ws(self, url: str, **_: Any) -> AsyncIterator[Any]:
        """See Context: keep what is sent."""
        await self._try()
        yield _Socket(self, url)

    def sdk(self, name: str) -> Any:
        """See Context."""
        return load_name(name)

    async def _try(self) -> None:
        self.tried += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


class _Socket:
    def __init__(self, outlet: Outlet, url: str) -> None:
        self._outlet = outlet
        self._url = url

    async def send(self, message: Any) -> None:
        await self._outlet.post_json(self._url, message)

    async def send_json(self, value: Any) -> None:
        await self._outlet.post_json(self._url, value)
