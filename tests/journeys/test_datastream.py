"""Streams by symbol, in this process, against simulated venues and vendors."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from bond_server.embedded import embedded
from bond_sim.instruments import ASSETS
from bond_sim.subscriptions import Subscription
from ekko import DataStream
from ekko.datastream.asking import INTERVALS
from tests.journeys.by_symbol import Heard, first, within

SEVEN = {"binance", "coinbase", "finnhub", "alpaca", "ibkr", "kraken", "polygon"}
SIMULATED = {"binance", "okx", "bybit", "coinbase", "coinbaseexchange", "kraken"}
"""Venues that there are here: all that can be simulated."""

TYPES = {"ticker": {}, "trade": {}, "kline": {"interval": "3m"}, "depth": {}}
"""Of streams, and what each is asked for with: candles that everybody's trades make."""


def test_the_default_route_brings_prices():
    """
    A market without a provider is binance's, labelled as simulated when it is.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            ticks = await first(streams.stream("BTCUSDT"), 10)
        assert {tick.symbol for tick in ticks} == {"BTCUSDT"}
        assert {tick.provider for tick in ticks} == {"binance"}
        assert all(tick.price > 0 and tick.volume > 0 and tick.simulated for tick in ticks)
        assert ticks[-1].bid < ticks[-1].ask
        assert len({tick.trade_id for tick in ticks}) == 10

    within(main())


def test_a_callback_is_called_once_a_message(simulators):
    """
    Two subscribers and `stream_many` each hear every trade once; the venue is asked once.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            one, two, many = Heard(), Heard(), Heard()
            streams.subscribe("BTCUSDT", one)
            streams.subscribe("BTCUSDT", two)
            running = asyncio.create_task(streams.stream_many(["BTCUSDT", "BTC-USDT"], many))
            for heard, enough in ((one, 20), (two, 20), (many, 40)):
                await heard.until(lambda messages, n=enough: len(messages) >= n)
            (simulator,) = simulators
            asked = Subscription("binance", "trades", "BTCUSDT")
            assert simulator.subscriptions.opened[asked] == 1
            await streams.disconnect_streams()
            await running
        for heard in (one, two, many):
            times = Counter((message.symbol, message.trade_id) for message in heard)
            assert set(times.values()) == {1}
        assert {message.symbol for message in many} == {"BTCUSDT", "BTC-USDT"}

    within(main())


def test_subscribing_gives_a_task_that_can_be_cancelled():
    """
    At once and without a wait; after that, nothing more comes.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            heard, awaited = Heard(), Heard()

            async def slowly(message):
                await asyncio.sleep(0)
                awaited(message)

            task = streams.subscribe("BTCUSDT", callback=heard)
            other = streams.subscribe("BTCUSDT", callback=slowly)
            assert isinstance(task, asyncio.Task)
            await heard.until(lambda messages: len(messages) >= 3)
            task.cancel()
            await asyncio.wait([task])
            number = len(heard)
            await awaited.until(lambda messages: len(messages) > number + 5)
            assert len(heard) == number
            assert not other.done()

    within(main())


def test_candles_heed_their_interval():
    """
    All twelve at once begin where they should; one of a minute is the venue's, others are ours.
    """

    async def main():
        async with DataStream(simulate=True) as streams:

            async def candles(interval):
                return await first(streams.stream("BTCUSDT", "kline", interval), 2)

            found = await asyncio.gather(*map(candles, INTERVALS))
        for (interval, seconds), (before, candle) in zip(INTERVALS.items(), found, strict=True):
            assert candle.interval == interval
            assert candle.start.timestamp() % seconds == 0
            assert 0 <= candle.timestamp.timestamp() - candle.start.timestamp() <= seconds + 1
            assert candle.low <= min(candle.open, candle.close)
            assert candle.high >= max(candle.open, candle.close)
            assert candle.made_by == ("venue" if interval == "1m" else "bond")
            assert candle.simulated
            assert before.start < candle.start or before.volume <= candle.volume

    within(main())


def test_a_candle_of_ours_is_what_was_traded(monkeypatch):
    """
    Of its trades, told beside it: open, high, low, close and volume, once it has closed.
    """
    monkeypatch.setitem(INTERVALS, "2s", 2)

    async def main():
        async with DataStream(simulate=True) as streams:
            candles, trades = Heard(), Heard()
            streams.subscribe("BTCUSDT", trades, "trade")
            await trades.until(len)
            streams.subscribe("BTCUSDT", candles, "kline", "2s")
            await candles.until(lambda all_: sum(c.is_closed for c in all_) >= 2)
        closed = [c for c in candles if c.is_closed]
        for candle in closed[1:]:
            end = candle.start.timestamp() + 2
            its = [t for t in trades if candle.start.timestamp() <= t.timestamp.timestamp() < end]
            if any(t.late for t in its):  # the machine stood still: the window may be without
                continue
            prices = [t.price for t in sorted(its, key=lambda t: int(t.trade_id))]
            assert (candle.open, candle.close) == (prices[0], prices[-1])
            assert (candle.high, candle.low) == (max(prices), min(prices))
            assert candle.volume == pytest.approx(sum(t.volume for t in its))
            assert not candle.is_partial
            assert candle.provider == "binance"
        growing = [c for c in candles if c.start == closed[1].start]
        assert [c.is_closed for c in growing] == [False] * (len(growing) - 1) + [True]
        assert [c.volume for c in growing] == sorted(c.volume for c in growing)

    within(main())


def test_a_minute_is_built_where_the_venue_has_none():
    """
    Coinbase's candles and those of shares from finnhub are ours, and say so.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            (coinbase,), (finnhub,) = await asyncio.gather(
                first(streams.stream("BTC-USD", "kline", provider="coinbase")),
                first(streams.stream("AAPL", "kline", "1m", provider="finnhub")),
            )
        assert (coinbase.made_by, coinbase.provider) == ("bond", "coinbase")
        assert (finnhub.made_by, finnhub.provider) == ("bond", "finnhub")

    within(main())


def test_depth_is_an_order_book():
    """
    Ten levels of each side, best first.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            (book,) = await first(streams.stream("BTCUSDT", "depth"))
        assert len(book.bids) == len(book.asks) == 10
        assert [price for price, _ in book.bids] == sorted((p for p, _ in book.bids), reverse=True)
        assert book.bid == book.bids[0][0] < book.asks[0][0] == book.ask
        assert book.price is None

    within(main())


def test_a_hundred_and_twenty_symbols_at_once(monkeypatch, simulators):
    """
    All are heard, over one connection to the venue, in one stream.
    """
    for i in range(120):
        monkeypatch.setitem(ASSETS, f"T{chr(65 + i // 26)}{chr(65 + i % 26)}", ASSETS["SUI"])
    symbols = [f"{base}USDT" for base in list(ASSETS)[-120:]]

    async def main():
        async with DataStream(simulate=True) as streams:
            heard = Heard()
            running = asyncio.create_task(streams.stream_many(symbols, heard))
            await heard.until(lambda all_: len({m.symbol for m in all_[-500:]}) == 120)
            (simulator,) = simulators
            assert simulator.subscriptions.connections_opened["binance"] == 1
            await streams.disconnect_streams()
            await running

    within(main())


def test_every_source_with_prices_is_a_provider():
    """
    All that are installed, by name: each type of stream comes, or is refused with what there is.
    """

    async def main():
        async with embedded({}) as bond:
            sources = bond.sources()
        by_name = {s["name"]: s for s in sources if "trade" in s["kinds"] and not s["venues"]}
        del by_name["custom"]  # which is whatever a mapping says
        venues = next(source for source in sources if source["name"] == "ccxt")
        by_name |= dict.fromkeys(SIMULATED, venues)
        providers = list(by_name)

        async with DataStream(simulate=True) as streams:

            async def one(name, type_, more):
                market = by_name[name]["default_symbol"] == "market"
                symbol = ("BTC-USD" if "coinbase" in name else "BTC-USDT") if market else "AAPL"
                try:
                    (told,) = await first(streams.stream(symbol, type_, provider=name, **more))
                except ValueError as error:
                    return name, type_, str(error)
                assert (told.provider, told.stream_type, told.symbol) == (name, type_, symbol)
                assert told.simulated
                return name, type_, None

            asked = [one(n, t, more) for n in providers for t, more in TYPES.items()]
            return providers, await asyncio.gather(*asked)

    providers, found = asyncio.run(asyncio.wait_for(main(), 60))

    assert set(providers) >= {*SEVEN, "alpaca.crypto"}
    refused = {(name, type_): said for name, type_, said in found if said}
    assert set(refused) == {(name, "depth") for name in set(providers) - SIMULATED}
    assert all("has no depth; it has ticker, trade, kline" in said for said in refused.values())
