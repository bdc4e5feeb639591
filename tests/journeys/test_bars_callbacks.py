"""Callbacks of a stream manager that end badly, late, or never."""

from __future__ import annotations

import asyncio

from bond_core.clock import NS
from bond_core.testing.virtual_clock import VirtualClock
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
