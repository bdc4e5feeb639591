"""A burst of trades arrives whole, through the unmodified client library."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.journeys.in_process import market, running

BURST = 60_000


def test_every_trade_of_a_burst_is_counted() -> None:
    """
    60,000 trades sent back to back: each is in a window, late, a duplicate or refused.
    """

    async def journey() -> Counter[str]:
        async with running(market(exchanges=["binance"], interval="1s")) as run:
            await run.until(lambda r: bool(r["trades"]))
            assert await run.simulator.burst("binance", "BTCUSDT", BURST) == BURST
            totals = run.stream.pipeline.engine.totals["binance"]
            await run.until(lambda _: totals.events >= BURST)
            return Counter(counted=totals.counted, late=totals.late, events=totals.events,
                           duplicates=totals.duplicates, rejected=totals.rejected)  # fmt: skip

    found = asyncio.run(journey())

    assert found["events"] >= BURST
    assert found["counted"] + found["late"] == found["events"]
    assert found["duplicates"] == found["rejected"] == 0
