"""Run one connector against its simulator, under the real supervisor, and hear what it says."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import attrs

from bond_core.clock import SystemClock
from bond_core.plugin.context import Subscription
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.supervisor import Supervisor
from bond_core.testing.scripted_connector import RecordingListener

PATIENCE_S = 20.0
"""Real seconds that anything here may take."""


@attrs.define
class Hearing:
    """A connector that runs, and an ear at each of its symbols."""

    supervisor: Supervisor
    ears: dict[str, RecordingListener] = attrs.field(factory=dict)

    def want(self, channel, *symbols):
        """Listen to more."""
        for symbol in symbols:
            self.ears[symbol] = RecordingListener()
            self.supervisor.feed(channel, symbol).attach(self.ears[symbol], None)

    def drop(self, channel, symbol):
        """Listen to one less."""
        self.supervisor.drop(self.supervisor.feeds[Subscription(channel, symbol)])

    async def until(self, done, within_s=PATIENCE_S):
        """Wait until it is so."""
        async with asyncio.timeout(within_s):
            while not done():  # noqa: ASYNC110 -- of what it asks about nothing tells
                await asyncio.sleep(0.01)

    async def status(self, symbol, status):
        """Wait until a symbol's feed is in a state; return why it is."""
        ear = self.ears[symbol]
        try:
            await self.until(lambda: ear.statuses and ear.status == status)
        except TimeoutError:
            raise AssertionError(f"never {status}: {ear.statuses}") from None
        return ear.reason


@asynccontextmanager
async def hearing(spec, config, simulated_at, channel, *symbols, clock=None):
    """Run a spec's connector with these settings against a simulator."""
    supervisor = Supervisor(
        spec, config, name=spec.name, clock=clock or SystemClock(), chance=random.Random(1),
        simulated_at=simulated_at, backoff=Backoff(first_s=0.05, cap_s=0.2),
    )  # fmt: skip
    heard = Hearing(supervisor)
    heard.want(channel, *symbols)
    running = asyncio.create_task(supervisor.run())
    try:
        yield heard
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
