"""What tests of faults share: to run a scenario over a fleet, and the check behind each."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from bond_core.log.offset import START
from tests.fleet.fleets import ticking, truth_of, until
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
    """Check a listener against the log, once it goes on and has all; return what the log holds."""
    await listener.records(2)
    return await all_is_well_in_the_end(broker, listener)


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


async def all_is_well_in_the_end(broker, listener):
    """Check a listener whose stream nobody runs any more."""

    async def has_all():
        page = await broker.log.read(listener.stream_id, START, 1)
        return listener.got.last == str(page.top)

    await until(has_all)
    truth = await truth_of(broker.log, listener.stream_id)
    check(truth.written, [listener.got])
    return truth
