"""Run the connector, or a server with it, against a TWS on loopback, and hear what they say."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import attrs
import httpx
import pytest

pytest.importorskip("ib_async", reason="ib_async is not installed")

from bond_core.clock import NS, SystemClock
from bond_core.plugin import Subscription
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.binding import Defaults
from bond_core.runtime.supervisor import Supervisor
from bond_core.settings import Secret
from bond_core.testing.scripted_connector import RecordingListener
from bond_ibkr.config import IbkrConfig
from bond_ibkr.plugin import bond_connectors
from bond_ibkr.simulator import TwsSimulator
from bond_server.cli.serve import serve_bond
from bond_server.delivery.listening import listening_socket
from bond_server.local import Bond
from bond_server.settings import ServerSettings

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


class Events:
    """A client of `/stream`: its answer, and what it was sent."""

    def __init__(self, answer):
        self.answer = answer
        self.heard = []
        self._lines = answer.aiter_lines()

    async def until(self, done):
        """Read until a message is as wanted; return it."""
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line.startswith("data: "):
                    self.heard.append(json.loads(line[6:]))
                    if done(self.heard[-1]):
                        return self.heard[-1]
        raise AssertionError(f"it ended: {self.heard}")

    async def next(self, type_):
        """Return the next message of a type."""
        return await self.until(lambda message: message["type"] == type_)


@attrs.define
class IbServer:
    """A server that runs."""

    bond: Bond
    http: httpx.AsyncClient
    address: str

    @asynccontextmanager
    async def stream(self, path, **options):
        """Be a client."""
        async with self.http.stream("GET", f"/stream/{path}", **options) as answer:
            if answer.status_code != 200:
                await answer.aread()
            assert answer.status_code == 200, answer.text
            yield Events(answer)

    async def health(self):
        """Return what `/health` says of this part."""
        return (await self.http.get("/health")).json()["parts"]["ibkr.stream"]


@asynccontextmanager
async def ib_server(monkeypatch, tws=None, *, simulate=False, simulator=None, **settings):
    """Run a server whose TWS is the one given, or simulated; nothing is there without either."""
    monkeypatch.setenv("IB_STREAM_PORTS", "1" if tws is None else str(tws.port))
    with tempfile.TemporaryDirectory() as folder:
        chosen = ServerSettings(
            secret=Secret("0123456789abcdef" * 4), data_dir=Path(folder), simulate=simulate,
            drain_s=0, **settings,
        )  # fmt: skip
        options = {"bond_ibkr.simulator:TwsSimulator": simulator or {}}
        async with Bond(
            seed=7, defaults=Defaults(simulate=simulate), simulator_options=options
        ) as bond:
            bound = listening_socket("127.0.0.1", 0)
            address = f"127.0.0.1:{bound.getsockname()[1]}"
            is_up = asyncio.Event()
            serving = asyncio.create_task(serve_bond(bond, chosen, bound, ready=is_up.set))
            try:
                await asyncio.wait_for(is_up.wait(), PATIENCE_S)
                limits = httpx.Limits(max_connections=None)
                async with httpx.AsyncClient(
                    base_url=f"http://{address}", trust_env=False, timeout=PATIENCE_S,
                    limits=limits,
                ) as http:  # fmt: skip
                    yield IbServer(bond, http, address)
            finally:
                serving.cancel()
                await asyncio.wait([serving])


@pytest.fixture(name="serving")
def _serving(monkeypatch):
    """Run servers: `async with serving(tws) as server`."""
    return lambda *args, **options: ib_server(monkeypatch, *args, **options)


@pytest.fixture(name="kit")
def _kit():
    """What these tests are written with."""
    return SimpleNamespace(
        hearing=hearing,
        tws=tws,
        until=until,
        subscribed=subscribed,
        spec=SPEC,
        NS=NS,
        PATIENCE_S=PATIENCE_S,
    )
