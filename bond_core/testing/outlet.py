"""The context that a sink is handed in a test: what it sends is kept, and sent nowhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bond_core.errors import Retryable
from bond_core.plugin.factories import load_name
from bond_core.plugin.sink import Reply
from bond_core.testing.virtual_clock import VirtualClock

_HERE = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1", "[::1]": "::1"}


class Outlet:
    """What a sink may use of the outside world; see SinkContext for each.

    Attributes:
        clock: Its clock, which stands still.
        log: A logger.
        stream_id: Whose records they are.
        sink_name: What the stream calls the sink.
        sent: What it posted, in order: (URL, bytes or value).
        reply: What is answered to `post`; `post_json` raises where it is no success.
        error: Raised instead of sending; None sends.
        tried: How often it posted, or tried to.
        reached: Addresses and ports that it was given to connect to, of this machine only.
    """

    sink_name = "kit"

    def __init__(self, stream_id: str = "8f2a1c9d4b3e7a10") -> None:
        self.clock = VirtualClock()
        self.log = logging.getLogger("bond.sink")
        self.stream_id = stream_id
        self.sent: list[tuple[str, Any]] = []
        self.reply = Reply(status=204)
        self.error: Exception | None = None
        self.tried = 0
        self.reached: set[tuple[str, int]] = set()

    def beside(self, stream_id: str) -> Outlet:
        """Return that of another stream, which sends to the same target."""
        other = Outlet(stream_id)
        other.log, other.sent, other.reached = self.log, self.sent, self.reached
        return other

    def path(self, text: str) -> Path:
        """See SinkContext: wherever it says."""
        return Path(text)

    async def post(self, url: str, body: bytes, **_: Any) -> Reply:
        """See SinkContext: keep it."""
        await self._try()
        if self._is_taken:
            self.sent.append((url, body))
        return self.reply

    async def post_json(self, url: str, value: Any, **_: Any) -> Any:
        """See SinkContext: keep it."""
        await self._try()
        if not self._is_taken:
            raise Retryable(f"{url} answered {self.reply.status}")
        self.sent.append((url, value))

    async def reach(self, host: str, port: int, *, tls: bool) -> Sequence[str]:
        """See SinkContext: only this machine can be reached."""
        del tls
        address = _HERE.get(host)
        if address is None:
            raise Retryable(f"{host} is not this machine, and a test reaches no other")
        self.reached.add((address, port))
        await asyncio.sleep(0)
        return [address]

    def sdk(self, name: str) -> Any:
        """See SinkContext."""
        return load_name(name)

    @property
    def _is_taken(self) -> bool:
        return 200 <= self.reply.status < 300

    async def _try(self) -> None:
        self.tried += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
