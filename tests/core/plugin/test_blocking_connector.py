"""A connector around a library that blocks: what its author doesn't write, with real threads."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from contextlib import asynccontextmanager

import attrs
import pytest

from bond_core.clock import ManualClock, settle
from bond_core.errors import Retryable
from bond_core.plugin import BlockingConnector, Capabilities, Channel, ConnectorSpec, Quote
from bond_core.plugin.egress import Egress
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.runtime.outside import Outside
from bond_core.runtime.simulators import Simulators
from bond_core.testing.builders import START_NS
from bond_core.testing.scripted_connector import RecordingListener

BTC, ETH = "BTC/USDT", "ETH/USDT"
OVER = object()


class Library:
    """A vendor's library: one client at a time, whose `read` blocks until it is closed."""

    def __init__(self):
        self.clients = []

    def __call__(self):
        self.clients.append(Client())
        return self.clients[-1]


class Client:
    def __init__(self):
        self.inbox = queue.Queue()
        self.subscribed = ()
        self.closed = 0
        self.heeds_close = True
        self.threads = set()

    def read(self):
        self.threads.add(threading.current_thread())
        got = self.inbox.get(timeout=30)
        if got is OVER:
            raise ConnectionError("closed")
        if isinstance(got, BaseException):
            raise got
        return got

    def close(self):
        self.closed += 1
        if self.heeds_close:
            self.inbox.put(OVER)


@attrs.frozen
class Config:
    """Nothing to set."""


class Pushed(BlockingConnector):
    """Reads what a library pushes."""

    channel = "quotes"
    client_factory = "vendor:Client"

    def listen(self, client, ctx):
        client.subscribed = ctx.symbols()
        while (price := client.read()) != "end":
            for symbol in ctx.symbols():
                yield Quote(symbol=symbol, ts=ctx.now_ns(), bid=price, ask=price + 1)


class Asked(BlockingConnector):
    """Asks a library every five seconds."""

    channel = "quotes"
    client_factory = "vendor:Client"

    def listen(self, client, ctx):
        while True:
            yield (
                ("quotes", None)
                if (price := client.read()) is None
                else Quote(symbol=BTC, ts=ctx.now_ns(), bid=price, ask=price + 1)
            )
            ctx.pause(5)


class Bare(Pushed):
    """Forgets to say which channel."""

    channel = None


def spec_of(cls):
    """Return a spec of one of the connectors above."""
    return ConnectorSpec(
        name="vendor", factory=f"{__name__}:{cls.__name__}", config=Config, summary="x",
        channels=(Channel(name="quotes", kind="quote", fields=(), stale_s=None),),
        capabilities=Capabilities(runs_in="thread"),
    )  # fmt: skip


@asynccontextmanager
async def listening(cls, monkeypatch, *symbols):
    """Run a connector on a library of the test's own: yields clock, library, feeds, origin, ear."""
    library, clock = Library(), ManualClock(START_NS)
    monkeypatch.setattr("bond_core.runtime.supervisor.load_class", lambda _: cls)

    def ways_out(spec, *, simulated_at, clock, sdks, name):
        return Outside(
            Egress(), own=(), simulated_at=None, clock=clock, sdks={"vendor:Client": library}
        )

    async with (
        Simulators(clock=clock) as simulators,
        Feeds(
            clock=clock, chance=random.Random(1), simulators=simulators, ways_out=ways_out
        ) as feeds,
    ):
        ear = RecordingListener()
        origin = Origin(spec=spec_of(cls), config=Config(), name="vendor")
        for symbol in symbols or (BTC,):
            await feeds.subscribe(origin, "quotes", symbol, ear)
        yield clock, library, feeds, origin, ear


async def until(holds):
    """Return when it holds; threads decide when."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await settle()


def test_events_come_from_a_thread_of_its_own(monkeypatch):
    """It is live with its first event, in order, and the event loop never waits for the library."""

    async def go():
        async with listening(Pushed, monkeypatch, BTC, ETH) as (_, library, _, _, ear):
            await until(lambda: library.clients)
            for price in range(1, 1001):
                library.clients[0].inbox.put(float(price))
            await until(lambda: len(ear.events) == 2000)
            return library.clients[0], ear

    client, ear = asyncio.run(go())

    assert [e.bid for e in ear.events if e.symbol == BTC] == [float(n) for n in range(1, 1001)]
    assert client.subscribed == (BTC, ETH)
    assert ear.status == "live"
    assert threading.main_thread() not in client.threads
    assert len(client.threads) == 1


def test_it_is_gone_when_nobody_listens(monkeypatch):
    """Cancelled while its library blocks: the client is closed once, and no thread is left."""

    async def go():
        async with listening(Pushed, monkeypatch) as (_, library, _, _, _):
            await until(lambda: library.clients and library.clients[0].threads)
        return library.clients

    clients = asyncio.run(go())

    assert [client.closed for client in clients] == [1]
    for thread in clients[0].threads:
        thread.join(5)
        assert not thread.is_alive()


def test_a_change_of_what_is_wanted_begins_it_anew(monkeypatch):
    """The old client is closed before the new one subscribes to everything."""

    async def go():
        async with listening(Pushed, monkeypatch) as (_, library, feeds, origin, ear):
            await until(lambda: library.clients and library.clients[0].threads)
            await feeds.subscribe(origin, "quotes", ETH, ear)
            await until(lambda: len(library.clients) == 2 and library.clients[1].threads)
            return [(client.subscribed, client.closed) for client in library.clients]

    assert asyncio.run(go()) == [((BTC,), 1), ((BTC, ETH), 0)]


@pytest.mark.parametrize(
    ("raised", "status", "reason"),
    [
        (Retryable("away"), "reconnecting", "away"),
        (OSError("broken pipe"), "reconnecting", "broken pipe"),
        (ZeroDivisionError("x"), "failed", "bug in the connector: ZeroDivisionError"),
        (SystemExit(3), "failed", "it raised SystemExit: 3"),
        ("end", "failed", "the source is at its end"),
    ],
)
def test_errors_say_what_happens_next(monkeypatch, raised, status, reason):
    """What the thread raises counts as what any connector raises, sys.exit included."""

    async def go():
        async with listening(Pushed, monkeypatch) as (_, library, _, _, ear):
            await until(lambda: library.clients)
            library.clients[0].inbox.put(raised)
            await until(lambda: ear.status == status)
            return ear.reason, library.clients[0].closed

    said, closed = asyncio.run(go())

    assert reason in said
    assert closed == 1


def test_a_pause_is_of_bonds_clock_and_ends_with_the_connector(monkeypatch):
    """Nothing is asked for before its time; an answer without news is a heartbeat."""

    async def go():
        async with listening(Asked, monkeypatch) as (clock, library, _, _, ear):
            await until(lambda: library.clients)
            inbox = library.clients[0].inbox
            for answer in (None, 7.0):
                inbox.put(answer)
            await until(lambda: ear.heartbeats)
            waiting = inbox.qsize()
            await clock.advance(4.9)
            waiting_still = inbox.qsize()
            await until(lambda: clock._sleepers)
            await clock.advance(0.2)
            await until(lambda: ear.events)
        return waiting, waiting_still, ear.events[0].bid, library.clients[0].closed

    assert asyncio.run(go()) == (1, 1, 7.0, 1)


def test_a_library_that_ignores_its_close_holds_up_nobody(monkeypatch):
    """It is left behind, and no second thread joins it as long as it hangs."""
    monkeypatch.setattr("bond_core.plugin.blocking.END_WITHIN_S", 0.05)

    async def go():
        async with listening(Pushed, monkeypatch) as (clock, library, feeds, origin, ear):
            await until(lambda: library.clients and library.clients[0].threads)
            library.clients[0].heeds_close = False
            await feeds.subscribe(origin, "quotes", ETH, ear)
            await until(lambda: ear.status == "reconnecting")
            await clock.advance(2)
            reasons, clients = [reason for _, reason in ear.statuses], len(library.clients)
            library.clients[0].inbox.put(OVER)
            await until(lambda: not any(t.is_alive() for t in library.clients[0].threads))
            await clock.advance(60)
            await until(lambda: len(library.clients) == 2)
        return reasons, clients

    reasons, clients = asyncio.run(go())

    assert "the library still hangs where it was left" in reasons
    assert clients == 1


def test_an_event_without_a_channel_is_a_bug_that_says_so(monkeypatch):
    """The text names the class and what to write."""

    async def go():
        async with listening(Bare, monkeypatch) as (_, library, _, _, ear):
            await until(lambda: library.clients)
            library.clients[0].inbox.put(1.0)
            await until(lambda: ear.status == "failed")
            return ear.reason

    assert "Bare.listen yields events without a channel" in asyncio.run(go())


def test_a_flood_does_not_fill_the_memory(monkeypatch):
    """As long as the event loop is busy, the library is read no further than the bound."""
    monkeypatch.setattr("bond_core.plugin.blocking.BUFFERED", 10)

    async def go():
        async with listening(Pushed, monkeypatch) as (_, library, _, _, ear):
            await until(lambda: library.clients and library.clients[0].threads)
            inbox = library.clients[0].inbox
            for price in range(1, 101):
                inbox.put(float(price))
            pause = threading.Event()
            pause.wait(0.2)  # the event loop stands still
            left = inbox.qsize()
            await until(lambda: len(ear.events) == 100)
        return left

    assert asyncio.run(go()) >= 85
