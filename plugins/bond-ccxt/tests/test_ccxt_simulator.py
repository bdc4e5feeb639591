"""The connectors against simulated venues: HTTP and WebSocket, through unmodified ccxt.pro."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime

import pytest

from bond_ccxt.config import CcxtConfig
from bond_ccxt.connector import CcxtConnector
from bond_core.clock import ManualClock, SystemClock
from bond_core.errors import Fatal, Retryable

pytest.importorskip("bond_sim.simulator", reason="bond-sim is not installed")

from bond_sim.instruments import synthetic_markets
from bond_sim.market import SyntheticMarket
from bond_sim.recording import recording_start_ns, symbols
from bond_sim.simulator import Simulator
from bond_sim.subscriptions import Subscription

MARKETS = {
    "binance": {"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"},
    "okx": {"BTC/USDT": "BTC-USDT", "BTC/USDT:USDT": "BTC-USDT-SWAP"},
    "coinbaseexchange": {"BTC/USD": "BTC-USD", "ETH/USD": "ETH-USD"},
}
venues = pytest.mark.parametrize("venue", MARKETS)
MS = 1_000_000


@venues
def test_trades_and_quotes_arrive(kit, venue):
    """
    Every trade of the simulated market arrives with its id, time, price, size and taker's side.
    """
    symbols = MARKETS[venue]

    async def go():
        async with Simulator(clock=SystemClock(), seed=11) as simulator:
            wanted = [kit.Want(channel, s) for channel in ("trades", "quotes") for s in symbols]
            ctx = kit.Context(wanted, simulator.url)
            async with kit.running(CcxtConnector(CcxtConfig(venue)), ctx):
                await ctx.until(
                    lambda: (
                        len(ctx.events("trades")) >= 10
                        and {t.symbol for t in ctx.events("trades")} == set(symbols)
                        and {q.symbol for q in ctx.events("quotes")} == set(symbols)
                    )
                )
                now_ns = ctx.clock.now_ns()
                connections = dict(simulator.subscriptions.connections_opened)
            return ctx, now_ns, connections

    ctx, now_ns, connections = asyncio.run(go())
    assert connections == {venue: 1}
    assert sorted(ctx.lives) == sorted((c, s) for c in ("trades", "quotes") for s in symbols)
    assert ctx.failures == []
    market = SyntheticMarket(11, {(i.venue, i.id): i for i in synthetic_markets()})
    for symbol, id in symbols.items():
        instrument = market.instruments[venue, id]
        known = {str(t.id): t for t in market.recent(instrument, now_ns, 500)}
        heard = [t for t in ctx.events("trades") if t.symbol == symbol]
        assert heard
        unit_ns = 1000 if venue == "coinbaseexchange" else MS  # as finely as the venue writes it
        for trade in heard:
            truth = known[trade.id]
            assert trade.seq == truth.id
            assert trade.price == float(truth.price)
            assert trade.size == pytest.approx(
                float(truth.size) * float(instrument.contract_size or 1), rel=1e-12
            )
            assert trade.side == truth.side
            assert trade.ts == truth.at_ns // unit_ns * unit_ns
            assert trade.size_unit is None
        quotes = [q for q in ctx.events("quotes") if q.symbol == symbol]
        assert quotes
        assert all(0 < q.bid < q.ask for q in quotes)


def _okx_row(frame):
    if frame.get("arg", {}).get("channel") == "trades":
        for t in frame.get("data", ()):
            yield t["tradeId"], t["px"], t["sz"], int(t["ts"]) * MS, t["side"]


def _coinbase_row(frame):
    if frame.get("type") == "match":
        whole, _, micros = frame["time"].removesuffix("Z").partition(".")
        seconds = round(datetime.fromisoformat(whole + "+00:00").timestamp())
        ts = seconds * 10**9 + int(micros.ljust(6, "0")) * 1000
        side = {"buy": "sell", "sell": "buy"}[frame["side"]]  # the file has the maker's
        yield str(frame["trade_id"]), frame["price"], frame["size"], ts, side


@pytest.mark.parametrize(
    ("venue", "file", "rows"),
    [("okx", "OKX.ws.1.0", _okx_row), ("coinbaseexchange", "COINBASE.ws.28.0", _coinbase_row)],
)
def test_a_recorded_session_arrives_whole(kit, recorded, venue, file, rows):
    """
    Every trade in the recording arrives, at its receipt time and with the file's own values.
    """
    path = recorded / "cryptofeed" / file
    expected = []
    for line in path.read_text(encoding="utf-8").splitlines():
        receipt, found, text = line.partition(": ")
        if found and re.fullmatch(r"[0-9.]+", receipt) and text.startswith("{"):
            expected += [(float(receipt) * 1e6, row) for row in rows(json.loads(text))]
    assert len(expected) > 70
    markets = [s for s in symbols(path) if "trades" in s.channels]

    async def go():
        clock = ManualClock(recording_start_ns(path))
        options = {"recording": path, "speed": "max"}
        async with Simulator(clock=clock, options=options) as simulator:
            wanted = [kit.Want(c, s.symbol) for s in markets for c in ("trades", "quotes")]
            ctx = kit.Context(wanted, simulator.url, clock)
            async with kit.running(CcxtConnector(CcxtConfig(venue)), ctx):
                both = [(c, s.id) for s in markets for c in ("trades", "quotes")]
                await simulator.play(both, within_s=20)
            return ctx

    ctx = asyncio.run(go())
    heard = [(t.id, t.price, t.size, t.ts, t.side) for t in ctx.events("trades")]
    assert heard == [
        (id, float(price), float(size), *rest) for _, (id, price, size, *rest) in expected
    ]
    frames = zip(ctx.heard_ns["trades"], ctx.frames["trades"], strict=True)
    heard_us = [at_ns / 1000 for at_ns, frame in frames for _ in frame]
    assert heard_us == pytest.approx([receipt_us for receipt_us, _ in expected], abs=2)
    assert ctx.failures == []
    assert len(ctx.events("quotes")) > 20


def test_inverse_contracts_say_what_they_are(kit):
    """
    The size of an inverse swap stays in contracts, and says what a contract is.
    """

    async def go():
        async with Simulator(clock=SystemClock(), seed=11) as simulator:
            ctx = kit.Context([kit.Want("trades", "BTC/USD:BTC")], simulator.url)
            async with kit.running(CcxtConnector(CcxtConfig("okx")), ctx):
                await ctx.until(lambda: ctx.events("trades"))
            return ctx

    ctx = asyncio.run(go())
    trade = ctx.events("trades")[0]
    assert trade.size_unit == "100 USD contracts"
    assert trade.size == int(trade.size) > 0


@venues
def test_a_burst_of_60000_trades_arrives_whole(kit, venue):
    """
    60,000 trades sent without a pause all arrive, where ccxt.pro by itself keeps the last 1,000.
    """
    symbol, id = next(iter(MARKETS[venue].items()))

    async def go():
        # The market's own clock stands still, so that nothing but the burst is sent.
        async with Simulator(clock=ManualClock(), seed=5) as simulator:
            ctx = kit.Context([kit.Want("trades", symbol)], simulator.url)
            async with kit.running(CcxtConnector(CcxtConfig(venue)), ctx):
                await simulator.subscribed([("trades", id)], within_s=20)
                assert await simulator.burst(venue, id, 60_000) == 60_000
                await ctx.until(lambda: len(ctx.frames["trades"]) >= 60_000, within_s=60)
            return ctx

    ctx = asyncio.run(go())
    seqs = [trade.seq for trade in ctx.events("trades")]
    assert seqs == list(range(seqs[0], seqs[0] + 60_000))


@venues
def test_symbols_come_and_go_without_disturbing_others(kit, venue):
    """
    A symbol that joins or leaves costs one request; the other is not subscribed again.
    """
    (first, first_id), (second, second_id) = MARKETS[venue].items()

    async def go():
        async with Simulator(clock=SystemClock(), seed=2) as simulator:
            kept = kit.Want("trades", first)
            ctx = kit.Context([kept], simulator.url)
            async with kit.running(CcxtConnector(CcxtConfig(venue)), ctx):
                await ctx.until(lambda: ctx.events("trades"))
                ctx.wanted.set([kept, kit.Want("trades", second)])
                await ctx.until(lambda: any(t.symbol == second for t in ctx.events("trades")))
                ctx.wanted.set([kept])
                gone = Subscription(venue, "trades", second_id)
                await ctx.until(lambda: gone not in simulator.subscriptions.open)
                seen = len(ctx.events("trades"))
                await ctx.until(lambda: len(ctx.events("trades")) > seen + 2)
                after = ctx.events("trades")[seen:]
                ctx.wanted.set([kept, kit.Want("trades", second)])
                await simulator.subscribed([("trades", second_id)], within_s=10)
            return ctx, simulator.subscriptions, after

    ctx, counted, after = asyncio.run(go())
    assert counted.opened[Subscription(venue, "trades", first_id)] == 1
    assert counted.opened[Subscription(venue, "trades", second_id)] == 2
    assert counted.connections_opened[venue] == 1
    assert {trade.symbol for trade in after[1:]} == {first}
    ids = [(trade.symbol, trade.id) for trade in ctx.events("trades")]
    assert len(ids) == len(set(ids))


@venues
@pytest.mark.parametrize("code", [None, 1001])
def test_a_closed_connection_is_retryable(kit, venue, code):
    """
    A venue that closes, politely or not, raises Retryable; run again, the connector listens.
    """
    symbol = next(iter(MARKETS[venue]))

    async def go():
        async with Simulator(clock=SystemClock(), seed=2) as simulator:
            ctx = kit.Context([kit.Want("trades", symbol)], simulator.url)
            connector = CcxtConnector(CcxtConfig(venue))
            async with kit.running(connector, ctx) as task:
                await ctx.until(lambda: ctx.events("trades"))
                await simulator.faults.close(venue, code)
                with pytest.raises(Retryable, match=venue):
                    await asyncio.wait_for(asyncio.shield(task), 10)
            seen = len(ctx.events("trades"))
            async with kit.running(connector, ctx):
                await ctx.until(lambda: len(ctx.events("trades")) > seen)

    asyncio.run(go())


def test_an_unreachable_venue_is_retryable(kit):
    """
    Nobody listening at the address raises Retryable, naming the venue.
    """

    async def go():
        ctx = kit.Context([kit.Want("trades", "BTC/USDT")], "http://127.0.0.1:9")
        async with kit.running(CcxtConnector(CcxtConfig("binance")), ctx) as task:
            with pytest.raises(Retryable, match="binance can't be reached"):
                await asyncio.wait_for(asyncio.shield(task), 10)

    asyncio.run(go())


def test_an_unlisted_symbol_fails_alone(kit):
    """
    A symbol that the venue doesn't list is failed with the nearest it has; the rest is heard.
    """

    async def go():
        async with Simulator(clock=SystemClock(), seed=2) as simulator:
            wanted = [kit.Want("trades", s) for s in ("BTC/USD", "BTC/USDT", "QQQ/USDT")]
            ctx = kit.Context(wanted, simulator.url)
            async with kit.running(CcxtConnector(CcxtConfig("binance")), ctx):
                await ctx.until(lambda: ctx.events("trades"))
            return ctx

    ctx = asyncio.run(go())
    failed = {symbol: reason for _, symbol, reason in ctx.failures}
    assert set(failed) == {"BTC/USD", "QQQ/USDT"}
    assert failed["BTC/USD"] == "binance doesn't list BTC/USD; it has BTC/USDT, BTC/USDT:USDT"
    assert failed["QQQ/USDT"].startswith("binance doesn't list QQQ/USDT; it has ")


def test_a_market_listed_later_is_found(kit):
    """
    A symbol missing from a list an hour old is looked for again; others are heard meanwhile.
    """

    async def go():
        async with Simulator(clock=SystemClock(), seed=2) as simulator:
            ctx = kit.Context([kit.Want("trades", "BTC/USDT")], simulator.url)
            connector = CcxtConnector(CcxtConfig("binance"))
            connector.listing.markets = [kit.market("BTCUSDT", "BTC/USDT")]
            connector.listing.loaded_ns = ctx.clock.monotonic_ns()
            async with kit.running(connector, ctx):
                await ctx.until(lambda: ctx.events("trades"))
                ctx.wanted.set([*ctx.wanted.now, kit.Want("trades", "ETH/USDT")])
                await ctx.until(lambda: ctx.failures)
                connector.listing.loaded_ns -= 3601 * 10**9
                ctx.wanted.set([*ctx.wanted.now, kit.Want("quotes", "ETH/USDT")])
                await ctx.until(lambda: ctx.events("quotes"))
            return ctx

    ctx = asyncio.run(go())
    assert ctx.failures == [
        ("trades", "ETH/USDT", "binance doesn't list ETH/USDT; it has BTC/USDT")
    ]


def test_a_venue_the_simulator_lacks_is_refused(kit):
    """
    Simulation is never left for the real venue: an unserved one is Fatal, naming the served.
    """

    async def go():
        ctx = kit.Context([kit.Want("trades", "BTC/USDT")], "http://127.0.0.1:9")
        await CcxtConnector(CcxtConfig("bitstamp")).run(ctx)

    with pytest.raises(Fatal, match="doesn't serve bitstamp: it serves binance, okx"):
        asyncio.run(go())


def test_a_venue_that_does_not_exist_is_refused(kit):
    """
    An id that ccxt.pro has no client for is Fatal.
    """

    async def go():
        await CcxtConnector(CcxtConfig("nasdaq")).run(kit.Context([]))

    with pytest.raises(Fatal, match="no WebSocket client for 'nasdaq'"):
        asyncio.run(go())


def test_cancelling_while_it_connects(kit):
    """
    A connector that is cancelled at any point of its start leaves in time and cleanly.
    """

    async def go():
        async with Simulator(clock=SystemClock(), seed=2) as simulator:
            for turns in (0, 1, 3, 10, 30, 60, 100, 200):
                wanted = [kit.Want(c, "BTC/USDT") for c in ("trades", "quotes")]
                ctx = kit.Context(wanted, simulator.url)
                async with kit.running(CcxtConnector(CcxtConfig("okx")), ctx):
                    for _ in range(turns):
                        await asyncio.sleep(0.001)

    asyncio.run(go())
