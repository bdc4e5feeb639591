"""Prices joined with posts, news and what else is said: one record, every source simulated."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec
import pytest

from bond_core.errors import NotInstalledError, SetupError
from bond_core.log.offset import START
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import Defaults
from bond_server.local import Bond
from tests.journeys.command_line import bond as command

for needed in (
    "bond_sim.simulator", "bond_x.simulator", "bond_nitter", "bond_news", "bond_solana",
    "bond_trends",
):  # fmt: skip
    pytest.importorskip(needed, reason=f"{needed} is not installed")

OPTIONS = {
    "bond_x.simulator:XSimulator": {"per_s": 5.0},
    "bond_nitter.simulator:NitterSimulator": {"per_s": 1.0},
    "bond_news.simulator:NewsSimulator": {"per_s": 1.0},
}


@asynccontextmanager
async def records_of(request, **options):
    """Run a request, simulated; gives a function that returns the first record that fits."""
    simulated = Defaults(simulate=True)
    async with Bond(seed=7, defaults=simulated, simulator_options=OPTIONS | options) as bond:
        stream, _ = await bond.create(bond.compile(request))
        cursor = bond.cursor(stream.stream_id, START)

        async def first(fits):
            async with asyncio.timeout(40):
                while True:
                    for entry in (await cursor.next(1)).entries:
                        record = msgspec.json.decode(entry.data)
                        if fits(record):
                            return record

        yield bond, first


def polled(type_, **more):
    """Return a source that is polled as often as it may be."""
    return {"type": type_, "interval_sec": {"nitter": 10, "news": 15}[type_], **more}


def test_posts_and_news_join_prices_and_are_counted_apart():
    """
    Each is counted in the window in which it is heard, beside prices, labelled; no news is a tweet.
    """

    async def go():
        spec = {
            "sources": [{"type": "ccxt"}, polled("nitter"), polled("news")],
            "symbols": ["BTC/USDT"], "interval_sec": 1,
        }  # fmt: skip
        async with records_of({"spec": spec}) as (_, first):
            quiet = await first(lambda r: r["news"] == 0 and r["tweets"] == 0)
            return quiet, await first(lambda r: r["tweets"]), await first(lambda r: r["news"])

    quiet, *heard = asyncio.run(go())
    assert {s["status"] for s in quiet["sources"].values()} == {"live"}
    for record in heard:
        assert record["tweets"] == record["sources"]["nitter"]["count"]
        assert record["news"] == record["sources"]["news"]["count"]
        assert record["price_avg"] is not None
        assert all(source["simulated"] for source in record["sources"].values())


def test_a_sentence_joins_prices_chain_and_posts():
    """
    `BTC price + on-chain activity + tweets` has all three in a record, each source labelled.
    """

    async def go():
        request = {"natural_language": "BTC price + on-chain activity + tweets every 1s"}
        async with records_of(request) as (_, first):
            return await first(lambda r: r["tweets"] and r["onchain_count"] and r["price_avg"])

    record = asyncio.run(go())
    assert {"x", "solana.onchain"} < record["sources"].keys()
    assert record["sources"]["solana.onchain"]["scope"] == "stream"
    assert record["onchain_count"] == record["sources"]["solana.onchain"]["count"]
    assert all(source["simulated"] for source in record["sources"].values())


def test_a_mocked_chain_is_asked_for_and_labelled(monkeypatch):
    """
    ONCHAIN_MODE=mock simulates the chain alone; `grpc` is the real one, and needs its endpoint.
    """
    monkeypatch.delenv("GRPC_ENDPOINT", raising=False)
    monkeypatch.setenv("ONCHAIN_MODE", "mock")
    spec = {
        "sources": [{"type": "onchain.grpc", "chain": "sol", "event_types": ["block", "transfer"]}],
        "symbols": ["SOL"], "interval_sec": 1, "derived": ["onchain_transfers", "onchain_moved"],
    }  # fmt: skip

    async def go():
        async with Bond(seed=7) as bond:
            stream, _ = await bond.create(bond.compile({"spec": spec}))
            cursor = bond.cursor(stream.stream_id, START)
            async with asyncio.timeout(30):
                while True:
                    for entry in (await cursor.next(1)).entries:
                        record = msgspec.json.decode(entry.data)
                        if record["onchain_transfers"]:
                            return record

    record = asyncio.run(go())
    assert record["sources"]["solana.onchain"]["simulated"] is True
    assert record["onchain_count"] > record["onchain_transfers"] > 0
    assert record["onchain_moved"] > 0
    monkeypatch.setenv("ONCHAIN_MODE", "grpc")
    with pytest.raises(SetupError, match="GRPC_ENDPOINT"):
        Bond().compile({"spec": spec})


def test_a_dead_source_is_null_beside_prices():
    """
    Every instance is dead from the start: tweets are null with the reason, prices are not.
    """

    async def go():
        spec = {
            "sources": [{"type": "ccxt"}, polled("nitter", symbols=["BTC"])],
            "symbols": ["BTC/USDT"], "interval_sec": 1,
        }  # fmt: skip
        async with records_of({"spec": spec}) as (bond, first):
            nitter = await bond.simulators.running(bond.catalog.connector("nitter"))
            for name in ("one", "two", "three"):
                nitter.become(name, "limited")
            await first(lambda r: r["sources"]["nitter"]["status"] == "reconnecting")
            return await first(lambda r: r["sources"]["nitter"]["coverage"] == 0.0)

    record = asyncio.run(go())
    assert record["tweets"] is None
    assert record["price_avg"] is not None
    assert record["sources"]["nitter"]["status"] == "reconnecting"
    assert "none of 3 instances answers" in record["sources"]["nitter"]["reason"]


def test_a_demo_joins_prices_chain_and_posts():
    """
    `bond demo` with the sentence that everybody asks about: all in one record, each labelled.
    """
    sentence = "BTC price + on-chain activity + tweets every 5s"
    done = command("demo", "--simulate", sentence, "--for", "6s", "--format", "json")

    assert done.returncode == 0, done.stderr
    records = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert any(r["tweets"] and r["onchain_count"] and r["price_avg"] for r in records)
    for record in records:
        assert record["timeframe"] == "5s"
        assert {"binance", "okx", "solana.onchain", "x"} <= record["sources"].keys()
        assert all(source["simulated"] for source in record["sources"].values())


def test_one_is_down_and_one_hears_nothing():
    """
    The chain refuses and nobody posts: null beside 0, in one record, and prices as ever.
    """

    async def go():
        request = {"natural_language": "BTC price + on-chain activity + tweets every 1s"}
        silent = {"bond_x.simulator:XSimulator": {"per_s": 0.0, "keepalive_s": 0.2}}
        async with records_of(request, **silent) as (bond, first):
            x = await bond.simulators.running(bond.catalog.connector("x"))
            chain = await bond.simulators.running(bond.catalog.connector("onchain"))
            await first(lambda r: r["onchain_count"] and r["tweets"] == 0)
            chain.refuse("UNAVAILABLE", times=1000)
            chain.drop()
            down = await first(lambda r: r["onchain_count"] is None)
            written = x.write("$BTC")
            return down, written, await first(lambda r: r["tweets"])

    down, written, heard = asyncio.run(go())
    assert down["tweets"] == 0
    assert down["sources"]["x"]["status"] == "live"
    assert down["sources"]["solana.onchain"]["status"] == "reconnecting"
    assert down["sources"]["solana.onchain"]["coverage"] == 0.0
    for record in (down, heard):
        assert record["price_avg"] is not None
        assert all(source["simulated"] for source in record["sources"].values())
    assert (heard["tweets"], heard["onchain_count"]) == (1, None)
    assert datetime.fromisoformat(heard["window_end"]).timestamp() > written.at_ns / 1e9


def test_search_interest_is_told_beside_prices():
    """
    The newest value that is known stands in every record, though Google was asked once.
    """
    pytest.importorskip("trendspyg", reason="trendspyg is not installed: bond-trends[google]")

    async def go():
        spec = {
            "sources": [{"type": "ccxt"}, {"type": "google.trends", "symbols": ["BTC"]}],
            "symbols": ["BTC/USDT"], "interval_sec": 1, "derived": ["trends_rising"],
        }  # fmt: skip
        async with records_of({"spec": spec}) as (bond, first):
            await first(lambda r: r["trends"])
            told = [await first(lambda _: True) for _ in range(2)]
            google = await bond.simulators.running(bond.catalog.connector("trends"))
            return told, google.looked_up

    told, looked_up = asyncio.run(go())
    assert looked_up == ["bitcoin"]
    assert told[0]["trends"] == told[1]["trends"] is not None
    assert 0 in {r["sources"]["trends"]["count"] for r in told}
    assert told[1]["price_avg"] is not None
    assert told[1]["sources"]["trends"]["simulated"] is True
    assert "bitcoin etf" in told[1]["trends_rising"]


@pytest.mark.parametrize("name", ["x", "nitter", "news", "onchain", "trends"])
def test_what_people_say_holds_no_price_back(name):
    """
    Each counts by the time it is heard, and no window waits for it.
    """
    for channel in Catalog.installed().connector(name).channels:
        assert (channel.time, channel.gates) == ("receive", False)


@pytest.mark.parametrize(
    ("asked", "serves"),
    [
        ("twitter", "x"),
        ("x.tweets", "x"),
        ("nitter", "nitter"),
        ("news", "news"),
        ("onchain", "solana.onchain"),
        ("solana.onchain", "solana.onchain"),
        ("onchain.grpc", "solana.onchain"),
        ("trends", "trends"),
        ("google.trends", "trends"),
    ],
)
def test_the_names_of_posts_and_news_work(asked, serves):
    """
    Each name that a spec may say leads to the connector that serves it.
    """
    connector = Catalog.installed().connector(asked)

    assert connector is not None
    assert connector.name == serves


def test_posts_are_refused_with_what_is_missing(monkeypatch):
    """
    Unsimulated and without a key or an instance: refused, with the variable and where to get it.
    """
    for variable in ("X_BEARER", "NITTER_INSTANCES", "GRPC_ENDPOINT", "ONCHAIN_MODE"):
        monkeypatch.delenv(variable, raising=False)
    for text, variable in (
        ("BTC price + tweets every 5s", "X_BEARER"),
        ("BTC price + tweets from nitter every 5s", "NITTER_INSTANCES"),
        ("BTC price + on-chain activity every 5s", "GRPC_ENDPOINT"),
    ):
        with pytest.raises(SetupError, match=variable) as refused:
            Bond().compile({"natural_language": text})
        assert not isinstance(refused.value, NotInstalledError)
