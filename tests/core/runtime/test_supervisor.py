"""A supervisor and a scripted connector, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager

import pytest

from bond_core.clock import NS, ManualClock, settle
from bond_core.errors import Fatal, Retryable
from bond_core.model.event import Gap
from bond_core.plugin import Channel, ConnectorSpec
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.runtime.simulators import Simulators
from bond_core.testing.builders import START_NS, a_quote, a_trade
from bond_core.testing.scripted_connector import (
    RecordingListener,
    Script,
    ScriptConfig,
    ScriptedConnector,
    failing,
    listening,
    scripted_spec,
)

BTC, ETH = "BTC/USDT", "ETH/USDT"


@asynccontextmanager
async def feeds_on(clock, seed=1):
    """Run feeds on a clock, and see that no task is left of them."""
    before = asyncio.all_tasks()
    async with Simulators(clock=clock) as simulators:
        feeds = Feeds(clock=clock, chance=random.Random(seed), simulators=simulators)
        async with feeds:
            yield feeds
    assert asyncio.all_tasks() == before


def origin_of(script, **spec):
    """Return where a script's events come from."""
    return Origin(spec=scripted_spec(**spec), config=ScriptConfig(script), name="scripted")


@asynccontextmanager
async def listened(script, *symbols, stale_s=None, **spec):
    """Listen to trades of a scripted source: yields the clock and a listener for each symbol."""
    clock = ManualClock(START_NS)
    async with feeds_on(clock) as feeds:
        ears = []
        for symbol in symbols or (BTC,):
            ears.append(RecordingListener())
            await feeds.subscribe(
                origin_of(script, **spec), "trades", symbol, ears[-1], stale_s=stale_s
            )
        await settle()
        yield clock, *ears


def trade_at(clock, symbol=BTC, **changes):
    """Return a trade that happens now."""
    return a_trade(symbol, ts=clock.now_ns(), **changes)


async def trading(clock, script, seconds):
    """Let time pass with a trade each second."""
    for _ in range(seconds):
        await clock.advance(1)
        script.ctx.emit("trades", [trade_at(clock)])


# What is heard


def test_events_reach_the_listener_once():
    """In order, stamped; what was sent before is counted, and so is what makes no sense."""

    async def go():
        script = Script(listening())
        async with listened(script) as (clock, ear):
            first, second = trade_at(clock, id="1"), trade_at(clock, id="2")
            script.ctx.emit("trades", [first, second, trade_at(clock, id="1")])
            script.ctx.emit("trades", [trade_at(clock, price=float("nan")), a_quote(ts=1)])
            script.ctx.emit("trades", [trade_at(clock, "XRP/USDT")])
            assert ear.events == [first, second]
            assert first.recv_ts == START_NS
            assert ear.duplicates == 1
            assert ear.rejected == {
                "its price is not a finite number above 0": 1,
                "it is a quote, and trades brings trades": 1,
            }
            assert script.ctx.unasked == 1
            assert script.ctx.cursor("trades", BTC) == "2"
            assert script.ctx.cursor("trades", ETH) is None

    asyncio.run(go())


def test_a_gap_that_the_source_tells_is_passed_on():
    """By the call as well as by an event of that kind."""

    async def go():
        script = Script(listening())
        async with listened(script) as (_, ear):
            script.ctx.gap("trades", None, from_ns=1, to_ns=2, detail="sequence")
            script.ctx.emit("trades", [Gap(BTC, 3, 1, 3)])
            return [(gap.from_ns, gap.to_ns) for gap in ear.gaps], ear.rejected

    assert asyncio.run(go()) == ([(1, 2), (1, 3)], {})


def test_a_symbol_that_cannot_be_had_fails_alone():
    """The others go on; when it is heard after all, it is live."""

    async def go():
        script = Script(listening())
        async with listened(script, BTC, ETH) as (clock, btc, eth):
            script.ctx.failed("trades", ETH, "not listed")
            assert (btc.status, eth.status, eth.reason) == ("live", "failed", "not listed")
            script.ctx.live("trades")
            assert eth.status == "failed"
            await clock.advance(1)
            script.ctx.emit("trades", [trade_at(clock, ETH)])
            assert eth.status == "live"

    asyncio.run(go())


# Trying again


def test_backoff_grows_is_jittered_and_capped():
    """Each pause is between half and all of twice the one before, up to the cap."""

    async def go(seed):
        clock, script = ManualClock(START_NS), Script(failing(Retryable("away")))
        async with feeds_on(clock, seed) as feeds:
            await feeds.subscribe(origin_of(script), "trades", BTC, RecordingListener())
            pauses, last_ns = [], clock.now_ns()
            await settle()
            while len(pauses) < 10:
                runs = len(script.contexts)
                await clock.advance(0.01)
                if len(script.contexts) > runs:
                    pauses.append((clock.now_ns() - last_ns) / NS)
                    last_ns = clock.now_ns()
            return pauses

    one, other = asyncio.run(go(1)), asyncio.run(go(2))

    for pauses in (one, other):
        for i, pause_s in enumerate(pauses):
            whole_s = min(30.0, 0.5 * 2**i)
            assert whole_s / 2 - 0.02 <= pause_s <= whole_s + 0.02
    assert one != other


@pytest.mark.parametrize(
    "error",
    [
        Retryable("venue says 429", retry_after_s=77),
        ExceptionGroup("tasks", [Retryable("x"), OSError("y"), Retryable("429", retry_after_s=77)]),
    ],
    ids=["alone", "in a group"],
)
def test_retry_after_is_obeyed(error):
    """The source is left alone for as long as it asked, and heard again after that."""

    async def go():
        script = Script(failing(error), listening())
        async with listened(script) as (clock, ear):
            await clock.advance(76.9)
            assert (len(script.contexts), ear.status) == (1, "reconnecting")
            await clock.advance(0.2)
            assert (len(script.contexts), ear.status) == (2, "live")
            assert script.connectors == 1  # it is the same object that runs again

    asyncio.run(go())


@pytest.mark.parametrize("error", [Retryable("away"), OSError("reset"), TimeoutError("late")])
def test_what_may_pass_is_tried_again(error):
    """The feed is reconnecting with the reason, and live again with a gap that names the outage."""

    async def go():
        broken = asyncio.get_running_loop().create_future()

        async def until_broken(ctx):
            ctx.live("trades")
            await broken

        script = Script(until_broken, failing(Retryable("still away")), listening())
        async with listened(script) as (clock, ear):
            assert ear.status == "live"
            broken.set_exception(error)
            await settle()
            assert ear.status == "reconnecting"
            assert str(error.args[0]) in ear.reason
            await clock.advance(5)
            assert ear.status == "live"
            (gap,) = ear.gaps
            assert gap.from_ns == START_NS  # not from the second failure on
            assert START_NS < gap.to_ns <= clock.now_ns()

    asyncio.run(go())


def test_a_long_outage_is_followed_by_a_full_chance():
    """
    A connection that comes after an outage longer than `stale_s` is given that time to bring
    something before it counts as stale.
    """

    async def go():
        script = Script(failing(Retryable("away", retry_after_s=100)), listening())
        async with listened(script, stale_s=5) as (clock, ear):
            await clock.advance(101)
            assert (len(script.contexts), ear.status) == (2, "live")
            await clock.advance(3.5)
            assert (len(script.contexts), ear.status) == (2, "live")
            await clock.advance(2)
            assert ear.status == "stale"

    asyncio.run(go())


def test_who_comes_while_a_source_is_tried_again_later_is_told_so_at_once():
    """With the reason of those who were there before; it is live with them. Later, it starts."""

    async def go():
        script = Script(failing(Retryable("away", retry_after_s=60)), listening())
        clock, one, other, last = ManualClock(START_NS), *(RecordingListener() for _ in range(3))
        async with feeds_on(clock) as feeds:
            await feeds.subscribe(origin_of(script), "trades", BTC, one)
            await settle()
            await feeds.subscribe(origin_of(script), "trades", ETH, other)
            told = list(other.statuses)
            await clock.advance(61)
            await feeds.subscribe(origin_of(script), "quotes", BTC, last)
            return told, one.status, other.status, last.statuses

    told, *statuses, last = asyncio.run(go())
    assert told == [("reconnecting", "away")]
    assert statuses == ["live", "live"]
    assert last[0] == ("starting", None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Fatal("the key is refused", fix="export KEY"), "the key is refused Try: export KEY"),
        (KeyError("oops"), "bug in the connector: KeyError: 'oops'"),
        (ExceptionGroup("g", [Retryable("x"), Fatal("no")]), "no"),
        (ExceptionGroup("g", [Fatal("no"), ZeroDivisionError()]), "bug in the connector: ZeroDiv"),
        (SystemExit(3), "bug in the connector: RuntimeError: it called sys.exit(3)"),
        (asyncio.CancelledError(), "bug in the connector: RuntimeError: it ended with a Cancel"),
    ],
    ids=["fatal", "bug", "fatal in a group", "bug in a group", "exit", "cancelled"],
)  # fmt: skip
def test_what_will_not_pass_is_never_tried_again(error, reason, caplog):
    """The reason is shown, and the sources beside it notice nothing."""

    async def go():
        clock, bad, good = ManualClock(START_NS), Script(failing(error)), Script(listening())
        bad_ear, good_ear = RecordingListener(), RecordingListener()
        async with feeds_on(clock) as feeds:
            await feeds.subscribe(origin_of(good), "trades", BTC, good_ear)
            await feeds.subscribe(origin_of(bad), "trades", BTC, bad_ear)
            await settle()
            await trading(clock, good, 600)
            assert (len(bad.contexts), bad_ear.status) == (1, "failed")
            assert bad_ear.reason.startswith(reason)
            assert (good_ear.status, len(good_ear.events)) == ("live", 600)

    asyncio.run(go())

    assert ("bug" in caplog.text) == ("bug" in reason)


def test_a_source_at_its_end_is_over():
    """A connector that returns is done, and isn't started again."""

    async def once(ctx):
        ctx.live("trades")

    async def go():
        script = Script(once)
        async with listened(script) as (clock, ear):
            await clock.advance(100)
            return len(script.contexts), ear.status, ear.reason

    assert asyncio.run(go()) == (1, "failed", "the source is at its end")


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("no_such_module:Acme", "no_such_module:Acme can't be loaded: No module named"),
        ("builtins:object", "bug in the connector: TypeError"),
    ],
)
def test_a_connector_that_cannot_be_built_fails_with_a_reason(factory, reason):
    """A missing SDK, and a class that can't be made, are told like any other failure."""
    spec = ConnectorSpec(
        name="broken", factory=factory, summary="s",
        channels=(Channel(name="trades", kind="trade", fields=()),),
    )  # fmt: skip

    async def go():
        ear = RecordingListener()
        async with feeds_on(ManualClock()) as feeds:
            await feeds.subscribe(Origin(spec=spec, config=None, name="x"), "trades", BTC, ear)
            await settle()
            return ear

    ear = asyncio.run(go())

    assert ear.status == "failed"
    assert ear.reason.startswith(reason)


# Connected is not live


def until_stalled(script, clock, repeats):
    """Return what a stalled channel does meanwhile: nothing, or the same old trades."""
    if repeats:
        script.ctx.emit("trades", [a_trade(ts=START_NS, id=None), a_trade(ts=START_NS - 5)])
    return clock.advance(0.5)


@pytest.mark.parametrize("repeats", [False, True], ids=["silent", "repeating old times"])
def test_a_channel_that_stands_still_is_stale_and_started_anew(repeats):
    """
    Within `stale_s` (and the watch's quarter of a second), however connected it is; the
    connector is started anew.
    """

    async def go():
        script = Script(listening(a_trade()), listening())
        async with listened(script, stale_s=4) as (clock, ear):
            stale_after = None
            while stale_after is None and clock.now_ns() < START_NS + 20 * NS:
                await until_stalled(script, clock, repeats)
                if ear.status == "stale":
                    stale_after = (clock.now_ns() - START_NS) / NS
            await clock.advance(2)
            return stale_after, len(script.contexts), script.live, ear

    stale_after, runs, live, ear = asyncio.run(go())

    assert 4 <= stale_after <= 4.5
    assert ear.statuses[-1][1].startswith("nothing new on trades for 4")
    assert (runs, live) == (2, 1)


def heard_instead(channel):
    """Say what a connector heard in place of a channel's events."""
    return f"3 riddles on {channel}"


def broken_word(channel):
    """Break where a connector is asked."""
    raise KeyError(channel)


@pytest.mark.parametrize(
    ("says", "ending"),
    [(heard_instead, " s, but 3 riddles on trades"), (lambda _: None, " s"), (broken_word, " s")],
    ids=["something", "nothing", "a bug"],
)
def test_a_connector_may_say_what_it_hears_instead(says, ending, monkeypatch):
    """The reason of a stale feed repeats it; a bug in it costs the reason only."""
    monkeypatch.setattr(ScriptedConnector, "why_silent", staticmethod(says), raising=False)

    async def go():
        async with listened(Script(listening(a_trade()), listening()), stale_s=4) as (clock, ear):
            await clock.advance(6)
            return ear

    ear = asyncio.run(go())
    assert ear.status == "stale"
    assert ear.reason.startswith("nothing new on trades for 4")
    assert ear.reason.endswith(ending)


def test_only_progress_makes_a_stale_feed_live():
    """
    A reconnect alone does not, nor do old trades; a new one does, and the gap goes back to when
    the channel last moved.
    """

    async def go():
        script = Script(listening(a_trade()), listening(a_trade(ts=START_NS - NS)))
        async with listened(script, stale_s=4) as (clock, ear):
            await clock.advance(10)
            assert len(script.contexts) == 2
            script.ctx.live("trades")
            script.ctx.emit("trades", [a_trade(ts=START_NS)])
            assert (ear.status, ear.gaps) == ("stale", [])
            script.ctx.emit("trades", [trade_at(clock)])
            assert ear.status == "live"
            (gap,) = ear.gaps
            assert (gap.from_ns, gap.to_ns) == (START_NS, clock.now_ns())

    asyncio.run(go())


def test_a_connection_in_vain_is_given_up_too():
    """A source that stays stalled after the reconnect is tried again and again."""

    async def go():
        script = Script(listening(a_trade()), listening())
        async with listened(script, stale_s=4) as (clock, ear):
            await clock.advance(120)
            runs = len(script.contexts)
            script.ctx.emit("trades", [trade_at(clock)])
            return runs, ear.status

    runs, status = asyncio.run(go())

    assert runs >= 4
    assert status == "live"


def test_a_connection_that_never_comes_about_is_given_up():
    """One that hangs without confirming anything is stale too, so that others can stand in."""

    async def hang(_):
        await asyncio.Event().wait()

    async def go():
        script = Script(hang, listening())
        async with listened(script, stale_s=4) as (clock, ear):
            await clock.advance(13)
            assert (len(script.contexts), ear.status) == (1, "starting")
            await clock.advance(3)
            return len(script.contexts), ear.status

    assert asyncio.run(go()) == (2, "stale")


def test_a_heartbeat_of_the_source_proves_life():
    """A quiet market with heartbeats is not stale, and a heartbeat ends staleness."""

    async def go():
        script = Script(listening(a_trade()))
        async with listened(script, stale_s=4) as (clock, ear):
            for _ in range(20):
                await clock.advance(1)
                script.ctx.heartbeat("trades")
            assert (ear.status, len(script.contexts)) == ("live", 1)
            assert ear.heartbeats[-1] == clock.now_ns()
            await clock.advance(10)
            assert ear.status == "stale"
            script.ctx.heartbeat("trades", ts=5)
            script.ctx.heartbeat("quotes")
            assert (ear.status, ear.heartbeats[-1]) == ("live", 5)

    asyncio.run(go())


def test_what_shares_a_channel_is_judged_together():
    """A quiet symbol beside a busy one is not stale; a stale one comes back with the channel."""

    async def go():
        script = Script(listening(a_trade()), listening())
        async with listened(script, BTC, ETH, stale_s=4) as (clock, btc, eth):
            await trading(clock, script, 20)
            assert (btc.status, eth.status) == ("live", "live")
            await clock.advance(10)
            assert (btc.status, eth.status) == ("stale", "stale")
            script.ctx.emit("trades", [trade_at(clock)])
            assert (btc.status, eth.status) == ("live", "live")
            assert len(eth.gaps) == 1

    asyncio.run(go())


def test_silence_may_mean_nothing():
    """A channel without `stale_s`, such as posts, is never stale unless a listener asks."""

    async def go(asked):
        clock, ear = ManualClock(START_NS), RecordingListener()
        script = Script(listening(a_trade()))
        async with feeds_on(clock) as feeds:
            quiet = origin_of(script, stale_s=None)
            await feeds.subscribe(quiet, "trades", BTC, ear, stale_s=asked)
            await clock.advance(500)
            return ear.status

    assert (asyncio.run(go(None)), asyncio.run(go(60))) == ("live", "stale")


def test_the_strictest_listener_decides():
    """Who asks for less than the channel's own is told earlier; who asks for more, not later."""

    async def go(*asked):
        clock, script, ear = (
            ManualClock(START_NS),
            Script(listening(a_trade())),
            RecordingListener(),
        )
        async with feeds_on(clock) as feeds:
            await feeds.subscribe(origin_of(script), "trades", BTC, ear)
            for stale_s in asked:
                other = RecordingListener()
                await feeds.subscribe(origin_of(script), "trades", BTC, other, stale_s=stale_s)
            await settle()
            while ear.status != "stale":
                await clock.advance(0.25)
            return round((clock.now_ns() - START_NS) / NS)

    assert [asyncio.run(go(*asked)) for asked in ((), (60,), (4,), (60, 4))] == [15, 15, 4, 4]


def test_a_venue_whose_clock_is_ahead_does_not_seem_to_stand_still():
    """One event some seconds ahead of our time is not what later ones are measured by."""

    async def go():
        script = Script(listening(a_trade(ts=START_NS + 4 * NS)))
        async with listened(script, stale_s=2) as (clock, ear):
            await trading(clock, script, 6)
            return [status for status, _ in ear.statuses], len(script.contexts)

    assert asyncio.run(go()) == (["starting", "live"], 1)


def test_the_machines_clock_may_be_set():
    """A wall clock that jumps ahead makes nothing stale, and one that steps back hides nothing."""

    class Jumping(ManualClock):
        off_ns = 0

        def now_ns(self):
            return super().now_ns() + self.off_ns

        def monotonic_ns(self):
            return super().now_ns()

        async def sleep(self, seconds):
            await super().sleep_until(super().now_ns() + round(seconds * NS))

    async def go(off_s):
        clock, script, ear = Jumping(START_NS), Script(listening(a_trade())), RecordingListener()
        async with feeds_on(clock) as feeds:
            await feeds.subscribe(origin_of(script), "trades", BTC, ear, stale_s=4)
            await settle()
            clock.off_ns = off_s * NS
            await clock.advance_to(START_NS + 3 * NS)
            before = ear.status
            await clock.advance_to(START_NS + 5 * NS)
            return before, ear.status

    assert asyncio.run(go(3600)) == asyncio.run(go(-3600)) == ("live", "stale")


def test_a_polled_source_has_no_gap_to_tell():
    """What it returns after an outage is the present state: nothing is missing."""

    async def go():
        script = Script(failing(Retryable("away")), listening(a_trade()))
        async with listened(script, mode="poll") as (clock, ear):
            await clock.advance(5)
            return ear.status, ear.gaps

    assert asyncio.run(go()) == ("live", [])


# Stopping


def test_everything_stops_at_once():
    """Leaving cancels every connector, awaits its clean-up, and leaves no task."""
    cleaned = []

    async def tidy(ctx):
        try:
            await listening()(ctx)
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    async def go():
        async with listened(Script(tidy), BTC, ETH):
            started = time.monotonic()
        return time.monotonic() - started

    assert asyncio.run(go()) < 1
    assert cleaned == [1]


def test_a_connector_that_does_not_stop_is_left_behind(caplog):
    """It holds up nobody for longer than a second; started anew, it is another object."""
    released = []

    async def stubborn(ctx):
        ctx.live("trades")
        release = asyncio.get_running_loop().create_future()
        released.append(release)
        while not release.done():
            try:
                await asyncio.shield(release)
            except asyncio.CancelledError:
                continue

    async def go():
        script = Script(stubborn, listening())
        async with listened(script, stale_s=4) as (clock, ear):
            await clock.advance(5)
            started = time.monotonic()
            while len(script.contexts) < 2 and time.monotonic() - started < 5:
                await asyncio.sleep(0.02)
                await clock.advance(1)
            waited = time.monotonic() - started
            script.ctx.emit("trades", [trade_at(clock)])
            assert ear.status == "live"
            released[0].set_result(None)
            await settle()
            assert script.connectors == 2
        return waited

    assert 0.5 < asyncio.run(go()) < 2
    assert "does not stop when cancelled" in caplog.text


@pytest.mark.parametrize("seed", range(5))
def test_a_pause_is_within_its_bounds(seed):
    """From half to all of a doubling that ends at the cap, also after very many failures."""
    backoff, chance = Backoff(first_s=1, cap_s=10), random.Random(seed)

    for attempt in (0, 1, 2, 3, 4, 100, 10_000):
        whole_s = min(10, 2 ** min(attempt, 5))
        assert whole_s / 2 <= backoff.pause_s(attempt, chance) <= whole_s
