"""Polling, against simulated venues."""

from __future__ import annotations

import asyncio

import pytest

from bond_ccxt.config import TickerConfig
from bond_ccxt.ticker import TickerConnector
from bond_core.clock import SystemClock
from bond_core.errors import Retryable

pytest.importorskip("bond_sim.simulator", reason="bond-sim is not installed")

from bond_sim.simulator import Simulator

MARKETS = {
    "binance": ["BTC/USDT", "ETH/USDT"],
    "okx": ["BTC/USDT", "BTC/USDT:USDT"],
    "coinbaseexchange": ["BTC/USD", "ETH/USD"],
}
venues = pytest.mark.parametrize("venue", MARKETS)


@venues
def test_polling(kit, venue):
    """
    Each poll gives one sample a symbol and a heartbeat; an unlisted symbol is failed once.
    """
    symbols = MARKETS[venue]

    async def go():
        async with Simulator(clock=SystemClock(), seed=2) as simulator:
            wanted = [kit.Want("ticker", s) for s in [*symbols, "QQQ/USDT"]]
            ctx = kit.Context(wanted, simulator.url)
            connector = TickerConnector(TickerConfig(venue, every_s=0.5))
            async with kit.running(connector, ctx):
                await ctx.until(lambda: len(ctx.heartbeats) >= 3)
                now_ns = ctx.clock.now_ns()
            return ctx, now_ns

    ctx, now_ns = asyncio.run(go())
    quotes = ctx.events("ticker")
    assert [q.symbol for q in quotes[: len(symbols)]] == symbols
    assert len(quotes) == len(symbols) * len(ctx.frames["ticker"])
    assert all(0 < q.bid < q.ask for q in quotes)
    assert all(q.last is not None and now_ns - 10**10 < q.ts <= now_ns for q in quotes)
    assert [(channel, symbol) for channel, symbol, _ in ctx.failures] == [("ticker", "QQQ/USDT")]


def test_polling_a_venue_that_goes_down(kit):
    """
    A poll that fails raises Retryable and leaves no session open.
    """

    async def go():
        async with Simulator(clock=SystemClock(), seed=2) as simulator:
            ctx = kit.Context([kit.Want("ticker", "BTC/USDT")], simulator.url)
            connector = TickerConnector(TickerConfig("binance", every_s=0.5))
            async with kit.running(connector, ctx) as task:
                await ctx.until(lambda: ctx.events("ticker"))
                simulator.faults.refuse("binance")
                with pytest.raises(Retryable, match="binance"):
                    await asyncio.wait_for(asyncio.shield(task), 10)

    asyncio.run(go())
