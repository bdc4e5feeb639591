"""Feeds that streams share: one subscription upstream, whoever wants it."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.clock import ManualClock, settle
from bond_core.errors import Fatal, NotInstalledError
from bond_core.plugin import Secret, Subscription
from bond_core.runtime.feeds import LINGER_S, Feeds, Origin
from bond_core.runtime.simulators import Simulators
from bond_core.runtime.wanted import Wanted
from bond_core.testing.builders import START_NS, a_trade
from bond_core.testing.scripted_connector import (
    RecordingListener,
    Script,
    ScriptConfig,
    failing,
    listening,
    scripted_spec,
)

BTC, ETH = "BTC/USDT", "ETH/USDT"


@asynccontextmanager
async def shared():
    """Yield a clock and feeds, and see that no task is left of them."""
    before, clock = asyncio.all_tasks(), ManualClock(START_NS)
    async with (
        Simulators(clock=clock) as simulators,
        Feeds(clock=clock, chance=random.Random(1), simulators=simulators) as feeds,
    ):
        yield clock, feeds
    assert asyncio.all_tasks() == before


def origin_of(script, **changes):
    """Return where a script's events come from."""
    plain = {"spec": scripted_spec(), "config": ScriptConfig(script), "name": "scripted"}
    return Origin(**{**plain, **changes})


def test_two_who_want_the_same_share_one_subscription():
    """
    Both hear everything from when they came; the last one to leave closes it upstream, not the
    first.
    """

    async def go():
        script = Script(listening())
        one, other = RecordingListener(), RecordingListener()
        async with shared() as (clock, feeds):
            feed = await feeds.subscribe(origin_of(script), "trades", BTC, one)
            await settle()
            script.ctx.emit("trades", [a_trade(id="1")])
            again = await feeds.subscribe(origin_of(script), "trades", BTC, other)
            script.ctx.emit("trades", [a_trade(id="2"), a_trade(id="1")])
            assert feed is again
            assert [event.id for event in one.events] == ["1", "2"]
            assert [event.id for event in other.events] == ["2"]
            assert (one.duplicates, other.duplicates) == (1, 1)
            assert other.statuses == [("live", None)]

            feeds.unsubscribe(origin_of(script), feed, one)
            script.ctx.emit("trades", [a_trade(id="3")])
            assert (len(one.events), len(other.events)) == (2, 2)
            assert script.ctx.wanted.current() == {Subscription("trades", BTC)}
            feeds.unsubscribe(origin_of(script), feed, other)
            feeds.unsubscribe(origin_of(script), feed, other)
            assert script.ctx.wanted.current() == frozenset()
            assert (len(script.contexts), script.live) == (1, 1)
            await clock.advance(LINGER_S + 1)
            assert (script.live, feeds.supervisors()) == (0, [])

    asyncio.run(go())


def test_a_connection_lingers_for_who_comes_back():
    """Within a few seconds it is taken up again, without a new connection."""

    async def go():
        script, ear = Script(listening()), RecordingListener()
        origin = origin_of(script, spec=scripted_spec(stale_s=None))
        async with shared() as (clock, feeds):
            for _ in range(5):
                feed = await feeds.subscribe(origin, "trades", BTC, ear)
                await clock.advance(1)
                feeds.unsubscribe(origin, feed, ear)
                await clock.advance(LINGER_S * 0.6)
            await feeds.subscribe(origin, "trades", BTC, ear)
            await clock.advance(10 * LINGER_S)
            return len(script.contexts), script.live

    assert asyncio.run(go()) == (1, 1)


def test_one_connector_serves_all_its_symbols_and_channels():
    """Subscriptions of one origin are one connector's, told to it as they come and go."""

    async def go():
        script, ear = Script(listening()), RecordingListener()
        async with shared() as (_, feeds):
            for channel in ("trades", "quotes"):
                for symbol in (BTC, ETH):
                    await feeds.subscribe(origin_of(script), channel, symbol, ear)
            await settle()
            assert len(script.contexts) == 1
            assert ear.status == "live"
            return len(script.ctx.wanted.current())

    assert asyncio.run(go()) == 4


def test_a_failed_source_that_is_asked_for_again_starts_again():
    """Somebody may have mended it meanwhile; who was there before hears again too."""

    async def go():
        script = Script(failing(Fatal("no key")), listening(a_trade()))
        one, other = RecordingListener(), RecordingListener()
        async with shared() as (clock, feeds):
            await feeds.subscribe(origin_of(script), "trades", BTC, one)
            await clock.advance(1_000)
            assert (one.status, one.reason, len(script.contexts)) == ("failed", "no key", 1)
            await feeds.subscribe(origin_of(script), "trades", BTC, other)
            await settle()
            assert (one.status, other.status, len(script.contexts)) == ("live", "live", 2)
            assert (len(one.events), len(other.events)) == (1, 1)

    asyncio.run(go())


def test_leaving_everything_cancels_what_lingers():
    """On the way out nothing waits for time to pass, and late leavers do no harm."""

    async def go():
        script, ear = Script(listening()), RecordingListener()
        async with shared() as (_, feeds):
            feed = await feeds.subscribe(origin_of(script), "trades", BTC, ear)
            other = await feeds.subscribe(origin_of(script), "trades", ETH, ear)
            await settle()
            feeds.unsubscribe(origin_of(script), feed, ear)
        feeds.unsubscribe(origin_of(script), other, ear)
        return script.live

    assert asyncio.run(go()) == 0


def test_what_cannot_be_simulated_is_refused():
    """A connector without a simulator is not quietly run for real."""

    async def go():
        async with shared() as (_, feeds):
            origin = origin_of(Script(listening()), simulated=True)
            await feeds.subscribe(origin, "trades", BTC, RecordingListener())

    with pytest.raises(NotInstalledError, match="has no simulator"):
        asyncio.run(go())


class Simulator:
    """A simulator that counts."""

    started, stopped = 0, 0
    url = "http://127.0.0.1:1"

    def __init__(self, *, clock, seed, options):
        self.options = options

    async def __aenter__(self):
        await asyncio.sleep(0)
        Simulator.started += 1
        return self

    async def __aexit__(self, *exc):
        Simulator.stopped += 1


def test_a_simulator_is_started_once_for_all():
    """Its address is what connectors get; simulated and real are never one connection."""
    spec = attrs.evolve(scripted_spec(), simulator=f"{__name__}:Simulator")

    async def go():
        async with shared() as (_, feeds):
            script = Script(listening())
            plain = origin_of(script, spec=spec)
            made_up = origin_of(script, spec=spec, simulated=True)
            assert plain != made_up
            await asyncio.gather(
                *(
                    feeds.subscribe(origin, channel, BTC, RecordingListener())
                    for origin in (plain, made_up)
                    for channel in ("trades", "quotes")
                )
            )
            await settle()
            return {ctx.simulated_at for ctx in script.contexts}

    assert asyncio.run(go()) == {None, Simulator.url}
    assert (Simulator.started, Simulator.stopped) == (1, 1)


def test_a_simulator_that_is_not_there_says_what_to_install():
    """The package that would bring it is named."""
    spec = attrs.evolve(scripted_spec(), simulator="bond_nowhere.simulator:Simulator")

    async def go():
        async with Simulators(clock=ManualClock()) as simulators:
            await simulators.running(spec)

    with pytest.raises(NotInstalledError, match="needs bond-nowhere, which isn't installed"):
        asyncio.run(go())


# What makes an origin the same


@attrs.define
class Odd:
    """Settings that Python can't hash."""

    mapping: dict
    names: list
    key: Secret
    flag: object = 1


def odd(**changes):
    """Return an origin with such settings."""
    plain = {"mapping": {"a": [1], "b": 2}, "names": ["x"], "key": Secret("one")}
    return Origin(spec=scripted_spec(), config=Odd(**{**plain, **changes}), name="n")


def test_equal_settings_are_one_origin_whatever_they_are_made_of():
    """Dicts and lists too, and whatever the order of keys."""
    assert odd() == odd(mapping={"b": 2, "a": [1]})
    assert hash(odd()) == hash(odd(mapping={"b": 2, "a": [1]}))


@pytest.mark.parametrize(
    "changes",
    [{"mapping": {"a": [2], "b": 2}}, {"names": []}, {"key": Secret("two")}, {"flag": True}],
)
def test_other_settings_are_another_origin(changes):
    """Above all another key: nobody hears what somebody else's key pays for."""
    assert odd() != odd(**changes)


# What is wanted of a connector


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=30))
def test_changes_within_one_turn_are_one(changes):
    """A waiter wakes once for all of them, and not at all where they come to nothing."""

    async def go():
        wanted, woken = Wanted(), []

        async def follow():
            known = wanted.current()
            while True:
                known = await wanted.changed(known)
                woken.append(known)

        following = asyncio.create_task(follow())
        await settle()
        model = set()
        for add, number in changes:
            subscription = Subscription("trades", str(number))
            (wanted.add if add else wanted.discard)(subscription)
            (model.add if add else model.discard)(subscription)
        await settle()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return woken, model

    woken, model = asyncio.run(go())

    assert woken == ([model] if model else [])


def test_a_change_that_was_missed_is_seen_at_once():
    """A waiter that knows an older state does not wait."""

    async def go():
        wanted = Wanted()
        wanted.add(Subscription("trades", BTC))
        return await asyncio.wait_for(wanted.changed(frozenset()), 1)

    assert asyncio.run(go()) == {Subscription("trades", BTC)}


def test_what_is_wanted_again_within_a_turn_is_seen_to_go_and_come():
    """Who knew it is shown it gone, then there; who comes anew is shown it at once."""

    async def go():
        wanted, seen = Wanted(), []
        one, other = Subscription("trades", BTC), Subscription("trades", ETH)
        wanted.add(one)

        async def follow():
            known = frozenset()
            while True:
                known = await wanted.changed(known)
                seen.append(known)

        following = [asyncio.create_task(follow()) for _ in range(2)]
        await settle()
        wanted.discard(one)
        wanted.add(one)
        wanted.add(other)
        await settle()
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        at_once = await asyncio.wait_for(wanted.changed(frozenset()), 1)
        return seen, at_once, {one}, {other}

    seen, at_once, one, other = asyncio.run(go())
    assert sorted(seen, key=len) == [one, one, other, other, one | other, one | other]
    assert at_once == one | other


async def confirm_what_is_new(ctx):
    """Confirm subscriptions as real sources do: once, when they were asked for."""
    known = frozenset()
    while True:
        wanted = await ctx.wanted.changed(known)
        for new in sorted(wanted - known):
            ctx.live(new.channel, new.symbol)
        known = wanted


def test_who_joins_in_the_turn_in_which_the_last_one_leaves_is_served():
    """The feed that it gets is new, and the source is asked for it anew: it comes to be live."""

    async def go():
        script, first, second = (
            Script(confirm_what_is_new),
            RecordingListener(),
            RecordingListener(),
        )
        async with shared() as (_, feeds):
            feed = await feeds.subscribe(origin_of(script), "trades", BTC, first)
            await settle()
            feeds.unsubscribe(origin_of(script), feed, first)
            await feeds.subscribe(origin_of(script), "trades", BTC, second)
            await settle()
            return first.status, second.statuses

    assert asyncio.run(go()) == ("live", [("starting", None), ("live", None)])
