"""Candles, funding, mark prices, open interest and liquidations of the simulated venues."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from bond_ccxt.config import CcxtConfig
from bond_ccxt.connector import CcxtConnector
from bond_ccxt.liquidations import LiquidationsConnector, _Bases
from bond_core.clock import ManualClock, SystemClock
from bond_core.plugin import Subscription
from bond_core.runtime.wanted import Wanted

pytest.importorskip("bond_sim.simulator", reason="bond-sim is not installed")

from bond_sim.contracts import Contracts
from bond_sim.instruments import synthetic_markets
from bond_sim.market import SLOT_NS, SyntheticMarket
from bond_sim.simulator import Simulator

SEED = 5
MINUTE_NS = 60 * 10**9
SWAPS = {"binance": ("binancefutures", "BTCUSDT"), "okx": ("okx", "BTC-USDT-SWAP"),
         "bybit": ("bybitlinear", "BTCUSDT")}  # fmt: skip
SPOT = {"binance": ("BTC/USDT", "BTCUSDT"), "okx": ("BTC/USDT", "BTC-USDT"),
        "bybit": ("BTC/USDT", "BTCUSDT"), "kraken": ("BTC/USD", "BTC/USD")}  # fmt: skip
swaps = pytest.mark.parametrize("venue", SWAPS)


def run(kit, connector, wanted, until):
    """Listen until `until(ctx)` holds, at 25 times the speed of time."""

    async def tick(clock):
        while True:
            await clock.advance(0.05)
            await asyncio.sleep(0.002)

    async def go():
        clock = ManualClock()
        async with Simulator(clock=clock, seed=SEED) as simulator:
            ctx = kit.Context(wanted, simulator.url, clock)
            ticking = asyncio.create_task(tick(clock))
            async with kit.running(connector, ctx):
                await ctx.until(lambda: until(ctx))
            ticking.cancel()
            return ctx

    return asyncio.run(go())


def market():
    """Return the market that the simulator plays."""
    return SyntheticMarket(SEED, {(i.venue, i.id): i for i in synthetic_markets()})


@pytest.mark.parametrize("venue", SPOT)
def test_candles_are_those_of_the_venue(kit, venue):
    """
    Open, high, low, close and volume of the minute's trades so far, with start and end.
    """
    symbol, id = SPOT[venue]
    connector = CcxtConnector(CcxtConfig(venue))

    ctx = run(kit, connector, [kit.Want("candles", symbol)], lambda c: len(c.events("candles")) > 2)

    assert ctx.lives == [("candles", symbol)]
    made = market()
    instrument = made.instruments[venue, id]
    for event in ctx.events("candles"):
        assert event.length_ns == MINUTE_NS
        assert event.start_ts % MINUTE_NS == 0
        end = event.ts // 10**9 * 10**9  # they are sent at whole seconds
        slots = range(event.start_ts // SLOT_NS, end // SLOT_NS)
        trades = [t for slot in slots for t in made.trades(instrument, slot)]
        prices = [float(t.price) for t in trades]
        assert (event.open, event.close) == (prices[0], prices[-1])
        assert (event.low, event.high) == (min(prices), max(prices))
        assert event.volume == pytest.approx(sum(float(t.size) for t in trades), rel=1e-6)
        assert event.size_unit is None


@pytest.mark.parametrize("venue", SPOT)
def test_candles_come_and_go_without_disturbing_trades(kit, venue):
    """
    The venue's word that nobody hears its candles any more is no hole; they can be had again.
    """
    symbol, _ = SPOT[venue]
    trades, candles = kit.Want("trades", symbol), kit.Want("candles", symbol)

    async def go():
        async with Simulator(clock=SystemClock(), seed=SEED) as simulator:
            ctx = kit.Context([trades, candles], simulator.url)
            async with kit.running(CcxtConnector(CcxtConfig(venue)), ctx):
                for _ in range(2):
                    seen = len(ctx.events("candles"))
                    ctx.wanted.set([trades, candles])
                    await ctx.until(lambda seen=seen: len(ctx.events("candles")) > seen)
                    ctx.wanted.set([trades])
                    before = len(ctx.events("trades"))
                    await ctx.until(lambda before=before: len(ctx.events("trades")) > before + 4)
            return ctx

    ctx = asyncio.run(go())

    assert ctx.gaps == []
    ids = [trade.id for trade in ctx.events("trades")]
    assert len(ids) == len(set(ids))


@swaps
def test_funding_and_mark_price(kit, venue):
    """
    The rate, when it is paid next, and the mark price, as the venue says them.
    """
    wanted = [kit.Want("funding", "BTC/USDT:USDT"), kit.Want("funding", "BTC/USDT")]

    def both(ctx):
        events = ctx.events("funding")
        return any(e.rate is not None for e in events) and any(e.mark_price for e in events)

    ctx = run(kit, CcxtConnector(CcxtConfig(venue)), wanted, both)

    contracts = Contracts(market())
    instrument = contracts.market.instruments[SWAPS[venue]]
    for event in ctx.events("funding"):
        said = contracts.stated(instrument, event.ts)
        if event.rate is not None:
            assert event.rate == pytest.approx(float(said.funding_rate), abs=1e-7)
            assert event.next_ts == said.next_funding_ns
        if event.mark_price is not None:
            assert event.mark_price == pytest.approx(float(said.mark_price), rel=1e-9)
    ((channel, symbol, reason),) = ctx.failures
    assert (channel, symbol) == ("funding", "BTC/USDT")
    assert "is no perpetual contract; such are " in reason
    assert "BTC/USDT:USDT" in reason


@swaps
def test_open_interest_is_asked_for(kit, venue):
    """
    Every quarter of a minute, in base units.
    """
    wanted = [kit.Want("open_interest", "BTC/USDT:USDT")]

    ctx = run(
        kit, CcxtConnector(CcxtConfig(venue)), wanted, lambda c: len(c.events("open_interest")) > 1
    )

    contracts = Contracts(market())
    instrument = contracts.market.instruments[SWAPS[venue]]
    assert ctx.lives == [("open_interest", "BTC/USDT:USDT")]
    first, second = ctx.events("open_interest")[:2]
    assert second.ts - first.ts >= 15 * 10**9
    said = float(contracts.stated(instrument, first.ts).open_interest)
    assert first.amount == pytest.approx(said, rel=1e-4)


@swaps
def test_liquidations_of_an_asset(kit, venue):
    """
    Of all linear swaps of it, under its name, by the side of the order, in base units.
    """
    wanted = [kit.Want("liquidations", "BTC"), kit.Want("liquidations", "TRX")]

    ctx = run(
        kit, LiquidationsConnector(CcxtConfig(venue)), wanted,
        lambda c: len(c.events("liquidations")) > 2,
    )  # fmt: skip

    made = market()
    instrument = made.instruments[SWAPS[venue]]
    per = 1.0 if venue != "okx" else 0.01
    assert ctx.lives == [("liquidations", "BTC")]
    assert [(channel, symbol) for channel, symbol, _ in ctx.failures] == [("liquidations", "TRX")]
    for event in ctx.events("liquidations"):
        trades = made.trades(instrument, event.ts // SLOT_NS)
        assert event.symbol == "BTC"
        assert (event.price, event.size, event.side) in [
            (float(t.price), pytest.approx(float(t.size) * per), t.side) for t in trades
        ]


def test_what_a_venue_has_not_fails_alone(kit):
    """
    Funding at a venue without contracts is failed with a reason; its trades go on.
    """
    wanted = [kit.Want("funding", "BTC/USD"), kit.Want("trades", "BTC/USD")]

    ctx = run(
        kit, CcxtConnector(CcxtConfig("kraken")), wanted, lambda c: len(c.events("trades")) > 2
    )

    assert ctx.failures == [("funding", "BTC/USD", "kraken has no funding here")]


def test_an_asset_that_is_dropped_and_wanted_again_at_once_is_shown_both():
    """Who follows swaps, and is busy meanwhile, is shown them gone, then there."""
    swaps = {each: {"symbol": each, "swap": True, "linear": True} for each in
             ("BTC/USDT:USDT", "BTC/USDC:USDC", "ETH/USDT:USDT")}  # fmt: skip

    async def go():
        real = Wanted()
        bases = _Bases(SimpleNamespace(wanted=real), SimpleNamespace(markets=swaps.values()))
        btc = Subscription("liquidations", "BTC")
        real.add(btc)
        shown = [await bases.wanted.changed(frozenset())]
        real.discard(btc)
        real.add(btc)
        for _ in range(2):
            shown.append(await asyncio.wait_for(bases.wanted.changed(shown[-1]), 1))
        return [sorted(each.symbol for each in wanted) for wanted in shown]

    both = ["BTC/USDC:USDC", "BTC/USDT:USDT"]
    assert asyncio.run(go()) == [both, [], both]
