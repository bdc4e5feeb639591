"""From a TWS on loopback, through a sentence or a spec, to records with values computed apart."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from bond_core.errors import RequestError
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_server.local import Bond

SIMULATOR = "bond_ibkr.simulator:TwsSimulator"
TRADES = [(230.10, 100), (230.40, 50), (229.90, 200), (230.20, 25), (230.30, 125)]
"""Price and size, as they are sent."""


class Run:
    """A Bond, the simulated TWS behind it, and its streams' records."""

    def __init__(self, bond, tws):
        self.bond, self.tws = bond, tws

    async def listen(self, request):
        """Create a stream; return what reads its records until one fits."""
        stream, _ = await self.bond.create(self.bond.compile(request))
        cursor = self.bond.cursor(stream.stream_id, START)

        async def until(done):
            async with asyncio.timeout(30):
                while True:
                    for entry in (await cursor.next(1)).entries:
                        record = msgspec.json.decode(entry.data)
                        if done(record):
                            return record

        until.health = stream.health
        return until


@asynccontextmanager
async def running(**options):
    """Run a Bond on which everything is simulated; nothing trades but what a test says."""
    options = {SIMULATOR: {"per_s": 0.0, **options}}
    simulated = Defaults(simulate=True)
    async with Bond(seed=7, defaults=simulated, simulator_options=options) as bond:
        tws = await bond.simulators.running(bond.catalog.connector("ibkr"))
        yield Run(bond, tws)


def spec(*, symbol="AAPL", interval=1, **more):
    """Return the spec of one symbol of ibkr."""
    source = {"type": "ibkr", "lateness_sec": 0, **more.pop("source", {})}
    return {"spec": {"sources": [source], "symbols": [symbol], "interval_sec": interval, **more}}


def at(second):
    """Return a second as records write it."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def traded(run, kit, symbol="AAPL", kinds=("Last",), trades=TRADES):
    """Let it trade within one second; return which."""
    for kind in kinds:
        await kit.subscribed(run.tws, symbol, kind)
    second = run.tws.clock.now_ns() // kit.NS
    for price, size, *unreported in trades:
        run.tws.trade(symbol, price, size, at_s=second, unreported=bool(unreported))
    return second


def test_a_sentence_brings_what_was_traded(kit):
    """
    `AAPL price from ibkr every 1s`: each value is that of the trades of its second, in order.
    """

    async def go():
        async with running() as run:
            until = await run.listen({"natural_language": "AAPL price from ibkr every 1s"})
            second = await traded(run, kit)
            record = await until(lambda r: r["trades"])
            return second, record, run.tws.asked

    second, record, asked = asyncio.run(go())
    prices, sizes = zip(*TRADES, strict=True)
    assert record["window_start"] == at(second)
    assert record["price_open"] == 230.10
    assert record["price_close"] == 230.30
    assert record["price_high"] == 230.40
    assert record["price_low"] == 229.90
    assert record["price_avg"] == pytest.approx(statistics.fmean(prices), rel=1e-12)
    worth = sum(price * size for price, size in TRADES)
    assert record["vwap"] == pytest.approx(worth / sum(sizes), rel=1e-12)
    assert (record["volume_sum"], record["trades"]) == (500.0, 5)
    assert record["sources"]["ibkr"]["simulated"] is True
    assert [a[2] for a in asked if a[0] == "subscribe"] == ["Last"]


def test_a_spec_without_fields_has_trades_and_quotes(kit):
    """
    By contract id, with its trades and its best bid and ask from two upstream requests.
    """

    async def go():
        async with running() as run:
            until = await run.listen(spec(symbol="265598"))
            await kit.subscribed(run.tws, "AAPL", "BidAsk")
            second = await traded(run, kit)
            run.tws.quote("AAPL", 230.0, 230.1, at_s=second)
            run.tws.quote("AAPL", 230.2, 230.5, at_s=second)
            return await until(lambda r: r["trades"] and r["bid_avg"])

    record = asyncio.run(go())
    assert record["symbol"] == "265598"
    assert record["bid_avg"] == pytest.approx(230.1)
    assert record["ask_avg"] == pytest.approx(230.3)
    assert record["volume_sum"] == 500.0


def test_two_streams_share_one_upstream(kit):
    """
    Two streams of one contract and tick type make one request, and both have its trades.
    """

    async def go():
        async with running() as run:
            fields = ["price_close", "trades"]
            first = await run.listen(spec(fields=fields))
            second = await run.listen(spec(fields=fields, interval=2))
            await traded(run, kit)
            records = await first(lambda r: r["trades"]), await second(lambda r: r["trades"])
            return records, run.tws.asked, run.tws.dialled

    records, asked, dialled = asyncio.run(go())
    assert [record["trades"] for record in records] == [5, 5]
    assert asked.count(("subscribe", "AAPL", "Last")) == 1
    assert dialled == 1


def test_event_types_choose_all_last_beside_last(kit):
    """
    One stream hears AllLast, another Last: each its own request, on one connection. A trade that
    exchanges don't report counts for the volume of the first, and for no price.
    """

    async def go():
        async with running() as run:
            chosen = {"event_types": ["AllLast"]}
            fields = ["trades", "volume_sum", "price_high", "price_close"]
            all_last = await run.listen(spec(source=chosen, fields=fields))
            last = await run.listen(spec(fields=fields))
            odd = [(999.0, 7, True)]
            await traded(run, kit, kinds=("Last", "AllLast"), trades=[*TRADES, *odd])
            records = [await until(lambda r: r["trades"]) for until in (all_last, last)]
            return records, run.tws.asked, run.tws.dialled

    records, asked, dialled = asyncio.run(go())
    assert [(r["trades"], r["volume_sum"]) for r in records] == [(6, 507.0), (5, 500.0)]
    assert [(r["price_high"], r["price_close"]) for r in records] == [(230.40, 230.30)] * 2
    assert sorted(a[2] for a in asked if a[0] == "subscribe") == ["AllLast", "Last"]
    assert dialled == 1


def test_midpoints_give_prices_without_volume(kit):
    """
    A contract that has no trades has a price by its midpoints; trades and volume are unknown.
    """

    async def go():
        async with running() as run:
            chosen = {"event_types": ["MidPoint"]}
            until = await run.listen(spec(symbol="12087792", source=chosen))
            await kit.subscribed(run.tws, "EUR", "MidPoint")
            second = run.tws.clock.now_ns() // kit.NS
            for price in (1.0501, 1.0503, 1.0502):
                run.tws.midpoint("EUR", price, at_s=second)
            return await until(lambda r: r["price_avg"]), run.tws.asked

    record, asked = asyncio.run(go())
    assert (record["price_open"], record["price_high"], record["price_close"]) == (
        1.0501, 1.0503, 1.0502,
    )  # fmt: skip
    assert "trades" not in record or record["trades"] is None
    assert [a[2] for a in asked if a[0] == "subscribe"] == ["MidPoint"]


def test_bars_are_candles(kit):
    """
    Fields of candles ask for real-time bars, and take no tick-by-tick line.
    """

    async def go():
        async with running() as run:
            until = await run.listen(spec(fields=["candle_close", "candle_volume"]))
            await kit.subscribed(run.tws, "AAPL", "")
            run.tws.bar("AAPL", 1_700_000_000, (230.0, 231.0, 229.0, 230.5), 900)
            return await until(lambda r: r["candle_close"]), run.tws.asked

    record, asked = asyncio.run(go())
    assert (record["candle_close"], record["candle_volume"]) == (230.5, 900.0)
    assert [a[2] for a in asked if a[0] == "subscribe"] == [""]


def test_a_restart_of_tws_is_in_the_records(kit):
    """
    TWS goes and comes back: its records say so, the gap is told, and each trade counts once.
    """

    async def go():
        async with running() as run:
            until = await run.listen(spec(fields=["trades", "price_close"]))
            await traded(run, kit)
            before = await until(lambda r: r["trades"])
            await run.tws.stop()
            await kit.until(lambda: until.health()["ibkr"]["status"] == "reconnecting")
            await run.tws.start()
            told = []
            await traded(run, kit, trades=[(231.0, 1)])
            after = await until(lambda r: told.append(r) or r["trades"])
            return before, after, told

    before, after, told = asyncio.run(go())
    assert (before["trades"], after["trades"], after["price_close"]) == (5, 1, 231.0)
    assert "TWS" in " ".join(r["sources"]["ibkr"].get("reason", "") for r in told)
    assert "gap" in {notice["code"] for record in told for notice in record["notices"]}


def test_what_may_not_be_heard_is_in_the_records(kit):
    """
    No permission for a contract: its record says so with what to do, and price stays unknown.
    """

    async def go():
        async with running() as run:
            run.tws.refuse(10189, "No market data permissions for ISLAND STK", symbol="AAPL")
            until = await run.listen({"natural_language": "AAPL price from ibkr every 1s"})
            return await until(lambda r: r["sources"]["ibkr"]["status"] == "failed")

    record = asyncio.run(go())
    assert "Market Data Subscriptions" in record["sources"]["ibkr"]["reason"]
    assert (record["price_avg"], record["trades"]) == (None, None)


@pytest.mark.parametrize(
    ("event_types", "told"),
    [(["AllLats"], "no event type 'AllLats'"), (["Last", "AllLast"], "count twice")],
)
def test_event_types_that_make_no_sense_are_refused(event_types, told):
    """
    An unknown one is refused with the nearest, two that hear the same trades with why.
    """

    async def go():
        async with running() as run:
            run.bond.compile(spec(source={"event_types": event_types}))

    with pytest.raises(RequestError, match=told) as refused:
        asyncio.run(go())
    (problem,) = refused.value.problems
    assert problem.pointer == "/spec/sources/0/event_types"
    assert problem.did_you_mean


def test_the_synthetic_market_is_labelled(kit):
    """
    Left to itself the simulator trades, and every record that knows a price says simulated.
    """

    async def go():
        async with running(per_s=20.0) as run:
            until = await run.listen({"natural_language": "MSFT price from ibkr every 1s"})
            return await until(lambda r: (r["trades"] or 0) > 5)

    record = asyncio.run(go())
    assert record["sources"]["ibkr"]["simulated"] is True
    assert record["price_low"] <= record["vwap"] <= record["price_high"]
