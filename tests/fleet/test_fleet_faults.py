"""Faults between a fleet and its Redis, over a real server, and one check behind each.

What must hold after each: a window is in the log once, or the log says that it is lost; who
listens gets all of the log in order, the same bytes, and is told of the same holes.
"""

from __future__ import annotations

import asyncio
import json
import random
import time

import attrs
import pytest
from redis.asyncio import Redis

from bond_core.clock import SystemClock
from bond_core.log.offset import START
from bond_core.runtime.stages import Latency
from bond_server.redis_log.stopping import stopped
from bond_server.telemetry.loop_lag import watch_the_loop
from tests.fleet.fleets import Listener, a_fleet, create, owner_of, ticking, truth_of, until
from tests.fleet.proxy import BreakableProxy
from tests.log.servers import redis_server
from tests.server.journal import check

LEASE_S = 1.0


def over(monkeypatch, url, scenario, *parts, within_s=90, **options):
    """Run `scenario(redis, *fleets)` over these parts; the check is the scenario's."""

    async def run():
        async with (
            asyncio.timeout(within_s),
            Redis.from_url(url) as redis,
            ticking(monkeypatch, url, *parts, **({"lease_s": LEASE_S} | options)) as fleets,
        ):
            await scenario(redis, *fleets)

    asyncio.run(run())


async def all_is_well(broker, listener):
    """Check a listener against the log, once it has all of it; return what the log holds."""
    await listener.records(2)

    async def has_all():
        page = await broker.log.read(listener.stream_id, START, 1)
        return listener.got.last == str(page.top)

    await until(has_all)
    truth = await truth_of(broker.log, listener.stream_id)
    check(truth.written, [listener.got])
    return truth


async def runs(worker, stream_id):
    """Wait until a stream runs in a process."""

    async def does():
        return stream_id in worker.running

    await until(does)


async def vanish(fleet):
    """Have a process be no more, without a word."""
    for task in fleet._own:
        task.cancel()
    for stream in fleet.running.values():
        stream.task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [pytest.param("WRITE", marks=pytest.mark.faults), "ALL"])
def test_f7_a_redis_that_pauses(monkeypatch, redis_url, kind):
    """
    For longer than the lease nothing is answered: nobody writes twice, and what waited comes.
    """

    async def scenario(redis, first, second, broker):
        stream = await create(broker)
        async with Listener(broker, stream.stream_id) as listener:
            await listener.records(3)
            await redis.execute_command(
                "CLIENT", "PAUSE", 2500, "WRITE" if kind == "write" else "ALL"
            )
            await asyncio.sleep(2.5)
            truth = await all_is_well(broker, listener)
            assert truth.lost <= 20
            running = [each for each in (first, second) if stream.stream_id in each.running]

            async def one_owner():
                running[:] = [e for e in (first, second) if stream.stream_id in e.running]
                return len(running) == 1

            await until(one_owner)
            owner = await owner_of(redis, stream.stream_id)
            assert owner == running[0].worker.lease.worker

    over(monkeypatch, redis_url, scenario, "worker", "worker", "api,broker")


@pytest.mark.faults
def test_f7_a_redis_that_sleeps(monkeypatch, tmp_path):
    """
    As above, but the server does nothing at all, and connections time out.
    """

    async def run(port):
        url = f"redis://127.0.0.1:{port}/0"
        async with (
            asyncio.timeout(60),
            Redis.from_url(url, socket_timeout=20) as redis,
            ticking(monkeypatch, url, "worker", "api,broker", lease_s=LEASE_S) as (work, broker),
        ):
            stream = await create(broker)
            async with Listener(broker, stream.stream_id) as listener:
                await listener.records(3)
                await redis.execute_command("DEBUG", "SLEEP", 2)
                truth = await all_is_well(broker, listener)
                assert truth.lost == 0
                assert work.ails() is None

    with redis_server(tmp_path, "--enable-debug-command", "local") as (_, port):
        asyncio.run(run(port))


@pytest.mark.parametrize(
    "breaks",
    ["cut", *(pytest.param(how, marks=pytest.mark.faults) for how in ("late", "deaf", "dumb"))],
)
def test_f8_a_way_to_redis_that_breaks(monkeypatch, redis_url, redis_port, breaks):
    """
    The worker knows that its lease is over before anybody else may have its streams; the other
    takes them; healed, it is well again.
    """

    async def run():
        async with (
            asyncio.timeout(90),
            BreakableProxy(redis_port) as proxy,
            Redis.from_url(redis_url) as redis,
            ticking(monkeypatch, redis_url, "api,broker", lease_s=LEASE_S) as (broker,),
            a_fleet(proxy.url, "worker", lease_s=LEASE_S) as near,
        ):
            stream = await create(broker)
            async with (
                Listener(broker, stream.stream_id) as listener,
                a_fleet(redis_url, "worker", lease_s=LEASE_S) as far,
            ):
                await listener.records(3)
                await runs(near, stream.stream_id)

                async def is_known():
                    return len(near.worker.workers) == len(far.worker.workers) == 2

                await until(is_known)
                if breaks == "cut":
                    proxy.refuses = True
                    proxy.cut()
                elif breaks == "late":
                    proxy.delay_s = 0.1
                else:
                    proxy.swallows = {"up"} if breaks == "deaf" else {"down"}
                broken_s = time.monotonic()
                if breaks != "late":

                    async def is_fenced():
                        return near.ails() is not None

                    await until(is_fenced, within_s=LEASE_S)
                    fenced_s = time.monotonic() - broken_s

                    async def is_taken():
                        return stream.stream_id in far.running

                    await until(is_taken, within_s=LEASE_S + 1.5)
                    taken_s = time.monotonic() - broken_s
                    assert fenced_s < taken_s
                    assert await owner_of(redis, stream.stream_id) == far.worker.lease.worker
                await listener.records(10)
                proxy.refuses, proxy.delay_s = False, 0.0
                proxy.swallows.clear()

                async def is_well():
                    return near.ails() is None

                await until(is_well, within_s=12)
                truth = await all_is_well(broker, listener)
                assert truth.lost <= (0 if breaks == "late" else 15)

                async def is_dropped():
                    return sum(stream.stream_id in each.running for each in (near, far)) == 1

                await until(is_dropped)

    asyncio.run(run())


@pytest.mark.faults
def test_f9_a_failover_that_loses_what_was_acknowledged(monkeypatch, tmp_path):
    """
    A replica that lagged becomes the primary: no id comes twice, and what it never had is a hole
    for whoever reads it from then on.
    """

    async def run(primary, process, replica):
        async with (
            asyncio.timeout(60),
            BreakableProxy(primary) as proxy,
            Redis(port=replica) as second,
            ticking(monkeypatch, proxy.url, "worker", "api,broker", lease_s=LEASE_S) as fleets,
        ):
            work, broker = fleets
            await second.execute_command("REPLICAOF", "127.0.0.1", primary)
            stream = await create(broker)
            async with Listener(broker, stream.stream_id) as listener:
                await listener.records(5)

                async def has_it():
                    return await second.exists("bond:{fleet}:streams")

                await until(has_it)
                await second.execute_command("REPLICAOF", "NO", "ONE")  # and lags from here on
                await listener.records(5)
                before = [name for name, _ in listener.got.records]
                process.kill()
                proxy.target = replica
                proxy.cut()
                await listener.records(8)
                ids = [name for name, _ in listener.got.records]
                assert len(set(ids)) == len(ids)
                truth = await read_all(broker, stream.stream_id)
                gone = [name for name in before if name not in truth]
                assert gone, "the replica had everything: nothing was tried"
                assert [data for name, data in listener.got.records if name in truth] == [
                    truth[name][0] for name in ids if name in truth
                ]
                first_after = next(n for n in truth if n not in before)
                assert truth[first_after][1] >= before[-1], "the hole does not show"
                async with (
                    a_fleet(proxy.url, "broker", lease_s=LEASE_S) as fresh,
                    Listener(fresh, stream.stream_id) as late,
                ):
                    await late.records(len(truth))
                    told = late.got.gaps
                    assert all(any(a < name < b for a, b in told) for name in gone)
                assert work.ails() is None

    with (
        redis_server(tmp_path / "first") as (process, primary),
        redis_server(tmp_path / "second") as (_, replica),
    ):
        asyncio.run(run(primary, process, replica))


async def read_all(fleet, stream_id):
    """Return data and `prev` of each entry, by id."""
    page = await fleet.log.read(stream_id, START, 100_000)
    return {str(e.offset): (e.data, str(e.prev)) for e in page.entries}


def test_f5_a_redis_that_comes_back_empty(monkeypatch, tmp_path):
    """
    The worker puts its streams back; ids rise on, and the epoch is another one.
    """

    async def run(port):
        url = f"redis://127.0.0.1:{port}/0"
        async with (
            asyncio.timeout(60),
            Redis.from_url(url) as redis,
            ticking(monkeypatch, url, "worker", "api,broker", lease_s=LEASE_S) as (_, broker),
        ):
            stream = await create(broker)
            async with Listener(broker, stream.stream_id) as listener:
                await listener.records(5)
                page = await broker.log.read(stream.stream_id, START, 1)
                await redis.flushall()
                await listener.records(10)
                again = await broker.log.read(stream.stream_id, START, 1)
                assert page.epoch != again.epoch
                ids = [name for name, _ in listener.got.records]
                assert ids == sorted(set(ids))
                assert [s.stream_id for s in await broker.listed("local")] == [stream.stream_id]
                assert again.entries[0].prev > START, "who resumes from before sees no hole"

    with redis_server(tmp_path) as (_, port):
        asyncio.run(run(port))


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


def test_f25_a_redis_that_is_full(monkeypatch, redis_url):
    """
    What can't be written waits, and health says so; with room again it comes, and nothing is
    lost.
    """

    async def scenario(redis, work, broker):
        stream = await create(broker)
        async with Listener(broker, stream.stream_id) as listener:
            await listener.records(5)
            await redis.config_set("maxmemory", "1mb")

            async def is_told():
                return work.ails() is not None

            await until(is_told)
            await asyncio.sleep(LEASE_S)
            await redis.config_set("maxmemory", "0")

            async def is_well():
                return work.ails() is None and broker.ails() is None

            await until(is_well)
            truth = await all_is_well(broker, listener)
            assert truth.lost == 0

    over(monkeypatch, redis_url, scenario, "worker", "api,broker")


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
                        assert time.monotonic() - gone_s < LEASE_S + 1
                        await listener.records(3)
            truth = await all_is_well_in_the_end(broker, listener)
            assert 2 <= truth.lost <= 40
            assert "takeover" in [notice["code"] for notice in listener.notices]

    over(monkeypatch, redis_url, scenario, "api,broker")


async def all_is_well_in_the_end(broker, listener):
    """Check a listener whose stream nobody runs any more."""

    async def has_all():
        page = await broker.log.read(listener.stream_id, START, 1)
        return listener.got.last == str(page.top)

    await until(has_all)
    truth = await truth_of(broker.log, listener.stream_id)
    check(truth.written, [listener.got])
    return truth


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

                await until(is_taken, within_s=LEASE_S + 1)
                await listener.records(5)
                truth = await all_is_well(broker, listener)
                assert truth.lost == 0
                assert listener.got.gaps == []
                assert listener.notices == []
                partial = [json.loads(data)["partial"] for data in truth.written.data.values()]
                assert partial == [True] + [False] * (len(partial) - 1)

    over(monkeypatch, redis_url, scenario, "api,broker")
