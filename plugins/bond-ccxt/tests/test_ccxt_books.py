"""Order books of each simulated venue, whole and broken, through unmodified ccxt.pro."""

from __future__ import annotations

import asyncio

import pytest

from bond_ccxt.config import CcxtConfig
from bond_ccxt.connector import CcxtConnector
from bond_core.clock import ManualClock
from bond_core.errors import Retryable

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
    times = [event.ts for event in events]
    assert times == sorted(times)
    assert len(set(times[1:])) == len(times) - 1  # the first change may be of the snapshot's moment
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


def test_an_unreadable_message_of_an_unnumbered_book(kit):
    """
    Where nothing would show that a message is missing, one that can't be read costs the book.
    """

    async def act(ctx, simulator):
        await ctx.until(lambda: len(ctx.events("book")) >= 3)
        simulator.faults.flip("coinbaseexchange", how="json", channel="book")
        await ctx.until(lambda: any(symbol for _, symbol, _ in ctx.gaps))
        told = len(ctx.events("book"))
        await ctx.until(lambda: len(ctx.events("book")) >= told + 3)

    ctx = run(kit, "coinbaseexchange", act)
    assert_true("coinbaseexchange", ctx.events("book")[-2:])


@pytest.mark.parametrize("case", ["binance", "okx", "bybit", "kraken", "coinbase"])
def test_a_lost_connection_begins_anew(kit, case):
    """
    After a reconnection the book begins with a snapshot, and is right.
    """
    symbol, _, _ = MARKETS[case]

    async def tick(clock):
        while True:
            await clock.advance(0.05)
            await asyncio.sleep(0.002)

    async def go():
        clock = ManualClock()
        async with Simulator(clock=clock, seed=SEED) as simulator:
            connector = CcxtConnector(CcxtConfig(case))
            ticking = asyncio.create_task(tick(clock))
            heard = []
            for _ in range(2):
                ctx = kit.Context([kit.Want("book", symbol)], simulator.url, clock)
                heard.append(ctx)
                async with kit.running(connector, ctx) as task:
                    await ctx.until(lambda ctx=ctx: len(ctx.events("book")) >= 4)
                    await simulator.faults.close(case)
                    with pytest.raises(Retryable):
                        await task
            ticking.cancel()
            return heard

    for ctx in asyncio.run(go()):
        events = ctx.events("book")
        assert [event.is_snapshot for event in events[:3]] == [True, False, False]
        assert_true(case, events[1:])


def _depth(first, last, bids):
    return {"e": "depthUpdate", "E": 1_786_538_760_000 + last, "s": "BTCUSDT", "U": first,
            "u": last, "b": bids, "a": []}  # fmt: skip


def test_a_snapshot_that_is_too_old_is_asked_for_again(kit):
    """
    Binance's answer over HTTP may be older than the first message: then nothing fits, yet.
    """
    answers = [{"lastUpdateId": n, "bids": [["1.0", "1"]], "asks": [["9.0", "1"]]} for n in (5, 12)]

    async def go():
        async with kit.Venue(rest=lambda _: answers.pop(0)) as there:
            ctx = kit.Context([kit.Want("book", "BTC/USDT")])
            market = kit.market("BTCUSDT", "BTC/USDT")
            async with kit.running(kit.connect("binance", there, [market]), ctx):
                await there.until_heard(1)
                await there.say(_depth(8, 10, [["1.0", "2"]]), _depth(11, 13, [["2.0", "3"]]))
                await ctx.until(lambda: len(ctx.events("book")) == 2)
                await there.say(_depth(14, 14, [["1.0", "0"]]))
                await ctx.until(lambda: len(ctx.events("book")) == 3)
            return ctx, there.asked

    ctx, asked = asyncio.run(go())
    assert [event.bids for event in ctx.events("book")] == [
        ((1.0, 1.0),), ((2.0, 3.0), (1.0, 1.0)), ((2.0, 3.0),),
    ]  # fmt: skip
    assert [event.sequence for event in ctx.events("book")] == [12, 13, 14]
    assert asked == [("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "1000"})] * 2
    assert ctx.gaps == []


def test_a_snapshot_that_is_refused_is_told(kit):
    """
    The book stays unknown, a gap is told, and the next message asks again.
    """
    book = {"lastUpdateId": 12, "bids": [["1.0", "1"]], "asks": [["9.0", "1"]]}
    answers = [{"code": -1003, "msg": "Too many requests"}, book]

    async def go():
        async with kit.Venue(rest=lambda _: answers.pop(0)) as there:
            ctx = kit.Context([kit.Want("book", "BTC/USDT")])
            market = kit.market("BTCUSDT", "BTC/USDT")
            async with kit.running(kit.connect("binance", there, [market]), ctx):
                await there.until_heard(1)
                await there.say(_depth(8, 10, []))
                await ctx.until(lambda: ctx.gaps)
                await there.say(_depth(11, 13, []))
                await ctx.until(lambda: ctx.events("book")[-1].bids)
            return ctx

    ctx = asyncio.run(go())
    ((_, symbol, why),) = ctx.gaps
    assert symbol == "BTC/USDT"
    assert "no snapshot of the book" in why


def test_any_venue_has_the_book_that_ccxt_builds(kit):
    """
    A venue that we have no reading of: what ccxt's `watch_order_book` returns.
    """

    def answer(_):
        return {"timestamp": "1786538761", "microtimestamp": "1786538761000004",
                "bids": [["10.0", "1"]], "asks": [["11.0", "2"]]}  # fmt: skip

    def frame(n, bids):
        time = str(1_786_538_761_000_000 + n)
        data = {"timestamp": time[:10], "microtimestamp": time, "bids": bids, "asks": []}
        return {"event": "data", "channel": "diff_order_book_btcusd", "data": data}

    async def go():
        async with kit.Venue(rest=answer) as there:
            market = kit.market("btcusd", "BTC/USD")
            ctx = kit.Context([kit.Want("book", "BTC/USD")])
            async with kit.running(kit.connect("bitstamp", there, [market]), ctx):
                channel = (await there.until_heard(1))["data"]["channel"]
                await there.say({"event": "bts:subscription_succeeded", "channel": channel,
                                 "data": {}})  # fmt: skip
                n = 0
                while not ctx.events("book"):  # ccxt fetches the first state meanwhile
                    n += 1
                    await there.say(frame(n, [["10.5", f"{n}"]]))
                    await asyncio.sleep(0.01)
            return ctx

    ctx = asyncio.run(go())
    newest = ctx.events("book")[-1]
    assert newest.asks == ((11.0, 2.0),)
    assert newest.venue == "bitstamp"
