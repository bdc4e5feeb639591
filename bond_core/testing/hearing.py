"""Run a connector against its simulator under the real supervisor, and hear what it says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs

from bond_core.clock import NS, Clock, SystemClock
from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.supervisor import Supervisor
from bond_core.testing.scripted_connector import RecordingListener

PATIENCE_S = 20.0
"""Real seconds that anything here may take."""


class HurriedClock(SystemClock):
    """A clock whose waits are so many times shorter, and that shows a time of one's choosing.

    Args:
        hurry: How many times.
        starts_ns: What time it shows at first, ns since 1970; None is the machine's time.
    """

    def __init__(self, hurry: float = 20.0, starts_ns: int | None = None) -> None:
        self.hurry = hurry
        self._ahead_ns = 0 if starts_ns is None else starts_ns - time.time_ns()

    def now_ns(self) -> int:
        """Return the time that it shows, in ns."""
        return time.time_ns() + self._ahead_ns

    async def sleep(self, seconds: float) -> None:
        """Wait a part of so many seconds."""
        await asyncio.sleep(max(0.0, seconds / self.hurry))

    async def sleep_until(self, at_ns: int) -> None:
        """Wait until it shows `at_ns`, as long as that takes."""
        await asyncio.sleep(max(0.0, (at_ns - self.now_ns()) / NS))


@attrs.define
class Hearing:
    """A connector that runs, and an ear at each subscription."""

    supervisor: Supervisor
    ears: dict[Subscription, RecordingListener] = attrs.field(factory=dict)
    _seen: dict[Subscription, int] = attrs.field(factory=dict)

    def want(self, channel: str, *symbols: str, stale_s: float | None = None) -> None:
        """Listen to more."""
        for symbol in symbols:
            ear = self.ears[Subscription(channel, symbol)] = RecordingListener()
            self.supervisor.feed(channel, symbol).attach(ear, stale_s)

    def drop(self, channel: str, symbol: str) -> None:
        """Listen to one less."""
        self.supervisor.drop(self.supervisor.feeds[Subscription(channel, symbol)])

    def ear(self, channel: str, symbol: str) -> RecordingListener:
        """Return what was heard of a subscription."""
        return self.ears[Subscription(channel, symbol)]

    async def until(self, done: Callable[[], Any], within_s: float = PATIENCE_S) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(within_s):
            while not done():  # noqa: ASYNC110 -- of what it asks about nothing tells
                await asyncio.sleep(0.01)

    async def status(self, channel: str, symbol: str, status: str) -> str:
        """Wait until a feed has come to a state since this was last asked; return why it had."""
        key = Subscription(channel, symbol)
        told, seen = self.ears[key].statuses, self._seen.get(key, 0)
        try:
            await self.until(lambda: any(each == status for each, _ in told[seen:]))
        except TimeoutError:
            raise AssertionError(f"never {status}: {told[seen:]}") from None
        place = next(n for n in range(seen, len(told)) if told[n][0] == status)
        self._seen[key] = place + 1
        return told[place][1] or ""


@asynccontextmanager
async def hearing(
    spec: ConnectorSpec, config: Any, simulated_at: str, clock: Clock | None = None
) -> AsyncIterator[Hearing]:
    """Run a spec's connector with these settings against a simulator."""
    supervisor = Supervisor(
        spec, config, name=spec.name, clock=clock or SystemClock(),
        chance=random.Random(1),  # noqa: S311 -- jitter
        simulated_at=simulated_at, backoff=Backoff(first_s=0.05, cap_s=0.2),
    )  # fmt: skip
    running = asyncio.create_task(supervisor.run())
    try:
        yield Hearing(supervisor)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
