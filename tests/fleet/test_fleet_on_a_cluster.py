"""A fleet over a Redis Cluster: streams in many slots, what the processes share in one."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack

from tests.fleet.fleets import Listener, a_fleet, create, ticking, truth_of, until
from tests.fleet.scenarios import LEASE_S, vanish
from tests.log.servers import redis_cluster
from tests.server.journal import check

STREAMS = 8


def every_s(n):
    """Return how long a stream's windows are: by it the streams differ."""
    return (200 + 100 * n) / 1000


def test_streams_are_handed_over_and_taken_over_on_a_cluster(monkeypatch, tmp_path):
    """
    Streams in eight partitions: none loses a window at a hand-over, each tells of those that a
    crash cost, and whoever listens to one gets it whole.
    """

    async def run(url):
        options = {"lease_s": LEASE_S, "max_streams": STREAMS}
        async with (
            asyncio.timeout(90),
            ticking(monkeypatch, url, "api,broker", **options) as (broker,),
            AsyncExitStack() as stack,
        ):
            async with a_fleet(url, "worker", **options):
                made = [await create(broker, interval_sec=every_s(n)) for n in range(STREAMS)]
                listeners = [
                    await stack.enter_async_context(Listener(broker, stream.stream_id))
                    for stream in made
                ]
                for listener in listeners:
                    await listener.records(2)
                second = await stack.enter_async_context(a_fleet(url, "worker", **options))

            async def has_all(fleet=second):
                return len(fleet.running) == STREAMS

            await until(has_all)
            for n, listener in enumerate(listeners):
                await listener.records(2)
                truth = await truth_of(broker.log, listener.stream_id, every_s=every_s(n))
                assert truth.lost == 0
            await vanish(second)
            heir = await stack.enter_async_context(a_fleet(url, "worker", **options))
            await until(lambda: has_all(heir))
            lost = 0
            for n, listener in enumerate(listeners):
                await listener.records(3)
                truth = await truth_of(broker.log, listener.stream_id, every_s=every_s(n))
                check(truth.written, [listener.got])
                assert truth.lost <= 20
                # Told, and not only found by looking again every 5 s.
                assert statistics.median(listener.got.lags_s) < 2
                lost += truth.lost
            assert lost >= 1
            assert len(await broker.listed("local")) == STREAMS
            for stream in made:
                assert await broker.delete(stream.stream_id)

    with redis_cluster(tmp_path) as ports:
        asyncio.run(run(f"redis://127.0.0.1:{ports[0]}/0"))
