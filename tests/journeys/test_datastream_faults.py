"""Streams by symbol when something goes wrong: it is told, and disturbs nobody else."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from bond_core.log.event_log import Retention
from ekko import DataStream, StreamError
from tests.journeys.by_symbol import Heard, codes, within


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
