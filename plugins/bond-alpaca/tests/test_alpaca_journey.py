"""From a sentence, over a simulated Alpaca, to the records; computed anew from what was sent."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from bond_core.errors import SetupError
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_server.cli import main
from bond_server.local import Bond

SIMULATOR = "bond_alpaca.simulator:AlpacaSimulator"
SECOND = "AAPL price + volume every 1s"


@asynccontextmanager
async def bond(**options):
    """Run Bond with everything simulated."""
    simulated = Defaults(simulate=True)
    async with Bond(seed=5, defaults=simulated, simulator_options={SIMULATOR: options}) as it:
        yield it


async def records_of(it, stream, enough):
    """Read a stream's records until there are enough."""
    records, cursor = [], it.cursor(stream.stream_id, START)
    async with asyncio.timeout(30):
        while not enough(records):
            records += [msgspec.json.decode(e.data) for e in (await cursor.next(1)).entries]
    return records


def whole(records):
    """Return those of whole windows that were heard from end to end."""
    return [
        r
        for r in records
        if not r["partial"] and all(s["coverage"] == 1.0 for s in r["sources"].values())
    ]


def windows_of(told, symbol):
    """Compute, from Alpaca's own messages, what each second must say: by its start, in decimals."""
    by_second = defaultdict(list)
    for t in told:
        if t["T"] == "t" and t["S"] == symbol and "M" not in t["c"]:
            by_second[t["t"][:19]].append(t)
    computed = {}
    for second, trades in by_second.items():
        odd = set("IZB") if trades[0]["z"] == "A" else set("IZW")
        priced = [t for t in trades if not odd & set(t["c"])]
        prices = [Decimal(str(t["p"])) for t in sorted(priced, key=lambda t: t["t"].ljust(40, "0"))]
        sizes = [t["s"] for t in priced]
        computed[second] = {
            "trades": len(trades),
            "volume_sum": sum(t["s"] for t in trades),
            "price_high": max(prices, default=None),
            "price_low": min(prices, default=None),
            "price_avg": sum(prices) / len(prices) if prices else None,
            "vwap": (
                sum(Decimal(str(t["p"])) * t["s"] for t in priced) / sum(sizes) if sizes else None
            ),
        }
    return computed


def test_a_sentence_about_a_share_becomes_records_of_what_was_traded():
    """Every field of each whole second is what an independent reading of the messages gives."""

    async def go():
        async with bond() as it:
            compiled = it.compile({"natural_language": SECOND})
            stream, _ = await it.create(compiled)
            records = await records_of(it, stream, lambda r: len(whole(r)) >= 4)
            simulator = await it.simulators.running(it.catalog.connector("alpaca"))
            return compiled, whole(records), list(simulator.told)

    compiled, records, told = asyncio.run(go())
    computed = windows_of(told, "AAPL")
    assert [source.type for source in compiled.spec.sources] == ["alpaca"]
    assert "provider=alpaca" in compiled.assumed
    for record in records:
        expected = computed[record["window_start"][:19]]
        assert record["sources"]["alpaca"]["simulated"] is True
        assert record["sources"]["alpaca"]["count"] == expected["trades"]
        assert record["raw_data"]["sources"] == ["alpaca"]
        for field, value in expected.items():
            if value is None:
                assert record[field] is None
            else:
                assert record[field] == pytest.approx(float(value), rel=1e-12), field


def test_all_streams_of_a_key_share_one_connection():
    """Alpaca allows one: three streams of different symbols and fields are all heard on it."""

    async def go():
        async with bond(connections=1) as it:
            texts = (SECOND, "MSFT bid and ask every 1s", "AAPL, IBM price every 2s")
            compiled = [it.compile({"natural_language": text}) for text in texts]
            streams = [(await it.create(each))[0] for each in compiled]
            got = [await records_of(it, s, lambda r: len(whole(r)) >= 2) for s in streams]
            simulator = await it.simulators.running(it.catalog.connector("alpaca"))
            return got, simulator.server.opened

    got, opened = asyncio.run(go())
    assert opened == 1
    assert whole(got[1])[-1]["bid_avg"] < whole(got[1])[-1]["ask_avg"]
    assert {r["symbol"] for r in got[2]} == {"AAPL", "IBM"}


def test_crypto_and_shares_in_one_spec_are_two_sources():
    """Each symbol's record has the source that has it."""

    async def go():
        spec = {
            "sources": [{"type": "alpaca"}, {"type": "alpaca.crypto"}],
            "symbols": ["AAPL", "BTC/USD"], "interval_sec": 1, "fields": ["price_close"],
        }  # fmt: skip
        async with bond() as it:
            stream, _ = await it.create(it.compile({"spec": spec}))
            return whole(await records_of(it, stream, lambda r: len(whole(r)) >= 4))

    records = asyncio.run(go())
    assert {(r["symbol"], *r["sources"]) for r in records} == {
        ("AAPL", "alpaca"),
        ("BTC/USD", "alpaca.crypto"),
    }


def test_a_halt_is_told_and_zero_is_traded_meanwhile():
    """The record says so; nothing traded is 0 and not unknown, since it was heard."""

    async def go():
        async with bond() as it:
            stream, _ = await it.create(it.compile({"natural_language": SECOND}))
            simulator = await it.simulators.running(it.catalog.connector("alpaca"))
            first = await records_of(it, stream, whole)
            simulator.freeze()
            await simulator.halt("AAPL")
            return await records_of(
                it, stream, lambda r: len(r) > len(first) + 1 and r[-1]["trades"] == 0
            )

    records = asyncio.run(go())
    told = [notice for record in records for notice in record["notices"]]
    halts = [notice for notice in told if notice["code"] == "halted"]
    assert len(halts) == 1
    assert "AAPL: Trading Halt" in halts[0]["detail"]
    assert halts[0]["source"] == "alpaca"
    last = records[-1]
    assert (last["volume_sum"], last["price_close"]) == (0.0, None)
    assert datetime.fromisoformat(last["ts"]) > datetime.fromisoformat(halts[0]["from"])


def test_without_a_key_it_is_refused_with_where_to_get_one(monkeypatch):
    """Before anything runs, whoever is named."""
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "POLYGON_API_KEY", "FINNHUB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for text in (SECOND, "AAPL price from alpaca every 1s"):
        with pytest.raises(SetupError) as refused:
            Bond().compile({"natural_language": text})
        assert refused.value.code == "missing_key"
        assert "ALPACA_SECRET_KEY" in str(refused.value)
        assert "app.alpaca.markets" in str(refused.value)


def test_explain_says_what_each_provider_needs(monkeypatch, capsys):
    """Without a key which ones would do; with one, who is asked."""
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "POLYGON_API_KEY", "FINNHUB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    main(["explain", SECOND])
    without = capsys.readouterr().out
    monkeypatch.setenv("ALPACA_API_KEY", "a")
    monkeypatch.setenv("ALPACA_SECRET_KEY", "b")
    main(["explain", SECOND])
    with_one = capsys.readouterr().out

    assert "stock prices need a key: alpaca needs ALPACA_API_KEY" in without
    assert "provider=alpaca" in with_one
    assert "needs" not in with_one
