"""Finnhub on loopback, under the real supervisor, and from a sentence to the records."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from bond_core.errors import SetupError
from bond_core.log.offset import START
from bond_core.plugin import Secret
from bond_core.runtime.binding import Defaults
from bond_core.testing.hearing import HurriedClock, hearing
from bond_finnhub.plugin import FinnhubConfig, bond_connectors
from bond_finnhub.simulator import FinnhubSimulator
from bond_server.local import Bond

(FINNHUB,) = bond_connectors()
FRIDAY_NS = int(datetime(2026, 11, 20, 15, tzinfo=UTC).timestamp()) * 10**9
SATURDAY_NS = FRIDAY_NS + 86_400 * 10**9
FRIDAY_MS = FRIDAY_NS // 10**6


@asynccontextmanager
async def finnhub(*, at_ns=FRIDAY_NS, key="a-key", **options):
    """Run a simulated Finnhub and the connector against it; the market is open."""
    clock = HurriedClock(20.0, at_ns)
    async with (
        FinnhubSimulator(clock=clock, seed=3, options=options) as simulator,
        hearing(FINNHUB, FinnhubConfig(Secret(key)), simulator.url, clock) as heard,
    ):
        yield simulator, heard


def run(scenario, **options):
    """Run a scenario against them."""

    async def go():
        async with finnhub(**options) as (simulator, heard):
            return await scenario(simulator, heard)

    return asyncio.run(go())


def test_trades_come_as_they_were_sent():
    """Several of a message, each to the millisecond, in their order."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", "MSFT")
        for symbol in ("AAPL", "MSFT"):
            await heard.until(lambda s=symbol: len(heard.ear("trades", s).events) > 40)
        return {key.symbol: list(ear.events) for key, ear in heard.ears.items()}, simulator

    events, simulator = run(scenario)
    for symbol, got in events.items():
        sent = [(r["t"] * 10**6, r["p"], r["v"]) for r in simulator.told if r["s"] == symbol]
        assert [(e.ts, e.price, e.size) for e in got] == sent[: len(got)]
    assert simulator.asked == [
        {"type": "subscribe", "symbol": "AAPL"},
        {"type": "subscribe", "symbol": "MSFT"},
    ]
    assert simulator.server.opened == 1


def test_a_wrong_key_fails_for_good():
    """Refused once, with the variable and where to look."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        return await heard.status("trades", "AAPL", "failed")

    reason = run(scenario, key="wrong")
    assert "FINNHUB_API_KEY" in reason
    assert "finnhub.io/dashboard" in reason
    assert "401" in reason


def test_a_key_that_is_refused_later_fails_too():
    """Finnhub may say so on the connection."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.until(lambda: heard.ear("trades", "AAPL").events)
        await simulator.say({"type": "error", "msg": "Invalid API key"})
        return await heard.status("trades", "AAPL", "failed")

    assert "Invalid API key" in run(scenario)


def test_a_connection_that_is_taken_is_waited_for():
    """429 while another program has it; heard once that is gone."""

    async def scenario(simulator, heard):
        from websockets.asyncio.client import connect

        async with connect(f"{simulator.url}/?token=a-key"):
            heard.want("trades", "AAPL")
            reason = await heard.status("trades", "AAPL", "reconnecting")
        await heard.status("trades", "AAPL", "live")
        return reason

    assert "another program has it" in run(scenario)


def test_the_last_of_too_many_symbols_fail_and_come_in_when_there_is_room():
    """Of four where there is room for two, the last two; one of them follows who leaves."""

    async def scenario(simulator, heard):
        heard.want("trades", "A", "B", "C", "D")
        reasons = [await heard.status("trades", symbol, "failed") for symbol in ("C", "D")]
        for symbol in ("A", "B"):
            await heard.status("trades", symbol, "live")
        heard.drop("trades", "A")
        await heard.until(
            lambda: "live" in (heard.ear("trades", "C").status, heard.ear("trades", "D").status)
        )
        return reasons, heard.ear("trades", "B").status

    reasons, status = run(scenario, symbols=2)
    assert all("Subscribing to too many symbols" in reason for reason in reasons)
    assert all("ask for fewer" in reason for reason in reasons)
    assert status == "live"


def test_a_broken_connection_is_resumed():
    """Everything is asked for again, and what may be missing is told."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        simulator.server.cut()
        await heard.status("trades", "AAPL", "reconnecting")
        await heard.status("trades", "AAPL", "live")
        return heard.ear("trades", "AAPL").gaps, simulator.asked

    gaps, asked = run(scenario)
    assert len(gaps) == 1
    assert asked == [{"type": "subscribe", "symbol": "AAPL"}] * 2


def test_pings_are_no_life_while_the_market_is_open():
    """Frozen though pinged: stale, and live again with the next trade."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", stale_s=0.3)
        await heard.until(lambda: heard.ear("trades", "AAPL").events)
        simulator.freeze()
        reason = await heard.status("trades", "AAPL", "stale")
        simulator.freeze(False)
        await heard.until(lambda: heard.ear("trades", "AAPL").status == "live")
        return reason

    assert "nothing new on trades" in run(scenario, ping_s=0.05)


def test_pings_are_life_while_it_is_closed():
    """On a Saturday it is live by them, and stale without."""

    async def scenario(simulator, heard):
        simulator.freeze()
        heard.want("trades", "AAPL", stale_s=0.6)
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.heartbeats) > 8)
        states = [status for status, _ in ear.statuses]
        simulator.mute()
        await heard.status("trades", "AAPL", "stale")
        return states

    assert run(scenario, at_ns=SATURDAY_NS, ping_s=0.1) == ["starting", "live"]


def test_what_is_no_trade_is_counted_and_told():
    """A price without volume, a row without a price, a time to come, words nobody knows."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.until(lambda: heard.ear("trades", "AAPL").events)
        simulator.freeze()
        good = {"p": 5.0, "s": "AAPL", "t": FRIDAY_MS, "v": 100, "c": None}
        await simulator.tell(
            good, {**good, "v": 0}, {"s": "AAPL", "t": 1, "v": 1}, {**good, "t": FRIDAY_MS * 2}
        )
        await simulator.say({"type": "error", "msg": "Invalid symbol"})
        await simulator.say("no json")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.rejected) == 5)
        await simulator.tell(good)
        await heard.until(lambda: sum(e.price == 5.0 for e in ear.events) == 2)
        return ear.rejected

    assert run(scenario) == {
        "a price without a trade": 1,
        "a trade has not the form it should": 1,
        "its time lies in the future": 1,
        "Finnhub says: Invalid symbol": 1,
        "a message could not be read (DecodeError)": 1,
    }


def test_a_sentence_becomes_records_of_what_was_traded():
    """Two streams on one connection; each whole second is what the messages add up to."""

    async def go():
        async with Bond(seed=5, defaults=Defaults(simulate=True)) as bond:
            texts = (
                "AAPL price + volume from finnhub every 1s",
                "MSFT price from finnhub every 1s",
            )
            compiled = [bond.compile({"natural_language": text}) for text in texts]
            stream, other = [(await bond.create(each))[0] for each in compiled]
            records = await whole_records(bond, stream, 3)
            await whole_records(bond, other, 1)
            simulator = await bond.simulators.running(bond.catalog.connector("finnhub"))
            return records, list(simulator.told), simulator.server.opened

    records, told, opened = asyncio.run(go())
    seconds = defaultdict(list)
    for row in (row for row in told if row["s"] == "AAPL"):
        seconds[row["t"] // 1000].append(row)
    assert opened == 1
    for record in records:
        rows = seconds[int(datetime.fromisoformat(record["window_start"]).timestamp())]
        rows = sorted(rows, key=lambda row: row["t"])
        prices = [Decimal(str(row["p"])) for row in rows]
        volume = sum(row["v"] for row in rows)
        vwap = sum(p * row["v"] for p, row in zip(prices, rows, strict=True)) / volume
        assert record["sources"]["finnhub"]["simulated"] is True
        assert (record["trades"], record["volume_sum"]) == (len(rows), volume)
        assert record["price_open"] == float(prices[0])
        assert record["price_high"] == float(max(prices))
        assert record["price_low"] == float(min(prices))
        assert record["price_close"] == float(prices[-1])
        assert record["price_avg"] == pytest.approx(float(sum(prices) / len(prices)), rel=1e-12)
        assert record["vwap"] == pytest.approx(float(vwap), rel=1e-12)


async def whole_records(bond, stream, n):
    """Read a stream until it has n records of windows that were heard from end to end."""
    records, cursor = [], bond.cursor(stream.stream_id, START)
    async with asyncio.timeout(30):
        while len(records) < n:
            for entry in (await cursor.next(1)).entries:
                record = msgspec.json.decode(entry.data)
                if not record["partial"] and record["sources"]["finnhub"]["coverage"] == 1.0:
                    records.append(record)
    return records


def test_without_a_key_it_is_refused_with_where_to_get_one(monkeypatch):
    """Before anything runs."""
    monkeypatch.delenv("FINNHUB_API_KEY", raising=False)
    with pytest.raises(SetupError) as refused:
        Bond().compile({"natural_language": "AAPL price from finnhub every 1s"})

    assert refused.value.code == "missing_key"
    assert "FINNHUB_API_KEY" in str(refused.value)
    assert "finnhub.io/dashboard" in str(refused.value)
