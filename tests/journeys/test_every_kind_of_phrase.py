"""Every kind of phrase, from the sentence to what the records of its simulated stream hold.

The sentences run beside each other, in one process: their checks read what was heard. A kind
that is missing here can't be asked for in English.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import httpx
import pytest
from websockets.asyncio.client import connect

from bond_core.log.cursor import StreamEnded
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_core.settings import Secret
from bond_server.cli.serve import serve_bond
from bond_server.compiling import Compiled
from bond_server.delivery.listening import listening_socket
from bond_server.local import Bond
from bond_server.settings import ServerSettings
from tests.journeys.in_process import PATIENCE_S

for needed in (
    "bond_sim", "bond_x", "bond_news", "bond_solana", "bond_alpaca", "bond_polygon", "bond_ccxt",
):  # fmt: skip
    pytest.importorskip(needed, reason=f"{needed} is not installed")

BTC, ETH, SOL = "BTC/USDT", "ETH/USDT", "SOL/USDT"
BTC_SWAP, ETH_SWAP = "BTC/USDT:USDT", "ETH/USDT:USDT"
SECONDS = "BTC price + volume every 1s"
"""What others are recomputed from."""
QUIET = {"bond_x.simulator:XSimulator": {"per_s": 0.0, "keepalive_s": 0.2}}

Record = dict[str, Any]


@attrs.define
class Heard:
    """A sentence, what it was compiled to, and what came of it."""

    compiled: Compiled
    records: list[Record]
    ended: bool = False

    @property
    def whole(self) -> list[Record]:
        """The records of windows in which every source was there from end to end."""
        return [
            record
            for record in self.records
            if not record.get("partial", True)
            and all(source["coverage"] == 1.0 for source in record["sources"].values())
        ]


# What a sentence's records must hold: its symbols, sources, the length of a window in seconds,
# and fields that are finite numbers in every whole record.
WINDOWS: list[tuple[str, set[str], set[str], float, tuple[str, ...]]] = [
    # several symbols, pairs in all spellings
    ("btc, eth and sol price every 1s", {BTC, ETH, SOL}, {"binance", "okx"}, 1, ("price_avg",)),
    ("BTC-USDT and ETH_USDT volume every 1s", {BTC, ETH}, {"binance", "okx"}, 1, ("volume_sum",)),
    ("$DOGE and bitcoin price every 1s", {"DOGE/USDT", BTC}, {"binance", "okx"}, 1,
     ("price_avg",)),
    ("ETHBTC price every 1s", {"ETH/BTC"}, {"binance", "okx"}, 1, ("price_avg",)),
    ("binance:ETHUSDT price @1s", {ETH}, {"binance"}, 1, ("price_avg",)),
    ("btcusdt@okx 1s price", {BTC}, {"okx"}, 1, ("price_avg",)),
    # perps
    ("BTC perp price every 1s", {BTC_SWAP}, {"binance", "okx"}, 1, ("price_avg",)),
    ("ETHUSDT.P funding rate, mark price and open interest on okx every 1s", {ETH_SWAP},
     {"okx", "okx.open_interest"}, 1, ("funding_rate", "mark_price", "open_interest")),
    # stocks, alone and beside crypto
    ("Apple stock price every 1s from alpaca", {"AAPL"}, {"alpaca"}, 1, ("price_avg",)),
    ("SPY trades from polygon every second", {"SPY"}, {"polygon"}, 1, ("trades",)),
    ("BTC and MSFT price every 1s", {BTC, "MSFT"}, {"binance", "okx", "alpaca"}, 1, ("price_avg",)),
    # several venues, exclusions
    ("BTC price on bybit, coinbase and kraken every 1s", {BTC}, {"bybit", "coinbase", "kraken"}, 1,
     ("price_avg",)),
    ("ETH price from all exchanges except binance every 1s", {ETH}, {"okx"}, 1, ("price_avg",)),
    ("BTC price without tweets every 1s", {BTC}, {"binance", "okx"}, 1, ("price_avg",)),
    # fields, those of its own and derived ones
    ("ETH bid ask every 1s", {ETH}, {"binance", "okx"}, 1, ("bid_avg", "ask_avg")),
    ("ETH vwap, trades and volume twice a second", {ETH}, {"binance", "okx"}, 0.5,
     ("trades", "volume_sum")),
    ("BTC price + liquidations every 1s", {BTC},
     {"binance", "okx", "binance.liquidations", "okx.liquidations"}, 1, ("liquidations",)),
    ("BTC price, mid, volatility and p95 every 1s", {BTC},
     {"binance", "okx", "binance.quotes", "okx.quotes"}, 1,
     ("price_avg", "mid", "volatility", "price_p95")),
    ("BTC buy and sell volume every 1s", {BTC}, {"binance", "okx"}, 1,
     ("buy_volume", "sell_volume")),
    ("spread between binance and okx for BTC every 1s", {BTC}, {"binance", "okx"}, 1,
     ("venue_spread",)),
    ("BTC spread on binance every 1s", {BTC}, {"binance"}, 1, ("spread",)),
    ("solana transfers and blocks every 1s", {"SOL"}, {"solana.onchain"}, 1, ("onchain_count",)),
    # per-source intervals: news is asked for every 15 s, and told in every record
    ("BTC price every 1s, news every 15s", {BTC}, {"binance", "okx", "news"}, 1,
     ("price_avg", "news")),
    (SECONDS, {BTC}, {"binance", "okx"}, 1, ("price_avg", "volume_sum")),
]  # fmt: skip

BUSY = "BTC price + trades every 1s only when trades > 8"
FIRING = "BTC price + trades every 1s, alert me when trades is at least 1"
SILENT = "BTC price every 1s, alert me when price drops below $1"
AVERAGE = "average BTC price over the last 3 seconds, every 1s"
CANDLES = "BTC 1s and 3s candles"
TICKS = "BTC bars every 7 trades"
VOLUME = "0.05 volume bars of BTC"
LEVELS = "BTC order book top 5 levels every 1s"
PUSHED = "BTC price every 1s, liquidations every 15s"
SHORT = "BTC price on kraken every 1s for 2 seconds"
TRADES, BOOKS = "every BTC trade on okx", "raw BTC order book updates on okx"
FORCED, MOVED = "all BTC liquidations as they happen", "every SOL transfer"
OTHERS = (
    BUSY, FIRING, SILENT, AVERAGE, CANDLES, TICKS, VOLUME, LEVELS, SHORT, PUSHED, TRADES, BOOKS,
    FORCED, MOVED,
)  # fmt: skip

POSTS = [
    # sentence, (author, text) of what is heard of it
    ("every tweet about BTC from @saylor", [("saylor", "$BTC and the ETF"), ("saylor", "$BTC up")]),
    ('every BTC tweet containing "the ETF"', [("saylor", "$BTC and the ETF"),
                                               ("tomk", "the ETF of #BTC #halving")]),
    ("every BTC tweet tagged #halving", [("tomk", "the ETF of #BTC #halving")]),
]  # fmt: skip
WRITTEN = [("saylor", "$BTC and the ETF"), ("saylor", "$BTC up"), ("saylor", "nothing"),
           ("tomk", "the ETF of #BTC #halving"), ("tomk", "$ETH #halving, the ETF")]  # fmt: skip


async def listen(bond: Bond, sentence: str, enough: Callable[[Heard], bool]) -> Heard:
    """Run a sentence until enough was heard, or it ended, or patience did: its test then fails."""
    compiled = bond.compile({"natural_language": sentence})
    stream, _ = await bond.create(compiled)
    heard, cursor = Heard(compiled, []), bond.cursor(stream.stream_id, START)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not enough(heard):
                try:
                    page = await cursor.next(1)
                except StreamEnded:
                    heard.ended = True
                    break
                heard.records += [json.loads(entry.data) for entry in page.entries]
    return heard


def a_bond(**options: Any) -> Bond:
    """Return a Bond in which all is simulated."""
    return Bond(seed=7, defaults=Defaults(simulate=True), max_streams=100, **options)


def enough_of(sentence: str) -> Callable[[Heard], bool]:
    """Return how to know that of a sentence everything that is checked has come."""
    if sentence == SHORT:
        return lambda heard: False  # it ends
    if sentence in {TRADES, BOOKS, FORCED, MOVED}:
        return lambda heard: sum(r["kind"] != "status" for r in heard.records) >= 3
    if sentence in {TICKS, VOLUME}:
        return lambda heard: sum("bar" in r for r in heard.records) >= 3
    seconds = 9 if sentence in {SECONDS, AVERAGE, CANDLES, BUSY} else 4
    begun = asyncio.get_running_loop().time()
    return lambda heard: (
        len(heard.whole) >= 3 and asyncio.get_running_loop().time() > begun + seconds
    )


async def markets() -> dict[str, Heard]:
    """Run all but the posts, beside each other in one Bond."""
    sentences = [*(sentence for sentence, *_ in WINDOWS), *OTHERS]
    options = {"bond_news.simulator:NewsSimulator": {"per_s": 1.0}}
    async with a_bond(simulator_options=options) as bond, asyncio.TaskGroup() as tasks:
        running = {s: tasks.create_task(listen(bond, s, enough_of(s))) for s in sentences}
        await asyncio.wait(running.values())
    return {sentence: task.result() for sentence, task in running.items()}


async def posts(sentence: str, expected: int) -> Heard:
    """Run a sentence about posts while people write: a key has one stream on X."""
    async with a_bond(simulator_options=QUIET) as bond:
        simulator: Any = await bond.simulators.running(bond.catalog.connector("x"))

        def heard_all(heard: Heard) -> bool:
            live = [r for r in heard.records if r["kind"] == "status" and "live" in str(r)]
            if live and not written:
                written.extend(simulator.write(text, author=who) for who, text in WRITTEN)
            return sum(r["kind"] == "post" for r in heard.records) >= expected

        written: list[Any] = []
        return await listen(bond, sentence, heard_all)


@pytest.fixture(scope="module")
def heard() -> dict[str, Heard]:
    """Return what was heard of each sentence."""

    async def all_of_them() -> dict[str, Heard]:
        said = {sentence: await posts(sentence, len(expected)) for sentence, expected in POSTS}
        return said | await markets()

    return asyncio.run(all_of_them())


def seconds_of(record: Record) -> float:
    """Return how long a record's window is."""
    begin, end = (datetime.fromisoformat(record[f"window_{at}"]) for at in ("start", "end"))
    return (end - begin).total_seconds()


@pytest.mark.parametrize(("sentence", "symbols", "sources", "interval_s", "fields"), WINDOWS)
def test_records_hold_what_the_sentence_names(
    heard, sentence, symbols, sources, interval_s, fields
):
    """Its symbols, its sources and no other, its interval, its fields as finite numbers."""
    records = heard[sentence].whole

    assert {record["symbol"] for record in records} == symbols
    assert set().union(*(record["sources"] for record in records)) == sources
    for record in records:
        assert seconds_of(record) == interval_s
        assert all(source["simulated"] for source in record["sources"].values())
        # A window in which nothing traded has no price: it says so, and is never 0.
        traded = [f for f in fields if record.get("trades", 1) or not f.startswith("price")]
        assert all(math.isfinite(record[field]) for field in traded), record
    assert any(record[fields[0]] is not None for record in records)


def by_end(records: list[Record]) -> dict[str, Record]:
    """Return records by when their window ends."""
    return {record["window_end"]: record for record in records}


def test_a_filter_holds_in_each_record_and_lets_all_of_them_through(heard):
    """What the same windows are without it, less those that it doesn't allow."""
    passed, every = by_end(heard[BUSY].whole), by_end(heard[SECONDS].whole)
    between = {end: r for end, r in every.items() if min(passed) <= end <= max(passed)}

    assert all(record["trades"] > 8 for record in passed.values())
    assert {end for end, record in between.items() if record["trades"] > 8} <= set(passed)


def test_an_alert_fires_where_it_holds_and_is_silent_where_it_does_not(heard):
    """Once, when it begins to hold."""

    def told(sentence: str) -> list[str]:
        return [n["code"] for r in heard[sentence].records for n in r["notices"]]

    assert told(FIRING).count("alert") >= 1
    assert "alert" not in told(SILENT)
    assert heard[SILENT].whole


def test_a_rolling_average_is_that_of_the_trades_of_its_seconds(heard):
    """Recomputed from the records of a second each, and told once a second."""
    seconds = heard[SECONDS].whole
    found = 0
    for n, end in enumerate([record["window_end"] for record in seconds]):
        rolled = by_end(heard[AVERAGE].whole).get(end)
        parts = seconds[max(n - 2, 0) : n + 1]
        if rolled is None or rolled["window_start"] != parts[0]["window_start"]:
            continue
        found += 1
        count = sum(part["trades"] for part in parts)
        total = math.fsum(part["price_avg"] * part["trades"] for part in parts if part["trades"])
        assert rolled["trades"] == count
        assert rolled["price_avg"] == pytest.approx(total / count)
        assert seconds_of(rolled) == 3
    assert found >= 2


def test_a_candle_is_made_of_the_seconds_in_it(heard):
    """Open, high, low, close and volume of three candles of a second are those of one of 3 s."""
    records = heard[CANDLES].whole
    ones = [record for record in records if record["timeframe"] == "1s"]
    found = 0
    for three in (record for record in records if record["timeframe"] == "3s"):
        parts = [r for r in ones if three["window_start"] <= r["window_start"]
                 and r["window_end"] <= three["window_end"] and r["trades"]]  # fmt: skip
        if sum(part["trades"] for part in parts) != three["trades"]:
            continue  # it began before the first of them
        found += 1
        assert three["price_open"] == parts[0]["price_open"]
        assert three["price_close"] == parts[-1]["price_close"]
        assert three["price_high"] == max(part["price_high"] for part in parts)
        assert three["price_low"] == min(part["price_low"] for part in parts)
        assert three["volume_sum"] == pytest.approx(math.fsum(p["volume_sum"] for p in parts))
    assert found


def test_bars_close_by_ticks_and_by_volume(heard):
    """Each has its 7 trades, or its 0.05 BTC."""
    ticks = [record for record in heard[TICKS].records if "bar" in record]
    volumes = [record for record in heard[VOLUME].records if "bar" in record]

    assert {bar["trades"] for bar in ticks} == {7}
    assert [bar["volume_sum"] for bar in volumes] == [pytest.approx(0.05)] * len(volumes)
    assert {bar["timeframe"] for bar in (*ticks, *volumes)} == {"7ticks", "0.05vol"}


def test_an_order_book_has_as_many_levels_as_were_asked_for(heard):
    """The best first, on both sides."""
    for record in heard[LEVELS].whole:
        assert len(record["bids"]) == len(record["asks"]) == 5
        assert [p for p, _ in record["bids"]] == sorted(
            (p for p, _ in record["bids"]), reverse=True
        )
        assert [p for p, _ in record["asks"]] == sorted(p for p, _ in record["asks"])


def test_a_duration_ends_the_stream(heard):
    """No record is of later than two seconds after its begin."""
    records = heard[SHORT].records
    first, last = (datetime.fromisoformat(records[n]["window_end"]) for n in (0, -1))

    assert heard[SHORT].ended
    assert 1 <= (last - first).total_seconds() <= 3


def test_each_source_has_the_interval_that_was_said_of_it(heard):
    """News every 15 s beside prices every second: what runs has both."""
    spec = heard["BTC price every 1s, news every 15s"].compiled.spec

    assert {source.type: source.interval_ms for source in spec.sources}["news"] == 15_000
    assert spec.interval_ms == 1_000


def test_a_source_that_speaks_up_by_itself_is_in_every_record_and_that_is_told(heard):
    """Liquidations are not asked for every 15 s; the answer says so."""
    said = heard[PUSHED].compiled

    assert "liquidations=in every record, as they come, not every 15s" in said.assumed
    assert all(math.isfinite(record["liquidations"]) for record in heard[PUSHED].whole)


@pytest.mark.parametrize(
    ("sentence", "kind", "source"),
    [(TRADES, "trade", {"okx"}), (BOOKS, "book", {"okx"}),
     (FORCED, "liquidation", {"binance", "okx"}), (MOVED, "chain", {"solana.onchain"})],
)  # fmt: skip
def test_every_event_comes_as_it_is(heard, sentence, kind, source):
    """Of the kind that was asked for and no other, and in no window."""
    events = [record for record in heard[sentence].records if record["kind"] != "status"]

    assert {event["kind"] for event in events} == {kind}
    assert {event["source"] for event in events} <= source
    assert all(event["simulated"] and "window_end" not in event for event in events)
    if kind == "chain":
        assert {event["type"] for event in events} == {"transfer"}


@pytest.mark.parametrize(("sentence", "expected"), POSTS)
def test_posts_are_those_of_the_accounts_phrases_and_tags(heard, sentence, expected):
    """And not those that others write, or that are about something else."""
    found = [record for record in heard[sentence].records if record["kind"] == "post"]

    assert [(post["author"], post["text"]) for post in found] == expected


def test_a_replay_begins_with_what_was_kept_and_goes_on_live():
    """The address that a sentence gets has the records from before it was said."""

    async def journey() -> tuple[list[Record], str]:
        bound = listening_socket("127.0.0.1", 0)
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1/streams"
        ready = asyncio.Event()
        with TemporaryDirectory() as folder:
            settings = ServerSettings(secret=Secret("0123456789abcdef" * 4), data_dir=Path(folder))
            async with a_bond() as bond:
                await listen(bond, "BTC price every 200ms", lambda h: len(h.records) >= 5)
                serving = asyncio.create_task(serve_bond(bond, settings, bound, ready=ready.set))
                try:
                    await ready.wait()
                    text = "replay the last 5 minutes of BTC price then go live every 200ms"
                    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
                        created = (await http.post(url, json={"natural_language": text})).json()
                    asked = datetime.now().astimezone().isoformat()
                    async with connect(created["ws_url"], proxy=None) as socket:
                        got = [json.loads(await socket.recv()) for _ in range(12)]
                finally:
                    serving.cancel()
                    await asyncio.wait([serving])
        return got, asked

    got, asked = asyncio.run(asyncio.wait_for(journey(), PATIENCE_S))
    past = [datetime.fromisoformat(r["window_end"]) < datetime.fromisoformat(asked) for r in got]
    assert past[0]
    assert not past[-1]
    assert [r["id"] for r in got] == sorted({r["id"] for r in got})
