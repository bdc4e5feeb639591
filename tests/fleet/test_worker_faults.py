"""Workers whose clock jumps, whose loop blocks, or that are gone, over a real Redis."""

from __future__ import annotations

import asyncio
import json
import random
import time

import attrs
import pytest
from redis.asyncio import Redis

from bond_core.clock import SystemClock
from bond_core.runtime.stages import Latency
from bond_server.redis_log.stopping import stopped
from bond_server.telemetry.loop_lag import watch_the_loop
from tests.fleet.fleets import Listener, a_fleet, create, hurry, owner_of, ticking, until
from tests.fleet.scenarios import LEASE_S, all_is_well, all_is_well_in_the_end, over, runs, vanish


@attrs.define
class SkewedClock(SystemClock):
    """A wall clock that is off by so much."""

    off_ns: int = 0

    def now_ns(self):
        return super().now_ns() + self.off_ns

    async def sleep_until(self, at_ns):
        while (left_ns := at_ns - self.now_ns()) > 0:  # noqa: ASYNC110 -- it may jump meanwhile
            await asyncio.sleep(min(left_ns / 1e9, 0.05))


@pytest.mark.parametrize("hours", [1, pytest.param(-1, marks=pytest.mark.faults)])
def test_f17_a_clock_that_jumps(monkeypatch, redis_url, hours):
    """
    The worker whose clock is off goes; no id is of another time, and none falls; set right, it
    takes part again.
    """
    clock = SkewedClock()

    async def run():
        async with (
            asyncio.timeout(60),
            Redis.from_url(redis_url),
            ticking(monkeypatch, redis_url, "api,broker", lease_s=LEASE_S) as (broker,),
            a_fleet(redis_url, "worker", lease_s=LEASE_S, clock=clock) as odd,
        ):
            stream = await create(broker)
            async with (
                Listener(broker, stream.stream_id) as listener,
                a_fleet(redis_url, "worker", lease_s=LEASE_S) as right,
            ):
                await listener.records(5)
                await runs(odd, stream.stream_id)
                clock.off_ns = hours * 3600 * 10**9

                async def is_said():
                    return "clock" in (odd.ails() or "")

                await until(is_said)

                async def is_moved():
                    return stream.stream_id in right.running and not odd.running

                await until(is_moved)
                await listener.records(5)
                clock.off_ns = 0

                async def is_well():
                    return odd.ails() is None

                await until(is_well)
                truth = await all_is_well(broker, listener)
                now_ms = time.time_ns() // 1_000_000
                assert max(truth.ends_ms) < now_ms + 1_000
                assert min(truth.ends_ms) > now_ms - 60_000
                assert truth.lost < 25

    asyncio.run(run())


@pytest.mark.faults
@pytest.mark.parametrize("lease_s", [10.0, 1.0], ids=["within the lease", "beyond it"])
def test_f27_an_event_loop_that_blocks(monkeypatch, redis_url, lease_s):
    """
    Everything stands still for 3 s: what was due comes after it, once, and the lag is measured.
    """
    lag = Latency()

    async def scenario(redis, work, broker):
        stream = await create(broker)
        async with Listener(broker, stream.stream_id) as listener:
            watching = asyncio.create_task(watch_the_loop(work.clock, lag))
            await listener.records(3)
            time.sleep(3)  # noqa: ASYNC251 -- that is the fault
            truth = await all_is_well(broker, listener)
            watching.cancel()
            assert lag.sum_ns > 2.5e9
            assert truth.lost == 0
            assert listener.notices == []
            assert work.ails() is None

    over(monkeypatch, redis_url, scenario, "worker", "api,broker", lease_s=lease_s)


def test_f1_an_owner_that_is_gone_again_and_again(monkeypatch, redis_url):
    """
    Each time another takes over within lease + 1 s, what was lost is told, the next is partial.
    """
    chance = random.Random(1)

    async def scenario(redis, broker):
        stream = await create(broker)
        async with Listener(broker, stream.stream_id) as listener:
            for _ in range(2):
                async with a_fleet(redis_url, "worker", lease_s=LEASE_S) as first:
                    await runs(first, stream.stream_id)
                    async with a_fleet(redis_url, "worker", lease_s=LEASE_S) as second:
                        await listener.records(3)
                        await asyncio.sleep(chance.uniform(0, 0.4))
                        await vanish(first)
                        gone_s = time.monotonic()

                        async def is_taken(second=second):
                            return stream.stream_id in second.running

                        await until(is_taken)
                        assert time.monotonic() - gone_s < (LEASE_S + 1) * hurry()
                        await listener.records(3)
            truth = await all_is_well_in_the_end(broker, listener)
            assert 2 <= truth.lost <= 40
            assert "takeover" in [notice["code"] for notice in listener.notices]

    over(monkeypatch, redis_url, scenario, "api,broker")


@pytest.mark.parametrize("ends", ["killed", "told to end"])
def test_a_worker_that_stands_by_loses_no_window(monkeypatch, redis_url, ends):
    """
    The next in line closes every window along with the owner: what that one leaves, it has.
    """

    async def scenario(redis, broker):
        stream = await create(broker)
        async with (
            Listener(broker, stream.stream_id) as listener,
            a_fleet(redis_url, "worker", lease_s=LEASE_S, is_standby=True) as first,
        ):
            await runs(first, stream.stream_id)
            async with a_fleet(redis_url, "worker", lease_s=LEASE_S, is_standby=True) as second:

                async def is_beside():
                    return stream.stream_id in first.running and stream.stream_id in second.running

                await until(is_beside)
                owner = await owner_of(redis, stream.stream_id)
                one, other = (
                    (first, second) if owner == first.worker.lease.worker else (second, first)
                )
                await listener.records(3)
                if ends == "killed":
                    await vanish(one)
                else:
                    await stopped(*one._own)
                    await one.worker.hand_over()

                async def is_taken():
                    return await owner_of(redis, stream.stream_id) == other.worker.lease.worker

                await until(is_taken, within_s=(LEASE_S + 1) * hurry())
                await listener.records(5)
                truth = await all_is_well(broker, listener)
                assert truth.lost == 0
                assert listener.got.gaps == []
                assert listener.notices == []
                partial = [json.loads(data)["partial"] for data in truth.written.data.values()]
                assert partial == [True] + [False] * (len(partial) - 1)

    over(monkeypatch, redis_url, scenario, "api,broker")
