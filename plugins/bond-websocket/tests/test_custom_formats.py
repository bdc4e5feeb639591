"""From a server that speaks as a venue documents to records, which equal an independent count."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "custom.md").read_text(encoding="utf-8")
SPECS = [json.loads(t) for t in re.findall(r"```json\n(\{\n  \"sources\".*?)```", PAGE, re.DOTALL)]
INTERVAL_NS = 500_000_000


@attrs.frozen
class Sold:
    """A trade, as its venue knows it."""

    symbol: str
    at_ns: int
    price: str
    size: str
    is_buy: bool
    number: int


def binance(sold):
    """Return a trade as Binance sends it."""
    return {"e": "trade", "E": sold.at_ns // 10**6, "s": sold.symbol.replace("/", ""),
            "t": sold.number, "p": sold.price, "q": sold.size, "T": sold.at_ns // 10**6,
            "m": not sold.is_buy}  # fmt: skip


def coinbase(sold):
    """Return a trade as Coinbase Exchange sends it: the side is the maker's."""
    at = datetime.fromtimestamp(sold.at_ns // 10**9, UTC)
    return {"type": "match", "trade_id": sold.number, "price": sold.price, "size": sold.size,
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{sold.at_ns % 10**9 // 1000:06d}Z",
            "product_id": sold.symbol.replace("/", "-"),
            "side": "sell" if sold.is_buy else "buy"}  # fmt: skip


def kraken(sold):
    """Return a trade as Kraken's first interface sends it."""
    at = f"{sold.at_ns // 10**9}.{sold.at_ns % 10**9 // 1000:06d}"
    side = "b" if sold.is_buy else "s"
    trades = [[sold.price, sold.size, at, side, "l", ""]]
    return [7, trades, "trade", sold.symbol.replace("BTC", "XBT")]


def binance_asked(message):
    """Return what Binance is asked for, and its answer."""
    asked = json.loads(message)
    assert asked["method"] == "SUBSCRIBE"
    return set(asked["params"]), {"result": None, "id": asked["id"]}


def coinbase_asked(message):
    """Return what Coinbase is asked for, and its answer."""
    asked = json.loads(message)
    return set(asked["product_ids"]), {"type": "subscriptions", "channels": asked["channels"]}


def kraken_asked(message):
    """Return what Kraken is asked for, and its answer."""
    asked = json.loads(message)
    answer = {"event": "subscriptionStatus", "status": "subscribed", "pair": asked["pair"][0]}
    return set(asked["pair"]), answer


CASES = {
    "binance": (SPECS[0], binance, binance_asked,
                {f"{s}@{c}" for s in ("btcusdt", "ethusdt") for c in ("trade", "bookTicker")}),
    "coinbase": (SPECS[1], coinbase, coinbase_asked, {"BTC-USD"}),
    "kraken": (SPECS[2], kraken, kraken_asked, {"XBT/USD", "ETH/USD"}),
}  # fmt: skip
FIELDS = ["price_avg", "price_open", "price_high", "price_low", "price_close", "vwap",
          "volume_sum", "trades", "buy_volume", "sell_volume"]  # fmt: skip

EXACT = ("price_open", "price_high", "price_low", "price_close", "trades")


def expected(sold):
    """Return what the trades of a window come to, computed from what was sent."""
    prices = [float(each.price) for each in sold]
    sizes = [float(each.size) for each in sold]
    return {
        "price_avg": sum(prices) / len(prices),
        "price_open": prices[0],
        "price_high": max(prices),
        "price_low": min(prices),
        "price_close": prices[-1],
        "vwap": sum(p * s for p, s in zip(prices, sizes, strict=True)) / sum(sizes),
        "volume_sum": sum(sizes),
        "trades": len(sold),
        "buy_volume": sum(s for s, each in zip(sizes, sold, strict=True) if each.is_buy),
        "sell_volume": sum(s for s, each in zip(sizes, sold, strict=True) if not each.is_buy),
    }


@pytest.mark.parametrize("venue", CASES)
def test_records_equal_what_was_sent(venue, loopback):
    """Every window's fields are those of the trades that the server sent for it, and no others."""
    spec, written, asked, names = CASES[venue]
    chance = random.Random(venue)
    requests = []
    windows = defaultdict(list)

    def on_message(message):
        requests.append(asked(message))
        return [requests[-1][1]]

    async def trade(source, symbols):
        for number in range(120):
            sold = Sold(
                chance.choice(symbols), time.time_ns() // 10**6 * 10**6,
                f"{chance.uniform(90, 110):.2f}", f"{chance.uniform(0.01, 2):.5f}",
                chance.random() < 0.5, number,
            )  # fmt: skip
            windows[sold.symbol, sold.at_ns // INTERVAL_NS].append(sold)
            await source.say(written(sold), written(attrs.evolve(sold, symbol="XRP/EUR")))
            if number % 10 == 0 and venue != "kraken":
                await source.say(written(sold))  # a repeat, by its id
            await asyncio.sleep(0.012)

    async def go():
        async with loopback.a_source(on_message) as source:
            here = spec | {"sources": [spec["sources"][0] | {"url": source.url}], "fields": FIELDS,
                           "interval_sec": "500ms"}  # fmt: skip
            async with loopback.listening(here) as heard:
                await heard.until_status("live")
                await trade(source, spec["symbols"])
                last = max(window for _, window in windows)
                ends = datetime.fromtimestamp((last + 2) * INTERVAL_NS / 1e9, UTC)
                await heard.until(
                    lambda r: (
                        datetime.fromisoformat(r["window_end"]) >= ends
                        and r["symbol"] == spec["symbols"][-1]
                    )
                )
                return heard

    heard = asyncio.run(go())
    assert set().union(*(names for names, _ in requests)) == names
    seen = 0
    for record in heard.records:
        start = datetime.fromisoformat(record["window_start"]).timestamp()
        sold = windows.get((record["symbol"], round(start * 1e9 / INTERVAL_NS)), [])
        assert (record["trades"] or 0) == len(sold)
        if sold:
            seen += len(sold)
            want = expected(sold)
            assert {f: record[f] for f in FIELDS} == pytest.approx(want, rel=1e-12)
            assert {f: record[f] for f in EXACT} == {f: want[f] for f in EXACT}
    assert seen == 120
    assert heard.count("rejected") == heard.count("late") == 0
    repeats = 0 if venue == "kraken" else 12
    assert heard.count("duplicates") == repeats


def test_two_kinds_of_one_source_are_two_sources(loopback):
    """Quotes come beside trades under the host's name, and a spec may give another."""

    async def go():
        async with loopback.a_source(lambda m: [binance_asked(m)[1]]) as source:
            given = SPECS[0]["sources"][0] | {"url": source.url, "name": "mine"}
            spec = {"sources": [given], "symbols": ["BTC/USDT"], "interval_sec": "200ms"}
            async with loopback.listening(spec) as heard:
                await heard.until_status("live", "mine")
                ticker = {"u": 1, "s": "BTCUSDT", "b": "10.5", "B": "1", "a": "11.5", "A": "2"}
                await source.say(ticker)
                return await heard.until(lambda r: r["bid_avg"] is not None)

    record = asyncio.run(go())
    assert (record["bid_avg"], record["ask_avg"]) == (10.5, 11.5)
    assert set(record["sources"]) == {"mine", "mine.quotes"}


def test_simulated_records_are_labelled(loopback):
    """Simulated, the mapping's own paths hold values, and every record says that it is so."""

    async def go():
        spec = SPECS[2] | {"simulate": True, "interval_sec": "200ms"}
        async with loopback.listening(spec) as heard:
            return await heard.until(lambda r: r["trades"])

    record = asyncio.run(go())
    assert record["sources"]["ws.kraken.com"]["simulated"] is True
    assert record["sources"]["ws.kraken.com"]["rejected"] == 0
    assert record["price_close"] > 0
