"""Price and posts in one stream, from simulated venues and a simulated X to the records."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec
import pytest

from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_server.local import Bond

pytest.importorskip("bond_sim.simulator", reason="bond-sim is not installed")

SIMULATOR = "bond_x.simulator:XSimulator"


class Run:
    """A stream, the simulated X behind it, and its records."""

    def __init__(self, bond, stream, x):
        self.x = x
        self.records = []
        self._cursor = bond.cursor(stream.stream_id, START)

    async def until(self, done):
        """Read on until a record fits; return it."""
        async with asyncio.timeout(30):
            while True:
                for entry in (await self._cursor.next(1)).entries:
                    self.records.append(msgspec.json.decode(entry.data))
                    if done(self.records[-1]):
                        return self.records[-1]


@asynccontextmanager
async def running(request, **options):
    """Run a request, simulated."""
    options = {"keepalive_s": 0.2, **options}
    simulated = Defaults(simulate=True)
    async with Bond(seed=7, defaults=simulated, simulator_options={SIMULATOR: options}) as bond:
        stream, _ = await bond.create(bond.compile(request))
        x = await bond.simulators.running(bond.catalog.connector("twitter"))
        yield Run(bond, stream, x)


def joined(**source):
    """Return the spec of prices with posts, every half second."""
    return {
        "spec": {
            "sources": [{"type": "ccxt"}, {"type": "twitter", "symbols": ["BTC"], **source}],
            "symbols": ["BTC/USDT"], "interval_sec": 0.5,
            "derived": ["authors", "engagement"],
        }
    }  # fmt: skip


def test_a_sentence_joins_prices_and_posts():
    """
    `BTC price + tweets every 1s` has both in a record, each source labelled as simulated.
    """

    async def go():
        request = {"natural_language": "BTC price + tweets every 1s"}
        async with running(request, per_s=20.0) as run:
            return await run.until(lambda r: r["tweets"] and r["price_avg"])

    record = asyncio.run(go())
    assert record["symbol"] == "BTC/USDT"
    assert {"binance", "okx", "x"} <= record["sources"].keys()
    assert all(s["simulated"] for s in record["sources"].values())
    assert record["sources"]["x"]["count"] == record["tweets"] > 0
    assert set(record["raw_data"]["sources"]) <= {"binance", "okx"}


def test_nothing_heard_is_zero_and_not_heard_is_null():
    """
    Up and nobody posts: 0. Down: null, with the reason, while prices come as ever. Then numbers.
    """

    async def go():
        async with running(joined(), per_s=0.0) as run:
            silent = await run.until(
                lambda r: r["sources"]["x"]["coverage"] == 1.0 and r["tweets"] == 0
            )
            run.x.refuse("stream", 503, {"title": "Overloaded"}, times=3)
            run.x.drop()
            down = await run.until(lambda r: r["tweets"] is None)
            up = await run.until(
                lambda r: r["tweets"] == 0 and r["sources"]["x"]["status"] == "live"
            )
            for author in ("lena", "tom", "lena"):
                run.x.write("$BTC", author=author, likes=2)
            heard = await run.until(lambda r: r["tweets"])
            return silent, down, up, heard, run.records

    silent, down, up, heard, records = asyncio.run(go())
    assert silent["sources"]["x"]["status"] == "live"
    assert down["sources"]["x"]["status"] == "reconnecting"
    assert down["sources"]["x"]["coverage"] == 0.0
    assert down["price_avg"] is not None
    assert up["engagement"] is None
    assert sum(r["tweets"] or 0 for r in records) == 3
    assert (heard["tweets"], heard["authors"], heard["engagement"]) == (3, 2, 6)
    # One record for each half second, whatever became of the posts.
    ends = [datetime.fromisoformat(r["ts"]).timestamp() for r in records]
    assert ends == [ends[0] + n / 2 for n in range(len(ends))]


def test_a_source_that_hangs_holds_no_price_back():
    """
    A stream that says nothing at all, not even that it lives, delays no record.
    """

    async def go():
        async with running(joined(), per_s=0.0, keepalive_s=600.0) as run:
            await run.until(lambda r: all(s["coverage"] == 1.0 for s in r["sources"].values()))
            run.x.quiet()
            seen = len(run.records)
            await run.until(lambda _: len(run.records) >= seen + 6)
            return run.records[seen:]

    for record in asyncio.run(go()):
        market = record["sources"]["binance"]
        assert record["price_avg"] is not None
        assert market["coverage"] == 1.0
        assert record["tweets"] == 0


def test_without_a_key_it_is_refused(monkeypatch):
    """
    Not simulated and no key: refused with the variable and where to get it, before anything runs.
    """
    from bond_core.errors import SetupError

    monkeypatch.delenv("X_BEARER", raising=False)
    bond = Bond()
    with pytest.raises(SetupError) as refused:
        bond.compile({"natural_language": "BTC price + tweets every 5s"})

    assert refused.value.code == "missing_key"
    assert "X_BEARER" in str(refused.value)
    assert "console.x.com" in str(refused.value)
