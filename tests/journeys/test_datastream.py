"""Streams by symbol, in this process and on a server, against simulated venues and vendors."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import ChainMap, Counter
from contextlib import aclosing

import pytest

from bond_core.clock import SystemClock
from bond_core.log.event_log import Retention
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import Plugins
from bond_core.runtime.binding import Defaults, bind
from bond_core.spec.read import read_spec
from bond_ibkr.simulator import TwsSimulator
from bond_server.embedded import variables_of
from bond_sim.instruments import ASSETS
from bond_sim.simulator import Simulator
from bond_sim.subscriptions import Subscription
from ekko import APIError, DataStream, StreamError
from ekko.datastream.asking import INTERVALS, asked_for
from ekko.datastream.hosts import LocalHost
from tests.journeys.command_line import serving

PATIENCE_S = 30.0


@pytest.fixture(name="simulators")
def _simulators(monkeypatch):
    """The simulators of venues that are started, to ask what they were asked for."""
    made = []
    begin = Simulator.__init__

    def noted(self, **options):
        begin(self, **options)
        made.append(self)

    monkeypatch.setattr(Simulator, "__init__", noted)
    return made


def within(running, seconds=PATIENCE_S):
    """Run something to its end, and not for ever; nothing may be left of it."""

    async def main():
        async with asyncio.timeout(seconds):
            await running
        return {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}

    assert asyncio.run(main()) == set()


class Heard(list):
    """Messages, as a callback hears them."""

    def __init__(self):
        super().__init__()
        self._more = asyncio.Event()

    def __call__(self, message):
        self.append(message)
        self._more.set()

    async def until(self, done):
        """Wait until these are enough."""
        while not done(self):
            self._more.clear()
            await self._more.wait()
        return self


async def until(done):
    """Wait until something that nobody tells is so."""
    while not done():  # noqa: ASYNC110 - as said
        await asyncio.sleep(0.01)


async def first(messages, number=1):
    """Return the first messages of a stream."""
    found = []
    async with aclosing(messages):
        async for message in messages:
            found.append(message)
            if len(found) == number:
                return found
    raise AssertionError("it ended")


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


def test_a_callback_that_raises_is_told_and_disturbs_nobody(caplog):
    """
    Its stream goes on, and so does another's.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            heard, calls = Heard(), Heard()

            def broken(message):
                calls(message)
                raise LookupError("no such book")

            task = streams.subscribe("BTCUSDT", broken)
            streams.subscribe("BTCUSDT", heard)
            await calls.until(lambda all_: len(all_) >= 5)
            await heard.until(lambda all_: len(all_) >= 5)
            assert not task.done()

    within(main())

    told = [r for r in caplog.records if r.name == "ekko" and "broken failed" in r.getMessage()]
    assert len(told) >= 3
    assert told[0].exc_info[0] is LookupError
    assert told[1].getMessage().endswith("failed 2 times: no such book")


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


def test_a_symbol_that_nobody_lists_ends_its_stream_with_an_error():
    """
    With the reason; as an error of the loop, of the task, and of `stream_many`.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            task = streams.subscribe("NONEUSDT", print)
            with pytest.raises(StreamError, match="binance doesn't list NONE/USDT"):
                await anext(streams.stream("NONEUSDT"))
            with pytest.raises(StreamError, match="doesn't list"):
                await streams.stream_many(["NONEUSDT"], print)
            with pytest.raises(StreamError, match="doesn't list"):
                await task

    within(main())


def test_one_of_many_symbols_that_fails_is_told_and_the_others_go_on(caplog):
    """
    A market that isn't listed stands beside one that is, and beside a share.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            heard = Heard()
            running = asyncio.create_task(
                streams.stream_many(["NONEUSDT", "BTCUSDT", "AAPL"], heard)
            )
            await heard.until(
                lambda all_: (
                    Counter(m.symbol for m in all_)["BTCUSDT"] > 20
                    and "AAPL" in {m.symbol for m in all_}
                )
            )
            assert not running.done()
            running.cancel()
            await asyncio.wait([running])

    within(main())

    assert "binance doesn't list NONE/USDT" in caplog.text


REFUSED = (
    ({"stream_type": "candles"}, "ticker, trade, kline, depth"),
    ({"stream_type": "kline", "interval": "7m"}, "1m, 3m, 5m"),
    ({"interval": "1m"}, 'for stream_type="kline"'),
    ({"provider": "binanse"}, "did you mean binance"),
    ({"symbol": "AAPL", "provider": "kraken"}, "doesn't say what it is priced in"),
    ({"provider": "alpaca"}, "has shares such as AAPL"),
    ({"symbol": "AAPL", "provider": "finnhub", "stream_type": "depth"}, "has no depth; it has"),
    ({"symbol": "AAPL", "stream_type": "depth"}, "AAPL is a share"),
    ({"symbol": " "}, "a symbol is a text"),
)


def test_what_makes_no_sense_is_refused_with_what_would():
    """
    Types, intervals, providers and symbols.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            for asked, said in REFUSED:
                with pytest.raises(ValueError, match=said):
                    await anext(streams.stream(**{"symbol": "BTCUSDT", **asked}))

    within(main())


def test_a_missing_key_is_told():
    """
    Which, and how to give it.
    """

    async def main():
        async with DataStream() as streams:
            with pytest.raises(Exception, match="POLYGON_API_KEY"):
                await anext(streams.stream("AAPL", provider="polygon"))

    within(main())


def test_a_broken_connection_is_told_and_made_again(simulators):
    """
    The next message of the symbol has the gap in its notices, and trades go on.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            heard = Heard()
            streams.subscribe("BTCUSDT", heard, "trade")
            await heard.until(lambda all_: len(all_) >= 5)
            (simulator,) = simulators
            await simulator.faults.close("binance")
            await heard.until(lambda all_: {"gap", "repaired"} & codes(all_))
            number = len(heard)
            await heard.until(lambda all_: len(all_) > number + 5)
        assert set(Counter(message.trade_id for message in heard).values()) == {1}

    within(main())


def codes(messages):
    """What happened, by the messages' notices."""
    return {notice["code"] for message in messages for notice in message.notices}


def test_a_callback_that_is_too_slow_is_told_what_it_missed(monkeypatch):
    """
    What is no longer kept when it comes back for more is a gap in the next message.
    """
    monkeypatch.setattr("bond_server.embedded.KEPT", Retention(seconds=0.1, windows=1))

    async def main():
        async with DataStream(simulate=True) as streams:
            heard = Heard()

            async def slowly(message):
                heard(message)
                if len(heard) == 3:
                    await asyncio.sleep(2)

            streams.subscribe("BTCUSDT", slowly)
            await heard.until(lambda all_: "gap" in codes(all_))
        (told, *_) = [message for message in heard if "gap" in codes([message])]
        assert "are lost (slow)" in str(told.notices)

    within(main())


def test_another_venue_stands_in_and_is_named(simulators):
    """
    While binance is down okx's trades come, told as a failover.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            heard = Heard()
            streams.subscribe("BTCUSDT", heard)
            await heard.until(lambda all_: len(all_) >= 3)
            (simulator,) = simulators
            simulator.faults.refuse("binance")
            await simulator.faults.close("binance")
            await heard.until(lambda all_: "failover" in codes(all_))
        assert next(m for m in heard if "failover" in codes([m])).provider == "okx"

    within(main())


def test_disconnecting_ends_loops_tasks_and_everything_behind_them():
    """
    A loop ends, a task is cancelled, `stream_many` returns; and it may all begin again.
    """

    async def main():
        streams = DataStream(simulate=True)
        ticks = []

        async def loop():
            async for tick in streams.stream("BTCUSDT"):
                ticks.append(tick)  # noqa: PERF401 - it goes on until it is ended

        heard = Heard()
        looping = asyncio.create_task(loop())
        task = streams.subscribe("ETHUSDT", heard)
        many = asyncio.create_task(streams.stream_many(["SOLUSDT"], heard))
        await heard.until(lambda all_: len({message.symbol for message in all_}) == 2)

        await streams.disconnect_streams()

        await looping
        await many
        assert task.cancelled()
        await first(streams.stream("BTCUSDT"))
        await streams.disconnect_streams()
        await streams.disconnect_streams()

    within(main())


def test_a_callback_may_disconnect():
    """
    Its own stream ends with the others.
    """

    async def main():
        streams = DataStream(simulate=True)
        many = Heard()

        async def stop(message):
            many(message)
            await streams.disconnect_streams()

        await streams.stream_many(["BTCUSDT", "AAPL"], stop)
        assert many
        await streams.disconnect_streams()

    within(main())


def test_a_loop_that_is_left_leaves_nothing_running(simulators):
    """
    After a `break` the venue is told that nobody listens any more.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            async for _ in streams.stream("BTCUSDT"):
                break
            (simulator,) = simulators
            asked = Subscription("binance", "trades", "BTCUSDT")
            await until(lambda: not simulator.subscriptions.open[asked])

    within(main())


def test_who_still_reads_when_all_ends_is_told():
    """
    Where Bond itself ends under its readers, for whatever reason, they don't wait for ever.
    """

    async def main():
        host = LocalHost({})
        (asked,) = asked_for(["BTCUSDT"], "trade", None, None, await host.sources())
        async with aclosing(host.items({**asked.spec, "simulate": True})) as items:
            await anext(items)
            await host.close()
            with pytest.raises(StreamError, match="it was ended"):
                async for _ in items:
                    pass

    within(main())


def test_one_object_serves_one_loop_after_another():
    """
    `asyncio.run` twice, without a word to the first: a script's way.
    """
    streams = DataStream(simulate=True)

    async def main():
        async for tick in streams.stream("BTCUSDT"):
            price = tick.price
            break
        return price

    assert asyncio.run(main()) > 0
    assert asyncio.run(main()) > 0


def test_settings_reach_their_source_without_the_environment(monkeypatch):
    """
    A TWS where the program says it is: asked for its share without naming it, and not simulated.
    """
    for name in ("ALPACA_API_KEY", "POLYGON_API_KEY", "FINNHUB_API_KEY", "IB_STREAM_HOST"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)

    async def main():
        async with TwsSimulator(clock=SystemClock()) as tws:
            settings = {"ibkr_host": "127.0.0.1", "ibkr_port": tws.port, "ibkr_client_id": 5}
            async with DataStream(**settings, alpaca_key=None) as streams:
                (tick,) = await first(streams.stream("AAPL"))
            assert {what for what, *_ in tws.asked}
        assert tick.provider == "ibkr"
        assert not tick.simulated

    within(main())

    assert dict(os.environ) == before


def test_keys_are_their_source_s_and_nobody_else_s(caplog, monkeypatch):
    """
    A share goes to the provider whose key was given, and no log or repr shows it.
    """
    caplog.set_level(logging.DEBUG)
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"):
        monkeypatch.setenv(name, "of the environment")
    keys = {"alpaca_key": "PKNOTFORLOGS", "alpaca_secret": "AMOSTSECRETWORD"}
    catalog = Catalog.loaded(Plugins())

    given = variables_of({**keys, "binance_key": "UNUSEDVALUE"}, catalog)
    defaults = Defaults(environ=ChainMap(given, os.environ))
    spec, _ = read_spec({"sources": [{"type": "equities"}], "symbols": ["AAPL"]})
    bound = bind(spec, catalog, defaults)

    config = bound.sources[0].origin.config
    assert (config.key.reveal(), config.secret.reveal()) == tuple(keys.values())
    assert os.environ["ALPACA_API_KEY"] == "of the environment"
    assert "binance_key isn't used" in caplog.text
    shown = caplog.text + repr(bound) + repr(defaults) + repr(DataStream(**keys))
    for value in ("PKNOTFORLOGS", "AMOSTSECRETWORD", "UNUSEDVALUE"):
        assert value not in shown


def test_a_key_that_nothing_has_is_refused():
    """
    With the one that looks like it, and without its value.
    """

    async def main():
        async with DataStream(simulate=True, alpca_key="PKNOTFORLOGS") as streams:
            with pytest.raises(Exception, match="did you mean alpaca_key") as refused:
                await anext(streams.stream("BTCUSDT"))
            assert "PKNOTFORLOGS" not in str(refused.value)

    within(main())


def test_a_server_streams_the_same(tmp_path, caplog, monkeypatch):
    """
    Ticks, candles and many symbols, over its WebSockets; keys stay here, and that is told.
    """
    with serving(tmp_path) as address:
        monkeypatch.setenv("EKKO_API_URL", address)

        async def main():
            async with DataStream(alpaca_key="PKNOTFORLOGS") as streams:
                heard = Heard()
                many = asyncio.create_task(streams.stream_many(["BTCUSDT", "AAPL"], heard))
                (tick,), (candle,) = await asyncio.gather(
                    first(streams.stream("BTCUSDT")),
                    first(streams.stream("ETHUSDT", "kline", "5m")),
                )
                await heard.until(lambda all_: len({message.symbol for message in all_}) == 2)
                with pytest.raises(APIError, match="can't be simulated"):
                    await anext(streams.stream("BTCUSDT", provider="gemini"))
                await streams.disconnect_streams()
                await many
            assert tick.provider == candle.provider == "binance"
            assert candle.made_by == "bond"
            assert tick.simulated
            assert candle.simulated

        within(main(), 60)

    assert "alpaca_key: not used and not sent" in caplog.text
    assert "PKNOTFORLOGS" not in caplog.text
