"""Requests to one venue are spaced together, whoever makes them."""

from __future__ import annotations

import asyncio

from bond_ccxt.config import CcxtConfig, TickerConfig
from bond_ccxt.exchange import open_session
from bond_core.clock import ManualClock, settle


def test_exchange_objects_of_one_venue_share_its_budget(kit):
    """
    Requests of two objects take turns, each for its weight; another venue's wait for nobody.
    """

    async def go():
        clock = ManualClock()
        start_ns = clock.monotonic_ns()
        ctx = kit.Context([], clock=clock)
        settings = [CcxtConfig("okx"), TickerConfig("okx"), CcxtConfig("kraken")]
        sessions = [await open_session(each, ctx) for each in settings]
        went = []

        async def ask(session, weight):
            await session.exchange.throttle(weight)
            went.append((session.venue.id, (clock.monotonic_ns() - start_ns) // 1_000_000))

        first, second, other = sessions
        asking = [
            asyncio.create_task(ask(*each))
            for each in ((first, 2), (second, 1), (first, None), (other, 1), (second, 1))
        ]
        for _ in range(100):
            await settle()
            await clock.advance(0.01)
        await asyncio.gather(*asking)
        for session in sessions:
            await session.close()
        return went, first.exchange.rateLimit

    went, ms = asyncio.run(go())
    assert sorted(went) == sorted(
        [("okx", 0), ("okx", 2 * ms), ("okx", 3 * ms), ("okx", 4 * ms), ("kraken", 0)]
    )
    assert [at for venue, at in went if venue == "okx"] == [0, 2 * ms, 3 * ms, 4 * ms]
