"""The SDK's local mode: the same programs, without a server."""

from __future__ import annotations

import asyncio

import pytest

from ekko import listen, listen_sync


def test_a_stream_runs_in_this_process():
    """
    Records of the simulated market, labelled, one window after the other.
    """
    options = {"local": True, "simulate": True, "limit": 5, "seconds": 60}

    records = listen_sync("BTC price + volume every 200ms", **options).collect()

    assert len(records) == 5
    assert [r.window_end for r in records[:4]] == [r.window_start for r in records[1:]]
    assert all(source["simulated"] for record in records for source in record.sources.values())


async def a_waiting_step(events):
    """Return a step for which no event is there yet: one may have come ahead of its reader."""
    while True:
        step = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        if not step.done():
            return step


def test_a_loop_that_is_left_leaves_nothing_running():
    """
    Neither tasks nor the stream, right after the loop was closed; cancelled at once, too.
    """

    async def main():
        before = asyncio.all_tasks()
        events = listen("BTC price every 200ms", local=True, simulate=True)
        await anext(events)
        waiting = await a_waiting_step(events)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await events.aclose()
        return asyncio.all_tasks() - before

    assert asyncio.run(main()) == set()
