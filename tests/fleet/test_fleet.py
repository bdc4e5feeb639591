"""Streams that several processes share: created once, run once, heard everywhere."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from bond_core.errors import LimitError
from bond_server.fleet import tending
from bond_server.redis_log.stopping import stopped
from tests.fleet.fleets import (
    Listener,
    a_fleet,
    create,
    hurry,
    owner_of,
    ticking,
    truth_of,
    until,
)
from tests.fleet.scenarios import all_is_well, runs
from tests.server.journal import check


def over(monkeypatch, url, scenario, *parts, **options):
    """Run `scenario(redis, *fleets)` over these parts."""

    async def run():
        async with (
            asyncio.timeout(60),
            Redis.from_url(url) as redis,
            ticking(monkeypatch, url, *parts, **options) as fleets,
        ):
            await scenario(redis, *fleets)

    asyncio.run(run())


def test_a_stream_is_made_here_run_there_and_heard_elsewhere(monkeypatch, redis_url):
    """
    What an api registers a worker runs and a broker serves; a deletion ends it everywhere.
    """

    async def scenario(redis, api, work, broker):
        stream = await create(api)
        async with Listener(broker, stream.stream_id) as listener:
            await listener.records(5)
            assert list(work.running) == [stream.stream_id]
            assert api.running == broker.running == {}

            async def is_reported():
                return (await api.look(stream.stream_id)).report.get("worker")

            await until(is_reported)
            (listed,) = await broker.listed("local")
            assert listed.metrics()["msgs_out"] >= 0
            truth = await truth_of(api.log, stream.stream_id)
            assert truth.lost == 0
            check(truth.written, [])
            await api.delete(stream.stream_id)
            await listener.ended()
        assert await broker.look(stream.stream_id) is None

        async def is_gone():
            return not work.running

        await until(is_gone)
        left = [key async for key in redis.scan_iter() if await redis.ttl(key) == -1]
        assert sorted(left) == [b"bond:{fleet}:changes", b"bond:{fleet}:epoch",
                                b"bond:{fleet}:workers"]  # fmt: skip

    over(monkeypatch, redis_url, scenario, "api", "worker", "broker")


def test_fifty_at_once_in_two_processes_are_five_streams(monkeypatch, redis_url):
    """
    Creating counts and adds in one step: 5 are created, 45 refused, in whatever process.
    """

    async def scenario(redis, one, other):
        asked = [
            create((one, other)[n % 2], symbols=["BTC/USDT", f"C{n}/USDT"],
                   sources=[{"type": "ccxt", "exchanges": ["binance"]}])
            for n in range(50)
        ]  # fmt: skip
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, LimitError)]
        assert len(refused) == 45, answers
        assert {(error.limit, error.used) for error in refused} == {(5, 5)}
        assert len(await one.listed("local")) == 5
        await create(one, project="another")

    over(monkeypatch, redis_url, scenario, "api", "api")


def test_deleting_and_creating_in_a_loop_leaves_nothing_behind(monkeypatch, redis_url):
    """
    The same spec, made and deleted by two processes at once: no task, no claim, no key stays.
    """

    async def scenario(redis, one, other, work):
        async def churn(fleet):
            for _ in range(25):
                stream = await create(fleet)
                await asyncio.sleep(0.02)
                await fleet.delete(stream.stream_id)

        await asyncio.gather(churn(one), churn(other))

        async def is_quiet():
            return not work.running

        await until(is_quiet)
        assert await one.listed("local") == []

        async def are_gone():
            left = {key async for key in redis.scan_iter() if await redis.ttl(key) == -1}
            return left == {
                b"bond:{fleet}:changes", b"bond:{fleet}:epoch", b"bond:{fleet}:workers",
            }  # fmt: skip

        await until(are_gone)
        stream = await create(one)
        async with Listener(other, stream.stream_id) as listener:
            await listener.records(3)

    over(monkeypatch, redis_url, scenario, "api", "api,broker", "worker")


def test_who_comes_and_goes_moves_few_streams(monkeypatch, redis_url):
    """
    Two workers share the streams; one that leaves hands over its own, and no window is lost.
    """

    async def scenario(redis, first, second, broker):
        async def know_each_other():
            return len(first.worker.workers) == len(second.worker.workers) == 2

        await until(know_each_other)
        streams = [
            await create(broker, symbols=["BTC/USDT", f"C{n}/USDT"],
                         sources=[{"type": "ccxt", "exchanges": ["binance"]}])
            for n in range(12)
        ]  # fmt: skip

        async def all_run():
            return len(first.running) + len(second.running) == 12

        await until(all_run)
        assert min(len(first.running), len(second.running)) >= 1
        stayed = set(second.running)
        ids = [stream.stream_id for stream in streams]
        async with Listener(broker, ids[0]) as listener:
            await listener.records(3)
            await stopped(*first._own)
            await first.worker.hand_over()

            async def moved():
                return len(second.running) == 12

            await until(moved, within_s=1.5 * hurry())
            assert stayed <= set(second.running)
            await listener.records(5)
            for stream_id in ids:
                assert await owner_of(redis, stream_id) == second.worker.lease.worker
                assert (await truth_of(broker.log, stream_id)).lost == 0
            check((await truth_of(broker.log, ids[0])).written, [listener.got])
            assert listener.got.gaps == []

    over(monkeypatch, redis_url, scenario, "worker", "worker", "api,broker", max_streams=20)


@pytest.mark.parametrize("hand_over_s", [1.4, 20], ids=["as usual", "patient"])
def test_a_hand_over_to_one_that_is_slow_to_get_ready(monkeypatch, redis_url, hand_over_s):
    """
    What doesn't fit its time is lost, and told; with the time for it nothing is, even where it
    takes longer than the lease.
    """

    async def scenario(redis, broker):
        stream = await create(broker)
        async with (
            Listener(broker, stream.stream_id) as listener,
            a_fleet(redis_url, "worker", lease_s=1.0, hand_over_s=hand_over_s) as first,
        ):
            await runs(first, stream.stream_id)
            async with a_fleet(redis_url, "worker", lease_s=1.0) as second:
                await listener.records(3)
                begin = second.worker.runs.begin

                async def begin_late(kept, claim):
                    await asyncio.sleep(2.5)
                    return await begin(kept, claim)

                monkeypatch.setattr(second.worker.runs, "begin", begin_late)
                await stopped(*first._own)
                await first.worker.hand_over()
                await runs(second, stream.stream_id)
                truth = await all_is_well(broker, listener)
                assert (truth.lost == 0) == (hand_over_s == 20)
                assert bool(listener.got.gaps) == bool(truth.lost)

    over(monkeypatch, redis_url, scenario, "api,broker")


def test_a_stream_that_is_over_says_so_everywhere_and_goes(monkeypatch, redis_url):
    """
    Its duration ends it once, by its owner; whoever comes later hears that it is complete.
    """
    monkeypatch.setattr(tending, "EPHEMERAL_S", 1.0)

    async def scenario(redis, api, work, broker):
        request = {
            "spec": {
                "sources": [{"type": "ccxt", "exchanges": ["binance"]}],
                "symbols": ["BTC/USDT"],
                "interval_sec": 0.2,
            },
            "duration_sec": 1.5,
        }
        stream, _ = await api.create(api.compile(request), project="local")  # fmt: skip
        async with Listener(broker, stream.stream_id) as listener:
            await listener.ended()
            assert 5 <= len(listener.got.records) <= 10
        again = await broker.look(stream.stream_id)
        assert again.is_complete
        async with Listener(broker, stream.stream_id) as late:
            await late.ended()
            assert late.got.records == listener.got.records

        async def is_gone():
            return await api.look(stream.stream_id) is None

        await until(is_gone)

    over(monkeypatch, redis_url, scenario, "api", "worker", "broker")


def test_an_ephemeral_stream_lives_while_another_process_has_listeners(monkeypatch, redis_url):
    """
    It goes by itself after its last one has left, wherever that was.
    """
    monkeypatch.setattr(tending, "EPHEMERAL_S", 1.0)
    monkeypatch.setattr("bond_server.fleet.fleet._HEAR_EVERY_S", 0.3)

    async def scenario(redis, api, work, broker):
        stream = await create(api, ephemeral=True)
        async with Listener(broker, stream.stream_id) as listener:
            await listener.records(12)
            assert await api.look(stream.stream_id) is not None

        async def is_gone():
            return await api.look(stream.stream_id) is None

        await until(is_gone)

    over(monkeypatch, redis_url, scenario, "api", "worker", "broker")


def test_the_same_request_is_one_stream(monkeypatch, redis_url):
    """
    Asked for in two processes at once it is created once, and lives as long as either says.
    """

    async def scenario(redis, one, other):
        made = {"spec": {"sources": [{"type": "ccxt", "exchanges": ["binance"]}],
                         "symbols": ["BTC/USDT"], "interval_sec": 1}}  # fmt: skip
        brief = made | {"duration_sec": 60, "ephemeral": True}
        answers = await asyncio.gather(
            *(each.create(each.compile(brief), project="p") for each in (one, other)),
        )
        assert sorted(is_new for _, is_new in answers) == [False, True]
        lasting, is_new = await other.create(other.compile(made), project="p")
        assert not is_new
        seen = await one.look(lasting.stream_id)
        assert (seen.row.ends_ns, seen.row.is_ephemeral) == (None, False)

    over(monkeypatch, redis_url, scenario, "api", "api")


@pytest.mark.parametrize("workers", [2, 5])
def test_rendezvous_moves_only_what_it_must(workers):
    """
    A worker that goes leaves its streams to the others, about evenly, and no other moves.
    """
    from bond_server.fleet.rendezvous import owner_of as theirs

    names = [f"worker-{n}" for n in range(workers)]
    streams = [f"{n:016x}" for n in range(4000)]
    before = {stream: theirs(stream, names) for stream in streams}
    after = {stream: theirs(stream, names[1:]) for stream in streams}

    assert all(after[s] == before[s] for s in streams if before[s] != names[0])
    for name in names:
        share = sum(owner == name for owner in before.values()) / len(streams)
        assert abs(share - 1 / workers) < 0.05
