"""How streams by symbol begin and end, whose keys they use, and that a server has the same."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import ChainMap
from contextlib import aclosing

import pytest

from bond_core.clock import SystemClock
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import Plugins
from bond_core.runtime.binding import Defaults, bind
from bond_core.spec.read import read_spec
from bond_ibkr.simulator import TwsSimulator
from bond_server.embedded import variables_of
from bond_sim.subscriptions import Subscription
from ekko import APIError, DataStream, StreamError
from ekko.datastream.asking import asked_for
from ekko.datastream.hosts import LocalHost
from tests.journeys.by_symbol import Heard, first, until, within
from tests.journeys.command_line import serving


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


def test_a_loop_that_is_slow_gets_nothing_after_disconnecting():
    """
    Nor what had waited for it already.
    """

    async def main():
        streams = DataStream(simulate=True)
        ticks = streams.stream("BTCUSDT")
        await anext(ticks)
        await until(lambda: ticks._waiting.qsize() > 1)
        await streams.disconnect_streams()
        assert [tick async for tick in ticks] == []

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


def test_what_a_callback_awaits_may_be_cancelled(caplog):
    """
    That is a failure of the callback, logged like others: it ends nothing.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            heard = Heard()

            async def callback(message):
                heard(message)
                asleep = asyncio.create_task(asyncio.sleep(9))
                asleep.cancel()
                await asleep

            task = streams.subscribe("BTCUSDT", callback)
            await heard.until(lambda all_: len(all_) == 3)
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    within(main())
    assert "failed at a message of BTCUSDT" in caplog.text


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


@pytest.mark.parametrize("turns", range(4))
def test_a_reader_that_is_cancelled_twice_ends_its_stream_whole(turns):
    """
    Wherever the second time meets it: nothing runs on, and nothing old is told again.
    """

    async def main():
        async with DataStream(simulate=True) as streams:
            kept, first_, second = Heard(), Heard(), Heard()
            streams.subscribe("ETHUSDT", kept, "trade")
            task = streams.subscribe("BTCUSDT", first_, "trade")
            await first_.until(lambda all_: len(all_) >= 3)
            await kept.until(len)
            bond = (await streams._host._bond())._bond
            task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: len(bond.running) == 1)
            streams.subscribe("BTCUSDT", second, "trade")
            await second.until(lambda all_: len(all_) >= 3)
        assert not {each.trade_id for each in first_} & {each.trade_id for each in second}

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
