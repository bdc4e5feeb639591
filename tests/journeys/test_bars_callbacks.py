"""Callbacks of a stream manager that end badly, late, or never."""

from __future__ import annotations

import asyncio

from bond_core.clock import NS
from bond_core.testing.virtual_clock import VirtualClock
from ekko.bars import EventType
from ekko.bars.inbox import MOST_TOLD, Inbox
from tests.journeys.spoken_venue import T0, listening, say_at, trade, until

QUIET = {"stale_threshold_seconds": 3600}


def run(journey):
    """Run a journey, which gets a clock; not for ever."""

    async def bounded():
        async with asyncio.timeout(30):
            return await journey(VirtualClock(T0))

    return asyncio.run(bounded())


async def waits_for_a_cancelled_task(_):
    """Fail as code does that waits for what somebody else has cancelled."""
    task = asyncio.create_task(asyncio.sleep(9))
    task.cancel()
    await task


def test_a_callback_that_waits_for_a_cancelled_task_has_failed_and_ends_nothing():
    """
    Its CancelledError is not the manager's: it is counted, and the next ticks are told.
    """
    told = []

    async def journey(clock):
        heard = {"on_tick": waits_for_a_cancelled_task}
        async with listening(clock=clock, callbacks=heard, **QUIET) as (manager, venue):
            manager.on_tick(told.append)
            await say_at(venue, clock, trade(61), trade(62))
            await clock.advance_to(T0 + 65 * NS)
            return manager.get_metrics(), manager.get_health()

    metrics, health = run(journey)

    assert len(told) == 2
    assert metrics["callback_errors"] == {"tick": 2}
    assert "CancelledError" in health["problems"][0]


def test_nobody_is_called_once_a_callback_has_stopped_the_manager():
    """
    Neither the next callback of that tick, nor anyone for the ticks that wait.
    """
    told, others = [], []

    async def journey(clock):
        async with listening(clock=clock, **QUIET) as (manager, venue):

            async def stops(event):
                told.append(event.data.id)
                await manager.stop()

            manager.on_tick(stops)
            manager.on_tick(others.append)
            manager.on_bar_complete(others.append)
            await clock.advance_to(T0 + 61 * NS)
            venue.say(trade(61, id="1"), trade(61, id="2"), trade(61, id="3"))
            await until(lambda: told)
            await clock.advance_to(T0 + 125 * NS)

    run(journey)

    assert told == ["1"]
    assert others == []


def test_a_callback_that_never_returns_is_named():
    """
    Health says which one, and for how long; and of health only the newest waits.
    """
    hung, told = asyncio.Event(), []

    async def hangs(_):
        await hung.wait()

    async def journey(clock):
        heard = {"on_bar_complete": hangs, "on_health": told.append}
        async with listening(clock=clock, callbacks=heard, **QUIET) as (manager, venue):
            await say_at(venue, clock, trade(61))
            await clock.advance_to(T0 + 125 * NS)
            told.clear()
            await clock.advance(40)
            problems = manager.get_health()["problems"]
            hung.set()
            await until(lambda: told)
            return problems, list(told), manager.get_health()["problems"]

    problems, healths, after = run(journey)

    assert problems == ["on_bar_complete has run for 43 s"]
    assert len(healths) == 1
    assert healths[0].data["problems"][0].startswith("on_bar_complete has run for ")
    assert after == []


def test_ten_thousand_bars_may_wait_and_no_more(caplog):
    """
    Then the oldest go: counted, and warned of once; order stays that of hearing.
    """
    inbox = Inbox(10)
    inbox.put(EventType.HEALTH, "old")
    for number in range(MOST_TOLD + 2):
        inbox.put(EventType.BAR_COMPLETE, number)
    inbox.put(EventType.HEALTH, "new")
    inbox.put(EventType.BAR_COMPLETE, "last")

    taken = [item.argument for item in iter(inbox.take, None)]

    assert (len(taken), inbox.told_dropped) == (MOST_TOLD + 1, 3)
    assert (taken[0], taken[-2:]) == (3, ["new", "last"])
    assert [record.message for record in caplog.records] == [
        "callbacks are too slow: bars are dropped; get_metrics counts them"
    ]
