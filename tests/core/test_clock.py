"""Clocks: the machine's, and one that a test moves."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bond_core.clock import NS, ManualClock, SystemClock, settle


@given(st.lists(st.integers(0, 50), max_size=20), st.lists(st.integers(0, 20), max_size=10))
def test_sleepers_wake_in_the_order_of_their_deadlines(delays, moves):
    """Each at its own time, whatever steps the clock is moved in, and those of one time in turn."""

    async def go():
        clock, woken = ManualClock(0), []

        async def sleeper(name, seconds):
            await clock.sleep(seconds)
            woken.append((clock.now_ns() // NS, name))

        tasks = [asyncio.create_task(sleeper(i, delay)) for i, delay in enumerate(delays)]
        for seconds in (*moves, 51):
            await clock.advance(seconds)
        await settle()
        assert all(task.done() for task in tasks)
        return woken

    woken = asyncio.run(go())

    assert [at for at, _ in woken] == sorted(delays)
    assert sorted(woken) == woken


def test_what_a_sleeper_sets_in_motion_runs_before_the_next_wakes():
    """The same moves give the same run."""

    async def go():
        clock, order = ManualClock(), []

        async def first():
            await clock.sleep(1)
            order.append("first")
            await asyncio.sleep(0)
            order.append("its consequence")

        async def second():
            await clock.sleep(2)
            order.append("second")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(first())
            tasks.create_task(second())
            await clock.advance(10)
        return order

    assert asyncio.run(go()) == ["first", "its consequence", "second"]


def test_a_cancelled_sleeper_is_passed_over():
    """It holds nobody up."""

    async def go():
        clock = ManualClock()
        gone, kept = asyncio.create_task(clock.sleep(1)), asyncio.create_task(clock.sleep(2))
        await settle()
        gone.cancel()
        await clock.advance(3)
        return gone.cancelled(), kept.done()

    assert asyncio.run(go()) == (True, True)


def test_a_manual_clock_never_goes_back():
    """A move into the past moves nothing; sleeping until a time that has passed returns at once."""

    async def go():
        clock = ManualClock(10 * NS)
        await clock.advance_to(5 * NS)
        await clock.sleep_until(3 * NS)
        await clock.sleep(-1)
        return clock.now_ns()

    assert asyncio.run(go()) == 10 * NS


def test_the_systems_clock_goes_on():
    """Both its times rise while it sleeps, and it never sleeps short."""

    async def go():
        clock = SystemClock()
        wall, steady = clock.now_ns(), clock.monotonic_ns()
        await clock.sleep(0.01)
        await clock.sleep(-1)
        await clock.sleep_until(wall + 20_000_000)
        return clock.now_ns() - wall, clock.monotonic_ns() - steady

    passed, steady = asyncio.run(go())

    assert passed >= 20_000_000
    assert steady >= 10_000_000
