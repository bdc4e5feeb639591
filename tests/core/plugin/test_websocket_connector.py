"""A connector over a WebSocket: the part that its author doesn't write, on a real socket."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from bond_core.clock import ManualClock, settle
from bond_core.plugin import Capabilities, Channel, ConnectorSpec, WebSocketConnector
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.runtime.simulators import Simulators
from bond_core.testing.builders import START_NS, a_trade
from bond_core.testing.scripted_connector import RecordingListener

BTC, ETH = "BTC/USDT", "ETH/USDT"
WITHIN_S = 5.0


class Source:
    """A WebSocket server that notes what it is told, and says what the test wants it to."""

    def __init__(self):
        self.connections = []
        self.told = []
        self.refuse_with = None
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def listening(self):
        async with serve(self._serve, "127.0.0.1", 0, process_request=self._gate) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            yield self

    async def say(self, *frames):
        """Send frames, and return when the other side has read them all."""
        for frame in frames:
            await self.connections[-1].send(
                frame if isinstance(frame, (str, bytes)) else json.dumps(frame)
            )
        await (await self.connections[-1].ping())
        await settle()

    async def when(self, holds):
        """Return when something holds of what was told, or fail."""
        async with asyncio.timeout(WITHIN_S):
            while not holds(self.told):
                self._changed.clear()
                await self._changed.wait()
        await settle()

    async def connected(self, n):
        """Return when the n-th connection is open."""
        await self.when(lambda _: len(self.connections) == n)

    async def _serve(self, connection):
        self.connections.append(connection)
        self._changed.set()
        try:
            async for message in connection:
                self.told.append(json.loads(message))
                self._changed.set()
        except ConnectionClosed:
            pass

    def _gate(self, connection, request):
        if self.refuse_with is not None:
            return connection.respond(self.refuse_with, "a secret reason\n")
        return None


class Acme(WebSocketConnector):
    """What an author writes; the settings are the source's address."""

    channel = "trades"

    def url(self, ctx):
        return self.config

    async def subscribe(self, ws, ctx, added):
        await ws.send_json({"sub": [[s.symbol, ctx.cursor(s.channel, s.symbol)] for s in added]})

    async def unsubscribe(self, ws, ctx, removed):
        await ws.send_json({"unsub": [s.symbol for s in removed]})

    def parse(self, frame, ctx):
        message = json.loads(frame)
        for t in message["trades"]:
            yield a_trade(t["s"], ts=ctx.clock.now_ns(), price=t["p"], id=t.get("id"))


class Confirming(Acme):
    """One whose source confirms each symbol, and brings two channels."""

    confirms = True
    channel = None
    keepalive_every_s = 20.0

    def parse(self, frame, ctx):
        message = json.loads(frame)
        if "taken" in message:
            ctx.live("trades", message["taken"])
            return None
        return [("trades", a_trade(s, ts=ctx.clock.now_ns())) for s in message["trades"]]

    async def keepalive(self, ws, ctx):
        await ws.send_json("ping")


class Buggy(Acme):
    """One whose author made a mistake."""

    def parse(self, frame, ctx):
        return self.nowhere


class Channelless(Acme):
    """One whose author forgot to say which channel its events are of."""

    channel = None


@asynccontextmanager
async def listened(kind, *symbols, **policy):
    """Listen through a connector: yields the clock, the feeds, the source, an ear a symbol."""
    before = asyncio.all_tasks()
    clock, source = ManualClock(START_NS), Source()
    egress = Egress(EgressPolicy(private=PRIVATE, **policy))
    channels = (Channel(name="trades", kind="trade", fields=()),)
    described = ConnectorSpec(
        name="acme", factory=f"{__name__}:{kind.__name__}", summary="s", channels=channels,
        capabilities=Capabilities(),
    )  # fmt: skip
    async with source.listening():
        async with (
            Simulators(clock=clock) as simulators,
            Feeds(
                clock=clock, chance=random.Random(1), simulators=simulators, egress=egress
            ) as feeds,
        ):
            origin = Origin(spec=described, config=source.url, name="acme")
            ears = [RecordingListener() for _ in symbols]
            for symbol, ear in zip(symbols, ears, strict=True):
                await feeds.subscribe(origin, "trades", symbol, ear)
            yield clock, feeds, source, *ears
        for connection in source.connections:
            async with asyncio.timeout(WITHIN_S):
                await connection.wait_closed()
    assert asyncio.all_tasks() == before


def trade(symbol, price=1.0, **more):
    """Return a trade as the source writes it."""
    return {"s": symbol, "p": price, **more}


def test_what_is_wanted_is_asked_for_and_heard():
    """Everything at once on connecting; live from the first frame, for the quiet ones too."""

    async def go():
        async with listened(Acme, BTC, ETH) as (_, _, source, btc, eth):
            await source.when(bool)
            assert source.told == [{"sub": [[BTC, None], [ETH, None]]}]
            assert (btc.status, eth.status) == ("starting", "starting")
            await source.say({"trades": []}, {"trades": [trade(BTC, 7.0), trade("XRP/USDT")]})
            assert (btc.status, eth.status) == ("live", "live")
            assert [event.price for event in btc.events] == [7.0]
            assert eth.events == []

    asyncio.run(go())


def test_changes_are_followed_on_the_open_connection():
    """What is wanted more is asked for, what is wanted no more is let go, without a new start."""

    async def go():
        async with listened(Acme, BTC) as (_, feeds, source, btc):
            await source.when(bool)
            await source.say({"trades": []})
            (supervisor,), eth = feeds.supervisors(), RecordingListener()
            origin = next(iter(feeds._supervisors))
            feed = await feeds.subscribe(origin, "trades", ETH, eth)
            await source.when(lambda told: len(told) == 2)
            assert eth.status == "starting"
            await source.say({"trades": [trade(ETH)]})
            assert (eth.status, len(eth.events)) == ("live", 1)
            feeds.unsubscribe(origin, feed, eth)
            await source.when(lambda told: len(told) == 3)
            assert source.told[1:] == [{"sub": [[ETH, None]]}, {"unsub": [ETH]}]
            await source.say({"trades": [trade(ETH), trade(BTC)]})
            assert (len(eth.events), len(btc.events), supervisor.unasked) == (1, 1, 1)
            assert len(source.connections) == 1

    asyncio.run(go())


def test_a_connection_that_closes_is_opened_again_where_it_was_left():
    """However politely it closed; after a pause, asking for what came after the last id."""

    async def go():
        async with listened(Acme, BTC) as (clock, _, source, btc):
            await source.when(bool)
            await source.say({"trades": [trade(BTC, id="17")]})
            await source.connections[0].close(1000, "a secret reason")
            await source.connections[0].wait_closed()
            await _until(lambda: btc.status == "reconnecting")
            assert btc.reason == "127.0.0.1 closed the connection (1000)"
            await settle()
            assert len(source.connections) == 1  # not before the pause is over
            await clock.advance(1)
            await source.when(lambda told: len(told) == 2)
            assert source.told[1] == {"sub": [[BTC, "17"]]}
            await source.say({"trades": []})
            assert btc.status == "live"
            assert len(btc.gaps) == 1

    asyncio.run(go())


def test_what_cannot_be_read_is_counted_and_told():
    """It is no reason to connect again, whatever is wrong with it; what was good of it counts."""

    async def go():
        async with listened(Acme, BTC, ETH) as (_, _, source, btc, eth):
            await source.when(bool)
            good = {"trades": [trade(BTC)]}
            await source.say("{", b"\xff", good, {"no": 1}, good, [1], good)
            await source.say({"trades": [trade(BTC), {}]}, good)
            assert btc.rejected == {
                "a message could not be read (JSONDecodeError)": 1,
                "a message could not be read (UnicodeDecodeError)": 1,
                "a message could not be read (KeyError)": 2,
                "a message could not be read (TypeError)": 1,
            }
            assert btc.rejected == eth.rejected
            assert len(btc.events) == 5
            assert btc.status == "live"
            assert len(source.connections) == 1

    asyncio.run(go())


def test_a_stream_is_told_once_of_what_cannot_be_read():
    """Also when it listens to several symbols there: nobody knows which of them it was."""

    async def go():
        async with listened(Acme, BTC) as (_, feeds, source, btc):
            await feeds.subscribe(next(iter(feeds._supervisors)), "trades", ETH, btc)
            await source.when(bool)
            await source.say("{")
            assert btc.rejected == {"a message could not be read (JSONDecodeError)": 1}

    asyncio.run(go())


def test_nothing_but_what_cannot_be_read_ends_the_connection():
    """Three in a row, with the pauses of any other failure."""

    async def go():
        async with listened(Acme, BTC) as (clock, _, source, btc):
            await source.when(bool)
            await source.say("{", "{")
            assert btc.status == "starting"
            await source.connections[0].send("{")
            await _until(lambda: btc.status == "reconnecting")
            assert btc.reason == ("3 messages in a row could not be read, last: JSONDecodeError")
            assert sum(btc.rejected.values()) == 3
            await source.connections[0].wait_closed()
            assert len(source.connections) == 1
            await clock.advance(1)
            await source.connected(2)

    asyncio.run(go())


def test_a_message_that_is_too_large_ends_the_connection():
    """Before it is held in memory as a whole; the reason says so."""

    async def go():
        async with listened(Acme, BTC) as (_, _, source, btc):
            await source.when(bool)
            await source.connections[0].send("x" * (1024 * 1024 + 1))
            await _until(lambda: btc.status == "reconnecting")
            return btc.reason

    assert asyncio.run(go()) == "127.0.0.1 sent a larger message than is taken"


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        (503, "reconnecting", "127.0.0.1 answered 503"),
        (429, "reconnecting", "127.0.0.1 answered 429"),
        (401, "failed", "127.0.0.1 answered 401: the request is refused"),
        (404, "failed", "127.0.0.1 answered 404: the request is refused"),
    ],
)
def test_a_refused_handshake_is_final_unless_it_may_pass(status, state, reason):
    """By its status alone; what the source says beside it stays there."""

    async def go():
        clock, source = ManualClock(START_NS), Source()
        source.refuse_with = status
        async with source.listening():
            return await _status_of(source, clock, state)

    assert asyncio.run(go()) == reason


def test_a_source_of_a_users_choice_is_read_no_faster_than_allowed():
    """What comes faster waits there, and none of it is lost."""

    async def go():
        async with listened(Acme, BTC, frames_per_s=10) as (clock, _, source, btc):
            await source.when(bool)
            for n in range(35):
                await source.connections[0].send(json.dumps({"trades": [trade(BTC, 1.0 + n)]}))
            heard = []
            for _ in range(4):
                await _until(lambda: len(btc.events) >= min(10 + 10 * len(heard), 35))
                await settle()
                heard.append(len(btc.events))
                for _ in range(10):
                    await clock.advance(0.1)
            return heard, [event.price for event in btc.events]

    heard, prices = asyncio.run(go())

    assert heard == [10, 20, 30, 35]
    assert prices == [1.0 + n for n in range(35)]


def test_a_source_that_confirms_is_live_when_it_does():
    """Symbol by symbol, not from the first frame."""

    async def go():
        async with listened(Confirming, BTC, ETH) as (_, _, source, btc, eth):
            await source.when(bool)
            await source.say({"trades": []})
            assert (btc.status, eth.status) == ("starting", "starting")
            await source.say({"taken": BTC})
            assert (btc.status, eth.status) == ("live", "starting")
            await source.say({"trades": [BTC]})
            assert len(btc.events) == 1

    asyncio.run(go())


def test_a_source_that_wants_to_hear_something_hears_it():
    """At the author's pace, by the only clock."""

    async def go():
        async with listened(Confirming, BTC) as (clock, _, source, _):
            await source.when(bool)
            await clock.advance(10)
            await source.say({"taken": BTC})
            await clock.advance(9)
            assert "ping" not in source.told
            await clock.advance(2)
            await source.when(lambda told: "ping" in told)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(Buggy, "no attribute 'nowhere'"), (Channelless, "set `channel` on the class")],
)
def test_a_mistake_in_the_code_is_a_bug(kind, reason):
    """Not a frame that can't be read, and no reason to connect for ever."""

    async def go():
        async with listened(kind, BTC) as (_, _, source, btc):
            await source.when(bool)
            await source.connections[0].send(json.dumps({"trades": [trade(BTC)]}))
            await _until(lambda: btc.status == "failed")
            return btc.reason

    came = asyncio.run(go())

    assert came.startswith("bug in the connector: AttributeError")
    assert reason in came


def test_stopping_is_prompt_though_the_source_does_not_answer():
    """The goodbye is said, not waited for."""

    async def go():
        async with listened(Acme, BTC) as (_, _, source, _):
            await source.when(bool)
            source.connections[0].transport.pause_reading()
            started = asyncio.get_running_loop().time()
            (task,) = [t for t in asyncio.all_tasks() if t.get_name() == "supervise acme"]
            task.cancel()
            await asyncio.wait({task})
            took_s = asyncio.get_running_loop().time() - started
            source.connections[0].transport.resume_reading()
            return took_s

    assert asyncio.run(go()) < 1.0


def test_a_forbidden_address_fails_the_source():
    """With a reason, and without trying again."""

    async def go():
        clock = ManualClock(START_NS)
        source = Source()
        source.url = "wss://169.254.169.254/latest"
        return await _status_of(source, clock, "failed")

    assert asyncio.run(go()) == "169.254.169.254 is not a public address"


async def _status_of(source, clock, state):
    """Return the reason with which a feed of the source comes to a state."""
    ear = RecordingListener()
    spec = ConnectorSpec(
        name="acme", factory=f"{__name__}:Acme", summary="s",
        channels=(Channel(name="trades", kind="trade", fields=()),),
    )  # fmt: skip
    egress = Egress(EgressPolicy(private=PRIVATE))
    async with (
        Simulators(clock=clock) as simulators,
        Feeds(clock=clock, chance=random.Random(1), simulators=simulators, egress=egress) as feeds,
    ):
        await feeds.subscribe(Origin(spec=spec, config=source.url, name="a"), "trades", BTC, ear)
        await _until(lambda: ear.status == state)
        return ear.reason


async def _until(holds):
    """Return when it holds; a socket decides when, so nothing but looking tells."""
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110 -- a status sets no event
            await asyncio.sleep(0.001)
