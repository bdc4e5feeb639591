"""A fleet whose Redis is killed, loses all, cuts listeners off, or has no room on its disk."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time

import pytest
from redis.asyncio import Redis

from bond_core.log.offset import START
from tests.fleet.fleets import Listener, create, hurry, ticking, until
from tests.fleet.scenarios import LEASE_S, all_is_well, over
from tests.log.servers import free_ports, redis_server

ROUNDS = int(os.environ.get("BOND_FAULT_ROUNDS", "2"))
LONG = pytest.mark.faults
KEPT = ("--appendonly", "yes", "--appendfsync", "everysec")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


async def is_well(*fleets):
    """Wait until no process of a fleet complains."""

    async def are():
        return all(fleet.ails() is None for fleet in fleets)

    await until(are)


@pytest.mark.parametrize(
    ("away_s", "times"), [(1.5, 1), pytest.param(5, ROUNDS, marks=LONG)], ids=["once", "long"]
)
def test_f4_a_redis_that_is_killed_and_comes_back(monkeypatch, tmp_path, away_s, times):
    """
    With its file: no window is lost, listeners stay, and records flow within 3 s.
    """
    took_s = []

    async def run():
        port = free_ports(1)[0]
        url = f"redis://127.0.0.1:{port}/0"
        server = redis_server(tmp_path, *KEPT, port=port)
        process, _ = server.__enter__()
        try:
            async with ticking(monkeypatch, url, "worker", "api,broker", lease_s=LEASE_S) as fleets:
                work, broker = fleets
                stream = await create(broker)
                async with Listener(broker, stream.stream_id) as listener:
                    for _ in range(times):
                        await listener.records(5)
                        epoch = (await broker.log.read(stream.stream_id, START, 1)).epoch
                        process.kill()
                        await asyncio.to_thread(process.wait)
                        await asyncio.sleep(away_s)
                        assert broker.ails() is not None
                        server = redis_server(tmp_path, *KEPT, port=port)
                        process, _ = await asyncio.to_thread(server.__enter__)
                        back_s = time.monotonic()
                        await listener.records(round(away_s / 0.2) + 2)
                        took_s.append(time.monotonic() - back_s)
                        await is_well(work, broker)
                    truth = await all_is_well(broker, listener)
                    again = await broker.log.read(stream.stream_id, START, 1)
                    assert again.epoch == epoch
                    assert truth.lost == 0
                    assert listener.got.gaps == []
        finally:
            server.__exit__(None, None, None)

    asyncio.run(run())
    assert max(took_s) <= 3 * hurry()
    sys.stdout.write(f"\nF4: records flow within {max(took_s):.2f} s after {times} restarts\n")


@LONG
def test_f5_a_redis_that_is_killed_and_comes_back_empty(monkeypatch, tmp_path):
    """
    Without a file: the epoch is another one, ids rise on, and streams are owned again.
    """
    took_s = []

    async def run():
        port = free_ports(1)[0]
        url = f"redis://127.0.0.1:{port}/0"
        server = redis_server(tmp_path / "0", port=port)
        process, _ = server.__enter__()
        try:
            async with ticking(monkeypatch, url, "worker", "api,broker", lease_s=LEASE_S) as fleets:
                work, broker = fleets
                stream = await create(broker)
                async with Listener(broker, stream.stream_id) as listener:
                    for n in range(ROUNDS):
                        await listener.records(5)
                        before = (await broker.log.read(stream.stream_id, START, 1)).epoch
                        process.kill()
                        await asyncio.to_thread(process.wait)
                        server = redis_server(tmp_path / str(n + 1), port=port)
                        process, _ = await asyncio.to_thread(server.__enter__)
                        back_s = time.monotonic()
                        await listener.records(5)
                        took_s.append(time.monotonic() - back_s)
                        page = await broker.log.read(stream.stream_id, START, 10_000)
                        assert page.epoch != before
                        assert page.entries[0].prev > START, "who resumes from before sees no hole"
                    ids = [name for name, _ in listener.got.records]
                    assert ids == sorted(set(ids))
                    await is_well(work, broker)
        finally:
            server.__exit__(None, None, None)

    asyncio.run(run())
    assert max(took_s) <= LEASE_S + 10
    sys.stdout.write(f"\nF5: records flow within {max(took_s):.2f} s of an empty Redis\n")


@pytest.mark.parametrize(
    ("every_s", "times"), [(0.5, 4), pytest.param(2, 10 * ROUNDS, marks=LONG)], ids=["few", "long"]
)
def test_f6_listeners_that_are_cut_off(monkeypatch, redis_url, every_s, times):
    """
    What tells of appends is cut again and again: nothing is missing, and nothing late by 5 s.
    """

    async def scenario(redis, work, broker):
        stream = await create(broker)
        async with Listener(broker, stream.stream_id) as listener:
            for _ in range(times):
                await listener.records(1)
                assert await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") > 0
                await asyncio.sleep(every_s)
            truth = await all_is_well(broker, listener)
            assert truth.lost == 0
            assert listener.got.gaps == []
            late_s = max(listener.got.lags_s[1:])
            assert late_s < 5
            sys.stdout.write(f"\nF6: cut {times} times, at most {late_s:.2f} s late\n")

    over(monkeypatch, redis_url, scenario, "worker", "api,broker", within_s=60 + times * every_s)


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process: Linux only")
def test_f25_a_disk_that_is_full(monkeypatch, tmp_path):
    """
    Redis refuses what it can't keep: health says so, records wait, and with room again all of
    them come, without a restart.
    """
    port = free_ports(1)[0]
    url = f"redis://127.0.0.1:{port}/0"
    options = (*KEPT, "--auto-aof-rewrite-percentage", "0")

    async def go(process):
        async with (
            Redis.from_url(url) as redis,
            ticking(monkeypatch, url, "worker", "api,broker", lease_s=LEASE_S) as (work, broker),
        ):
            await redis.set("filler", b"x" * 140_000)
            stream = await create(broker)
            async with Listener(broker, stream.stream_id) as listener:
                await listener.records(3)
                limit, unlimited = resource.RLIMIT_FSIZE, resource.RLIM_INFINITY
                resource.prlimit(process.pid, limit, (150_000, unlimited))

                async def is_told():
                    return work.ails() is not None

                await until(is_told, within_s=20)
                await asyncio.sleep(LEASE_S)
                resource.prlimit(process.pid, limit, (unlimited, unlimited))
                await is_well(work, broker)
                truth = await all_is_well(broker, listener)
                assert truth.lost == 0

    with redis_server(tmp_path, *options, port=port) as (process, _):
        asyncio.run(go(process))
        assert process.poll() is None
