"""Faults between a fleet and its Redis, over a real server, and one check behind each.

What must hold after each: a window is in the log once, or the log says that it is lost; who
listens gets all of the log in order, the same bytes, and is told of the same holes.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from bond_core.log.offset import START
from tests.fleet.fleets import Listener, a_fleet, create, hurry, owner_of, ticking, until
from tests.fleet.proxy import BreakableProxy
from tests.fleet.scenarios import LEASE_S, all_is_well, over, runs
from tests.log.servers import redis_server


@pytest.mark.parametrize("kind", [pytest.param("WRITE", marks=pytest.mark.faults), "ALL"])
def test_f7_a_redis_that_pauses(monkeypatch, redis_url, kind):
    """
    For longer than the lease nothing is answered: nobody writes twice, and what waited comes.
    """

    async def scenario(redis, first, second, broker):
        stream = await create(broker)
        async with Listener(broker, stream.stream_id) as listener:
            await listener.records(3)
            await redis.execute_command("CLIENT", "PAUSE", 2500, kind)
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

                    await until(is_fenced, within_s=LEASE_S * hurry())
                    fenced_s = time.monotonic() - broken_s

                    async def is_taken():
                        return stream.stream_id in far.running

                    await until(is_taken, within_s=(LEASE_S + 1.5) * hurry())
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
