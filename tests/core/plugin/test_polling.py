"""A connector that asks again and again: the part that its author doesn't write."""

from __future__ import annotations

import asyncio
import random

import attrs

from bond_core.clock import NS, ManualClock, settle
from bond_core.errors import Retryable
from bond_core.plugin import Capabilities, Channel, ConnectorSpec, PollingConnector
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.runtime.simulators import Simulators
from bond_core.testing.builders import START_NS, a_trade
from bond_core.testing.scripted_connector import RecordingListener


class Polls(PollingConnector):
    """Answers what the test's list says, and notes when it was asked for what."""

    every_s = 4.0

    async def poll(self, ctx, channel, symbols):
        asked, answers = self.config
        asked.append(((ctx.clock.now_ns() - START_NS) / NS, channel, list(symbols)))
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        await ctx.clock.sleep(1)
        return answer


SPEC = ConnectorSpec(
    name="polls", factory=f"{__name__}:Polls", summary="s", polls_every_s=4.0,
    channels=(Channel(name="trades", kind="trade", fields=(), stale_s=13),),
    capabilities=Capabilities(mode="poll"),
)  # fmt: skip


async def polled(clock, answers, seconds, *symbols):
    """Poll for so long; return what was asked, and what one listener heard."""
    asked, ear = [], RecordingListener()
    async with (
        Simulators(clock=clock) as simulators,
        Feeds(clock=clock, chance=random.Random(1), simulators=simulators) as feeds,
    ):
        origin = Origin(spec=SPEC, config=(asked, answers), name="polls")
        for symbol in symbols or ("BTC/USDT",):
            await feeds.subscribe(origin, "trades", symbol, ear)
        await settle()
        for _ in range(seconds):
            await clock.advance(1)
        return asked, ear


def test_everything_wanted_is_asked_for_at_an_even_pace():
    """From start to start, however long an answer takes; each poll is a heartbeat."""
    answers = [[a_trade()]]

    asked, ear = asyncio.run(polled(ManualClock(START_NS), answers, 12, "ETH/USDT", "BTC/USDT"))

    assert [at for at, _, _ in asked] == [0, 4, 8, 12]
    assert {tuple(symbols) for _, _, symbols in asked} == {("BTC/USDT", "ETH/USDT")}
    assert (ear.status, len(ear.events)) == ("live", 1)
    assert len(ear.heartbeats) == 6


def test_a_poll_that_fails_is_repeated():
    """After a pause the same object polls again; there is no gap to tell."""
    answers = [[], Retryable("away", retry_after_s=3), [a_trade()]]

    asked, ear = asyncio.run(polled(ManualClock(START_NS), answers, 20))

    assert [at for at, _, _ in asked][:3] == [0, 4, 7]
    assert [status for status, _ in ear.statuses] == ["starting", "live", "reconnecting", "live"]
    assert ear.gaps == []


def test_a_clock_that_is_set_back_stalls_no_polling():
    """The pace is kept by the clock that never steps back."""

    class SetBack(ManualClock):
        def now_ns(self):
            return super().now_ns() - 3600 * NS * (super().now_ns() > START_NS + 2 * NS)

        def monotonic_ns(self):
            return super().now_ns()

        async def sleep(self, seconds):
            await super().sleep_until(super().now_ns() + round(seconds * NS))

        async def advance(self, seconds):
            await self.advance_to(super().now_ns() + round(seconds * NS))

    asked, ear = asyncio.run(polled(SetBack(START_NS), [], 12))

    assert len(asked) == 4
    assert ear.status == "live"


def test_a_setting_for_the_pace_is_kept():
    """A connector whose settings have `every_s` polls at what a source says."""

    @attrs.frozen
    class Config:
        every_s: float

    assert Polls(Config(every_s=1.0)).every_s == 1.0
    assert Polls(([], [])).every_s == 4.0
