"""Streams that want the same thing share one upstream subscription."""

from __future__ import annotations

import asyncio

from tests.journeys.in_process import market, running


def test_two_streams_of_one_venue_and_symbol_open_one_subscription() -> None:
    """
    The venue counts one connection and one subscription, and both streams get its trades.
    """

    async def journey() -> None:
        async with running(market(exchanges=["binance"])) as run:
            second, is_new = await run.bond.create(
                run.bond.compile({"spec": {**market(exchanges=["binance"], interval="1s"),
                                           "simulate": True}})
            )  # fmt: skip
            assert is_new
            assert second.stream_id != run.stream.stream_id
            await run.until(lambda r: bool(r["trades"]))
            other = run.bond.cursor(second.stream_id)
            await asyncio.wait_for(other.next(), 30)

            asked = run.simulator.subscriptions
            assert {(s.channel, s.symbol): n for s, n in asked.opened.items()} == {
                ("trades", "BTCUSDT"): 1
            }
            assert asked.connections_opened["binance"] == 1

            # The first may go: the second still hears.
            await run.bond.delete(run.stream.stream_id)
            before = second.pipeline.events_in
            async with asyncio.timeout(30):
                while second.pipeline.events_in == before:
                    await other.next()
            assert asked.connections_open["binance"] == 1

    asyncio.run(journey())


def test_the_same_request_is_the_same_stream() -> None:
    """
    Asking twice gives the stream that runs already.
    """

    async def journey() -> None:
        async with running(market(exchanges=["binance"])) as run:
            again, is_new = await run.bond.create(run.stream.compiled)
            assert again is run.stream
            assert not is_new

    asyncio.run(journey())
