"""Order books of each simulated venue, whole and broken, through unmodified ccxt.pro."""

from __future__ import annotations

import asyncio

import pytest

from bond_ccxt.config import CcxtConfig
from bond_ccxt.connector import CcxtConnector
from bond_core.clock import ManualClock

pytest.importorskip("bond_sim.simulator", reason="bond-sim is not installed")

from bond_sim.books import BOOK_NS, BookClock
from bond_sim.instruments import synthetic_markets
from bond_sim.market import SyntheticMarket
from bond_sim.simulator import Simulator

SEED = 5
# what the connector is asked for, and what the simulator calls the venue and the market
MARKETS = {
    "binance": ("BTC/USDT", "binance", "BTCUSDT"),
    "binance futures": ("BTC/USDT:USDT", "binancefutures", "BTCUSDT"),
    "okx": ("BTC/USDT", "okx", "BTC-USDT"),
    "okx swap": ("BTC/USDT:USDT", "okx", "BTC-USDT-SWAP"),
    "okx inverse": ("BTC/USD:BTC", "okx", "BTC-USD-SWAP"),
    "bybit": ("BTC/USDT", "bybit", "BTCUSDT"),
    "bybit linear": ("ETH/USDT:USDT", "bybitlinear", "ETHUSDT"),
    "kraken": ("BTC/USD", "kraken", "BTC/USD"),
    "coinbase": ("BTC/USD", "coinbase", "BTC-USD"),
    "coinbaseexchange": ("BTC/USD", "coinbaseexchange", "BTC-USD"),
}
each = pytest.mark.parametrize("case", MARKETS)


def run(kit, case, act, channels=("book",)):
    """Listen to one simulated market; `act(ctx, simulator)` says what happens meanwhile."""
    symbol, _, _ = MARKETS[case]

    async def tick(clock):
        while True:
            await clock.advance(0.05)
            await asyncio.sleep(0.002)

    async def go():
        clock = ManualClock()
        async with Simulator(clock=clock, seed=SEED) as simulator:
            ctx = kit.Context([kit.Want(c, symbol) for c in channels], simulator.url, clock)
            ticking = asyncio.create_task(tick(clock))
            async with kit.running(CcxtConnector(CcxtConfig(case.partition(" ")[0])), ctx):
                await act(ctx, simulator)
            ticking.cancel()
            return ctx

    return asyncio.run(go())


def truth(case, event):
    """Return the top of the simulated book at an event's time, in base units (or contracts)."""
    _, venue, id = MARKETS[case]
    instruments = {(i.venue, i.id): i for i in synthetic_markets()}
    instrument = instruments[venue, id]
    per = 1.0 if instrument.inverse else float(instrument.contract_size or 1)
    books = BookClock(SyntheticMarket(SEED, instruments))
    ns = round((event.ts + BOOK_NS // 2) // BOOK_NS * BOOK_NS)
    state = books.state(instrument, ns)
    return tuple(
        [(float(price), pytest.approx(float(size) * per, rel=1e-12)) for price, size in side]
        for side in (state.bids, state.asks)
    )


def assert_true(case, events):
    """Every event with levels is the simulated book of its time."""
    for event in events:
        if event.bids:
            bids, asks = truth(case, event)
            assert list(event.bids) == bids[:100]
            assert list(event.asks) == asks[:100]


@each
def test_books_arrive(kit, case):
    """
    A snapshot, then every change of the book, each as the simulated market has it.
    """

    async def act(ctx, simulator):
        await ctx.until(lambda: len(ctx.events("book")) >= 12)

    ctx = run(kit, case, act)
    events = ctx.events("book")
    assert ctx.gaps == []
    assert ctx.lives == [("book", MARKETS[case][0])]
    assert [event.is_snapshot for event in events][:2] == [True, False]
    assert [event.ts for event in events] == sorted({event.ts for event in events})
    assert_true(case, events[1:])
    unit = "100 USD contracts" if case == "okx inverse" else None
    assert {event.size_unit for event in events} == {unit}


@each
def test_a_lost_message_is_seen_told_and_made_good(kit, case):
    """
    Once a change is lost nothing is shown of the book until it was sent anew; then it is right.
    """
    _, venue, id = MARKETS[case]

    async def act(ctx, simulator):
        await ctx.until(lambda: len(ctx.events("book")) >= 5)
        simulator.faults.drop(venue, channel="book", symbol=id)
        await ctx.until(lambda: ctx.gaps)
        told = len(ctx.events("book"))
        await ctx.until(lambda: len(ctx.events("book")) >= told + 8)

    if case == "coinbaseexchange":
        pytest.skip("nothing in Coinbase Exchange's messages shows that one is missing")
    ctx = run(kit, case, act)
    events = ctx.events("book")
    assert [(channel, symbol) for channel, symbol, _ in ctx.gaps] == [("book", MARKETS[case][0])]
    assert "is asked for again" in ctx.gaps[0][2]
    (empty,) = [n for n, event in enumerate(events) if not event.bids and not event.asks]
    assert events[empty + 1].is_snapshot
    assert_true(case, [*events[1:empty], *events[empty + 2 :]])
    assert [event.ts for event in events] == sorted(event.ts for event in events)


@each
def test_a_repeated_message_changes_nothing(kit, case):
    """
    Changes that arrive twice are no gap, and the book stays right.
    """
    _, venue, id = MARKETS[case]

    async def act(ctx, simulator):
        await ctx.until(lambda: len(ctx.events("book")) >= 3)
        simulator.faults.duplicate(venue, 3, channel="book", symbol=id)
        await ctx.until(lambda: len(ctx.events("book")) >= 15)

    ctx = run(kit, case, act)
    assert ctx.gaps == []
    assert_true(case, ctx.events("book")[1:])


@pytest.mark.parametrize("how", ["checksum", "json"])
def test_kraken_s_checksum_is_looked_at(kit, how):
    """
    A book whose checksum is another is asked for again, and so is one with an unreadable message.
    """

    async def act(ctx, simulator):
        await ctx.until(lambda: len(ctx.events("book")) >= 5)
        simulator.faults.flip("kraken", how=how, channel="book")
        await ctx.until(lambda: any(symbol for _, symbol, _ in ctx.gaps))
        told = len(ctx.events("book"))
        await ctx.until(lambda: len(ctx.events("book")) >= told + 5)

    ctx = run(kit, "kraken", act)
    (why,) = [why for _, symbol, why in ctx.gaps if symbol]
    assert "checksum" in why
    assert_true("kraken", ctx.events("book")[-4:])


def test_a_crossed_book_is_not_believed(kit):
    """
    Where a venue numbers nothing, a crossed book shows that something was missed.
    """
    market = kit.market("BTC-USD", "BTC/USD")

    def frame(**more):
        return {"product_id": "BTC-USD", **more}

    snapshot = frame(type="snapshot", bids=[["10.0", "1"]], asks=[["11.0", "2"]])
    time = "2026-08-12T19:27:33.489674Z"
    crossing = frame(type="l2update", changes=[["buy", "11.5", "1"]], time=time)

    async def go():
        async with kit.Venue() as there:
            ctx = kit.Context([kit.Want("book", "BTC/USD")])
            async with kit.running(kit.connect("coinbaseexchange", there, [market]), ctx):
                first = await there.until_heard(1)
                await there.say(snapshot, crossing)
                left = await there.until_heard(2)
                again = await there.until_heard(3)
                await there.say(snapshot)
                await ctx.until(lambda: len(ctx.events("book")) == 3)
            return ctx, first, left, again

    ctx, first, left, again = asyncio.run(go())
    assert first == again
    assert first["channels"] == ["level2_batch"]  # which needs no key
    assert left == {
        "type": "unsubscribe", "product_ids": ["BTC-USD"], "channels": ["level2_batch"]
    }  # fmt: skip
    assert [event.bids for event in ctx.events("book")] == [((10.0, 1.0),), (), ((10.0, 1.0),)]
    assert len(ctx.gaps) == 1


def test_trades_go_on_while_a_book_is_mended(kit):
    """
    A gap in a book touches no other channel, and opens no other connection.
    """

    async def act(ctx, simulator):
        await ctx.until(lambda: ctx.events("book") and ctx.events("trades"))
        simulator.faults.drop("okx", 2, channel="book")
        await ctx.until(lambda: ctx.gaps)
        told = len(ctx.events("book"))
        await ctx.until(lambda: len(ctx.events("book")) >= told + 3)
        assert simulator.subscriptions.connections_opened["okx"] == 1

    ctx = run(kit, "okx", act, channels=("book", "trades"))
    assert {channel for channel, _, _ in ctx.gaps} == {"book"}
    ids = [trade.id for trade in ctx.events("trades")]
    assert len(ids) == len(set(ids))
