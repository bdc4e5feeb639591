"""From a sentence, through the massive library and a simulated Massive, to the records."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

pytest.importorskip("massive", reason="massive is not installed")

from bond_core.errors import SetupError
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_server.local import Bond


async def whole_records(bond, stream, n):
    """Read a stream until it has n records of windows that were heard from end to end."""
    records, cursor = [], bond.cursor(stream.stream_id, START)
    async with asyncio.timeout(30):
        while len(records) < n:
            for entry in (await cursor.next(1)).entries:
                record = msgspec.json.decode(entry.data)
                whole = all(s["coverage"] == 1.0 for s in record["sources"].values())
                if not record["partial"] and whole:
                    records.append(record)
    return records


def test_a_sentence_becomes_records_of_what_was_traded():
    """Two streams on one connection; each whole second is what the messages add up to."""

    async def go():
        async with Bond(seed=5, defaults=Defaults(simulate=True)) as bond:
            texts = (
                "AAPL price + volume from polygon every 1s",
                "MSFT bid and ask from polygon every 1s",
            )
            compiled = [bond.compile({"natural_language": text}) for text in texts]
            stream, other = [(await bond.create(each))[0] for each in compiled]
            records = await whole_records(bond, stream, 3)
            quotes = await whole_records(bond, other, 1)
            simulator = await bond.simulators.running(bond.catalog.connector("polygon"))
            return records, quotes, list(simulator.told), simulator.server.opened

    records, quotes, told, opened = asyncio.run(go())
    seconds = defaultdict(list)
    for trade in told:
        if trade["ev"] == "T" and trade["sym"] == "AAPL" and trade["c"] != [15]:
            seconds[trade["t"] // 1000].append(trade)
    assert opened == 1
    assert quotes[0]["bid_avg"] < quotes[0]["ask_avg"]
    for record in records:
        rows = seconds[int(datetime.fromisoformat(record["window_start"]).timestamp())]
        rows.sort(key=lambda t: (t["t"], t["q"]))
        sizes = [Decimal(t["ds"]) for t in rows]
        priced = [t for t in rows if not {37, 32, 2} & set(t["c"])]
        prices = [Decimal(str(t["p"])) for t in priced]
        value = sum(p * Decimal(t["ds"]) for p, t in zip(prices, priced, strict=True))
        vwap = value / sum(Decimal(t["ds"]) for t in priced)
        assert record["sources"]["polygon"]["simulated"] is True
        assert (record["trades"], record["volume_sum"]) == (len(rows), float(sum(sizes)))
        assert record["price_open"] == float(prices[0])
        assert record["price_high"] == float(max(prices))
        assert record["price_low"] == float(min(prices))
        assert record["price_close"] == float(prices[-1])
        assert record["price_avg"] == pytest.approx(float(sum(prices) / len(prices)), rel=1e-12)
        assert record["vwap"] == pytest.approx(float(vwap), rel=1e-12)


def test_without_a_key_it_is_refused_with_where_to_get_one(monkeypatch):
    """Before anything runs, and before the library loads."""
    monkeypatch.delenv("POLYGON_API_KEY", raising=False)
    with pytest.raises(SetupError) as refused:
        Bond().compile({"natural_language": "AAPL price from polygon every 1s"})

    assert refused.value.code == "missing_key"
    assert "POLYGON_API_KEY" in str(refused.value)
    assert "massive.com/dashboard" in str(refused.value)
