"""Run the connector against a TWS on loopback, under the real supervisor, and hear what it says."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from types import SimpleNamespace

import attrs
import pytest

pytest.importorskip("ib_async", reason="ib_async is not installed")

from bond_core.clock import NS, SystemClock
from bond_core.plugin import Subscription
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.supervisor import Supervisor
from bond_core.testing.scripted_connector import RecordingListener
from bond_ibkr.config import IbkrConfig
from bond_ibkr.plugin import bond_connectors
from bond_ibkr.simulator import TwsSimulator

PATIENCE_S = 20.0
(SPEC,) = bond_connectors()


@attrs.define
class Hearing:
    """A connector that runs, and an ear at each channel and symbol."""

    supervisor: Supervisor
    ears: dict[tuple[str, str], RecordingListener] = attrs.field(factory=dict)

    def want(self, channel, symbol, stale_s=None):
        """Listen to more."""
        ear = self.ears[channel, symbol] = RecordingListener()
        self.supervisor.feed(channel, symbol).attach(ear, stale_s)
        return ear

    def drop(self, channel, symbol):
        """Listen to one less."""
        self.supervisor.drop(self.supervisor.feeds[Subscription(channel, symbol)])

    async def status(self, status, channel="trades", symbol="AAPL"):
        """Wait until a feed is in a state; return why it is."""
        ear = self.ears[channel, symbol]
        await until(lambda: ear.statuses and ear.status == status, lambda: ear.statuses)
        return ear.reason


async def until(true, told=lambda: ""):
    """Wait until something is so."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 -- of what it asks about nothing tells
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it never came to that: {told()}") from None


@asynccontextmanager
async def hearing(*wanted, at=None, clock=None, stale_s=None, **settings):
    """Run the connector; `wanted` are (channel, symbol)."""
    supervisor = Supervisor(
        SPEC, IbkrConfig(**settings), name="ibkr", clock=clock or SystemClock(),
        chance=random.Random(1), simulated_at=at, backoff=Backoff(first_s=0.02, cap_s=0.1),
    )  # fmt: skip
    heard = Hearing(supervisor)
    for channel, symbol in wanted:
        heard.want(channel, symbol, stale_s)
    before = asyncio.all_tasks()
    running = asyncio.create_task(supervisor.run())
    loop = asyncio.get_running_loop()
    try:
        yield heard
    finally:
        started = loop.time()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        took = loop.time() - started
    assert took < 1.0
    theirs = ("bond_ibkr/simulator", "bond_ibkr/tws_client")
    left = [repr(t) for t in asyncio.all_tasks() - before if "bond_ibkr" in repr(t)]
    assert not [task for task in left if not any(name in task for name in theirs)]


@asynccontextmanager
async def tws(**options):
    """Run a TWS on which nothing trades but what a test says."""
    clock = options.pop("clock", None) or SystemClock()
    async with TwsSimulator(clock=clock, seed=7, options={"per_s": 0.0, **options}) as simulator:
        yield simulator


async def subscribed(simulator, symbol, *tick_types):
    """Wait until somebody is subscribed to a contract."""
    kinds = tick_types or ("Last",)
    await until(lambda: simulator.lines(symbol, *kinds), lambda: simulator.asked)


@pytest.fixture(name="kit")
def _kit():
    """What these tests are written with."""
    return SimpleNamespace(
        hearing=hearing, tws=tws, until=until, subscribed=subscribed, spec=SPEC, NS=NS
    )
