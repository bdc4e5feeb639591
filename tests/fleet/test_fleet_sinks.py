"""Sinks of a stream that moves from worker to worker: each goes on where the one before was."""

from __future__ import annotations

import asyncio
import json

from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import Plugins
from bond_core.runtime.binding import Defaults
from bond_core.runtime.sink_policy import SinkPolicy
from tests.fleet.fleets import a_fleet, create, ticking, truth_of, until
from tests.fleet.scenarios import LEASE_S, runs, vanish


def test_a_sink_goes_on_where_the_worker_before_was(monkeypatch, redis_url, tmp_path):
    """
    Handed over and then taken over: every record that the log holds is delivered, in order; none
    twice at a hand-over.
    """
    options = {
        "lease_s": LEASE_S, "catalog": Catalog.loaded(Plugins()),
        "defaults": Defaults(sinks=SinkPolicy(folder=tmp_path)),
    }  # fmt: skip
    sinks = [{"type": "files", "folder": "out", "batch_wait_sec": 0.1}]

    def delivered():
        lines = [
            json.loads(line)
            for path in sorted((tmp_path / "out").glob("*.files.*"))
            for line in path.read_text().splitlines()
        ]
        assert not [line for line in lines if "gap" in line and line["gap"]["reason"] != "takeover"]
        return [line["id"] for line in lines if "gap" not in line]

    async def has_more(n):
        goal = len(delivered()) + n

        async def is_there():
            return len(delivered()) >= goal

        await until(is_there)

    async def go():
        async with (
            asyncio.timeout(90),
            ticking(monkeypatch, redis_url, "api,broker", **options) as (broker,),
            a_fleet(redis_url, "worker", **options) as last,
        ):
            async with a_fleet(redis_url, "worker", **options) as second:
                async with a_fleet(redis_url, "worker", **options) as first:
                    stream = await create(broker, sinks=sinks)
                    await has_more(3)
                    for worker in (first, second):
                        if stream.stream_id in worker.running:
                            await worker.worker.hand_over()
                            break
                    await has_more(3)
                before = delivered()
                assert len(set(before)) == len(before)
            await runs(last, stream.stream_id)
            await has_more(3)

            async def is_said_live():
                return (await broker.look(stream.stream_id)).sinks()["files"]["status"] == "live"

            await until(is_said_live)
            await vanish(last)
            async with a_fleet(redis_url, "worker", **options) as heir:
                await runs(heir, stream.stream_id)
                await has_more(3)
                async with asyncio.timeout(10):
                    await heir.worker.hand_over()
                return await truth_of(broker.log, stream.stream_id)

    truth = asyncio.run(go())

    got = list(dict.fromkeys(delivered()))
    assert got == sorted(got)
    kept = list(truth.written.data)
    assert got == kept[: len(got)]
    assert len(got) > 10
