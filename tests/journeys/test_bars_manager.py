"""A stream manager and a venue that is spoken for, under a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

from bond_core.clock import NS, settle
from bond_core.spec.duration import format_duration
from bond_core.testing.virtual_clock import VirtualClock
from ekko.bars import Bar, StreamManager, StreamManagerConfig
from ekko.bars.building import Building
from ekko.bars.config import spelled, timeframe_ns
from ekko.bars.hearing import Trade as HeardTrade
from tests.journeys.spoken_venue import T0, listening, manager_of, say_at, trade, until

QUIET = {"stale_threshold_seconds": 3600}
"""A market where nothing happens for minutes."""


def run(journey):
    """Run a journey, which gets a clock; not for ever."""

    async def bounded():
        async with asyncio.timeout(30):
            return await journey(VirtualClock(T0))

    return asyncio.run(bounded())


def bars_of(told, timeframe="1m"):
    """Return the bars of a length."""
    return [bar for bar in told if bar.timeframe == timeframe]


def test_a_minute_of_ticks_is_a_bar_with_vwap_and_sides():
    """
    Each trade is a tick; the window's end closes a bar of what they add up to.
    """

    async def journey(clock):
        ticks, bars = [], []
        heard = {"on_tick": lambda e: ticks.append(e.data), "on_bar_complete": bars.append}
        async with listening(clock=clock, callbacks=heard, **QUIET) as (manager, venue):
            await say_at(
                venue, clock,
                trade(61, 100.0, 1.0, side="buy", id="1"),
                trade(70, 104.0, 2.0, side="sell", id="2"),
                trade(110, 102.0, 1.0, side="buy", id="3"),
            )  # fmt: skip
            await clock.advance_to(T0 + 125 * NS)
            return ticks, bars, manager.get_metrics()

    ticks, bars, metrics = run(journey)

    assert [(t.symbol, t.price, t.volume, t.side) for t in ticks] == [
        ("A/USDT", 100.0, 1.0, "buy"), ("A/USDT", 104.0, 2.0, "sell"), ("A/USDT", 102.0, 1.0, "buy")
    ]  # fmt: skip
    bar = bars_of(bars)[-1]
    assert (bar.open, bar.high, bar.low, bar.close) == (100.0, 104.0, 100.0, 102.0)
    assert (bar.volume, bar.vwap, bar.trades) == (4.0, 102.5, 3)
    assert (bar.buy_volume, bar.sell_volume, bar.unknown_volume) == (2.0, 2.0, 0.0)
    assert (bar.start_ns, bar.end_ns) == (T0 + 60 * NS, T0 + 120 * NS)
    assert not bar.partial
    assert not bar.simulated
    assert metrics["ticks"] == 3


def test_a_side_that_the_venue_does_not_say_is_unknown_and_not_zero():
    """
    Where one trade has no side, nobody knows how much was bought: neither closed nor building.
    """

    async def journey(clock):
        async with listening(clock=clock, **QUIET) as (manager, venue):
            await say_at(venue, clock, trade(61, side="buy"), trade(62, size=2.0, side=None))
            building = manager.get_current_bar("A/USDT")
            await clock.advance_to(T0 + 125 * NS)
            return building, manager.get_bars("A/USDT")[-1]

    for bar in run(journey):
        assert bar.volume == 3.0
        assert (bar.buy_volume, bar.sell_volume, bar.unknown_volume) == (None, None, 2.0)


def test_a_broken_connection_makes_a_bar_partial_and_is_told():
    """
    The bar in which the venue hung up says so; on_reconnect says that it is back, and why.
    """

    async def journey(clock):
        told = []
        async with listening(clock=clock, callbacks={"on_reconnect": told.append}, **QUIET) as (
            m,
            venue,
        ):
            await say_at(venue, clock, trade(61))
            venue.hang_up()
            await clock.advance(5)
            await say_at(venue, clock, trade(90))
            current = m.get_current_bar("A/USDT")
            await say_at(venue, clock, trade(130))
            await clock.advance_to(T0 + 185 * NS)
            return told, current, m.get_bars("A/USDT"), m.get_metrics(), m.get_health()

    told, current, bars, metrics, health = run(journey)

    assert [(e.data.source, e.data.status, e.data.count) for e in told] == [("spoken", "live", 1)]
    assert "hung up" in told[0].data.reason
    assert current.partial
    assert [bar.partial for bar in bars][-2:] == [True, False]
    assert metrics["reconnects"] == 1
    assert health["sources"]["spoken"]["reconnects"] == 1


def test_a_bar_that_nobody_heard_has_no_price_and_no_volume():
    """
    A minute during which the venue was down is told as a partial bar of unknowns.
    """

    async def journey(clock):
        bars = []
        async with listening(clock=clock, callbacks={"on_bar_complete": bars.append}, **QUIET) as (
            _,
            venue,
        ):
            await say_at(venue, clock, trade(61))
            await clock.advance_to(T0 + 125 * NS)
            venue.refuses = True
            venue.hang_up()
            await clock.advance_to(T0 + 250 * NS)
        return bars_of(bars)[-1]

    bar = run(journey)

    assert bar.start_ns == T0 + 180 * NS
    assert bar.partial
    assert (bar.open, bar.close, bar.volume, bar.buy_volume, bar.trades) == (None,) * 5


def test_a_silent_minute_makes_no_bar():
    """
    The venue was listened to, and nothing was traded: there is nothing to tell.
    """

    async def journey(clock):
        async with listening(clock=clock, **QUIET) as (manager, venue):
            await say_at(venue, clock, trade(61), trade(301))
            await clock.advance_to(T0 + 365 * NS)
            return [bar.start_ns for bar in manager.get_bars("A/USDT") if bar.trades]

    assert run(journey) == [T0 + 60 * NS, T0 + 300 * NS]


def test_callbacks_that_raise_are_told_and_end_nothing(caplog):
    """
    The next callback is called, the next tick comes, and metrics and health name the error.
    """

    async def journey(clock):
        ticks = []

        def bad(_):
            raise RuntimeError("mine")

        async def bad_too(_):
            raise ValueError("mine, too")

        async with listening(clock=clock) as (manager, venue):
            for each in (bad, bad_too, ticks.append):
                manager.on_tick(each)
            await say_at(venue, clock, trade(1), trade(2))
            return len(ticks), manager.get_metrics(), manager.get_health()

    with caplog.at_level(logging.ERROR, "ekko.bars"):
        ticks, metrics, health = run(journey)

    assert ticks == 2
    assert metrics["callback_errors"] == {"tick": 4}
    assert "mine, too" in health["problems"][-1]
    assert "mine" in caplog.text


def test_the_bar_that_is_being_built_is_that_of_all_its_ticks():
    """
    The longer one is made of short ones that have closed, and of what is open.
    """

    async def journey(clock):
        async with listening(clock=clock, **QUIET) as (manager, venue):
            await say_at(
                venue, clock, trade(301, 10.0), trade(330, 14.0), trade(361, 8.0, side="sell")
            )
            await clock.advance_to(T0 + 370 * NS)
            await say_at(venue, clock, trade(371, 9.0, 3.0))
            return [manager.get_current_bar("A/USDT", each) for each in (None, "5m", "15m")]

    one, five, fifteen = run(journey)

    assert (one.open, one.high, one.low, one.close, one.volume) == (8.0, 9.0, 8.0, 9.0, 4.0)
    assert (five.open, five.high, five.low, five.close) == (10.0, 14.0, 8.0, 9.0)
    assert (five.volume, five.trades, five.buy_volume, five.sell_volume) == (6.0, 4, 5.0, 1.0)
    assert five.vwap == pytest.approx((10 + 14 + 8 + 27) / 6)
    assert (fifteen.volume, fifteen.start_ns) == (6.0, T0)
    assert not any(bar.complete for bar in (one, five, fifteen))


def test_volume_without_a_price_is_no_part_of_a_longer_vwap():
    """
    A closed minute with an odd lot weighs as much in five minutes as its priced trades did.
    """

    async def journey(clock):
        async with listening(clock=clock, **QUIET) as (manager, venue):
            await say_at(venue, clock, trade(61, 10.0, 10.0), trade(62, None, 990.0))
            await say_at(venue, clock, trade(125, 20.0, 10.0))
            return manager.get_current_bar("A/USDT", "5m")

    bar = run(journey)

    assert (bar.volume, bar.vwap) == (1010.0, 15.0)


def test_a_longer_vwap_of_which_a_closed_bar_s_trades_were_not_heard_is_unknown():
    """
    How much of that bar's volume had a price can't be said.
    """
    building = Building("A/USDT", ("1m", "5m"))
    closed = Bar(
        symbol="A/USDT", timeframe="1m", start_ns=T0, end_ns=T0 + 60 * NS, open=10.0, high=10.0,
        low=10.0, close=10.0, volume=1000.0, vwap=10.0, trades=2,
    )  # fmt: skip
    building.close(closed)
    building.add([HeardTrade("A/USDT", T0 + 61 * NS, 20.0, 10.0, None, None, T0 + 61 * NS)])

    bar = building.current("5m", T0 + 62 * NS)

    assert (bar.volume, bar.vwap) == (1010.0, None)


def test_a_callback_may_stop_the_manager():
    """
    It returns, and nothing is left running.
    """

    async def journey(clock):
        before = asyncio.all_tasks()
        async with listening(clock=clock) as (manager, venue):

            async def stop(_):
                await manager.stop()

            manager.on_tick(stop)
            await say_at(venue, clock, trade(1))
            for _ in range(20):
                await settle()
            left = {task for task in asyncio.all_tasks() - before if not task.cancelling()}
            return manager.is_running, left

    assert run(journey) == (False, set())


def test_what_can_not_be_had_is_raised_by_start():
    """
    Nothing to listen to, and a source that isn't there; nothing is left running.
    """

    async def journey(clock):
        with pytest.raises(ValueError, match="nothing to listen to"):
            await StreamManager().start()
        manager = manager_of(clock=clock)
        manager.config.stock_source = "nowhere"
        with pytest.raises(Exception, match="nowhere"):
            await manager.start()
        return manager.is_running, len(asyncio.all_tasks())

    assert run(journey) == (False, 1)


# Every default of the configuration has an effect.


def test_the_defaults_are_those_of_the_documentation():
    """
    One minute; 1, 5 and 15; 1 s, 60 s, 10 times; 10,000 ticks, 500 bars; 10 s, 30 s.
    """
    config = StreamManagerConfig()

    assert (config.default_timeframe, *config.supported_timeframes) == ("1m", "1m", "5m", "15m")
    assert (config.reconnect_delay, config.max_reconnect_delay) == (1.0, 60.0)
    assert (config.reconnect_attempts, config.tick_buffer_size) == (10, 10_000)
    assert (config.bar_history_size, config.health_check_interval) == (500, 10.0)
    assert config.stale_threshold_seconds == 30.0


def test_bars_of_one_five_and_fifteen_minutes_are_built():
    """
    And of the default length where none is named; no others.
    """

    async def journey(clock):
        async with listening(clock=clock, **QUIET) as (manager, venue):
            await say_at(venue, clock, *(trade(60 * n + 1) for n in range(15)))
            await clock.advance_to(T0 + 905 * NS)
            with pytest.raises(ValueError, match="no 2m bars"):
                manager.get_bars("A/USDT", "2m")
            counts = [len(manager.get_bars("A/USDT", each)) for each in ("1m", "5m", "15m")]
            return counts, len(manager.get_bars("A/USDT"))

    assert run(journey) == ([15, 3, 1], 15)


@pytest.mark.parametrize(
    "said", ["60s", "1000ms", "120m", "90s", "90m", "24h", "1500ms", "7d", "14d", "25h"]
)
def test_a_timeframe_is_spelled_as_in_records(said):
    """
    In the largest unit of which it is so many.
    """
    assert spelled(said) == format_duration(timeframe_ns(said) // 10**6)


@pytest.mark.parametrize(("said", "meant"), [("60s", "1m"), ("120000ms", "2m"), ("90s", "90s")])
def test_a_timeframe_may_be_said_in_any_unit(said, meant):
    """
    Its bars are found by what was said, and by how records write it.
    """

    async def journey(clock):
        config = {"supported_timeframes": (said,), "default_timeframe": said, **QUIET}
        async with listening(clock=clock, **config) as (manager, venue):
            await say_at(venue, clock, trade(1))
            await clock.advance_to(T0 + 185 * NS)
            return [manager.get_bars("A/USDT", asked) for asked in (None, said, meant)]

    default, by_said, by_meant = run(journey)

    assert [bar.timeframe for bar in default] == [meant]
    assert default == by_said == by_meant


def test_pauses_between_attempts_grow_from_one_second_to_sixty_and_end_after_ten():
    """
    Half of each is left to chance; then the source is given up, which is told.
    """

    async def journey(clock):
        told = []
        async with listening(clock=clock, callbacks={"on_reconnect": told.append}) as (m, venue):
            venue.refuses = True
            began = len(venue.tries)
            venue.hang_up()
            await clock.advance(1_000)
            return venue.tries[began:], told, m.get_health()

    tries, told, health = run(journey)

    pauses = [(b - a) / NS for a, b in pairwise(tries)]
    assert len(tries) == 9  # the connection that broke was the first failure in a row
    for n, pause in enumerate(pauses, start=1):
        longest = min(60.0, 2.0**n)
        assert longest / 2 <= pause <= longest
    assert max(pauses) > 29
    assert [e.data.status for e in told] == ["failed"]
    assert "10 failures in a row" in told[0].data.reason
    assert health["status"] == "failed"


def test_ten_thousand_ticks_may_wait_and_no_more():
    """
    While a callback takes its time the oldest go; their bar has them all the same.
    """

    async def journey(clock):
        begun, go = asyncio.Event(), asyncio.Event()
        seen = []

        async def slow(event):
            seen.append(event.data.id)
            begun.set()
            await go.wait()

        async with listening(clock=clock, callbacks={"on_tick": slow}) as (manager, venue):
            await say_at(venue, clock, trade(1, id="first"))
            await begun.wait()
            for at in range(0, 10_500, 500):
                venue.say(*(trade(2, id=f"{n}") for n in range(at, at + 500)))
                await settle()
            metrics, health = manager.get_metrics(), manager.get_health()
            current = manager.get_current_bar("A/USDT")
            go.set()
            async with asyncio.timeout(10):
                await until(lambda: len(seen) == 10_001)
            return metrics, health, current, seen

    metrics, health, current, seen = run(journey)

    assert (metrics["ticks_waiting"], metrics["ticks_dropped"]) == (10_000, 500)
    assert "500 ticks were dropped" in health["problems"][0]
    assert current.trades == 10_501
    assert (seen[0], seen[1], seen[-1]) == ("first", "500", "10499")


def test_five_hundred_bars_are_kept():
    """
    The newest of them.
    """

    async def journey(clock):
        frames = {"supported_timeframes": ["100ms"], "default_timeframe": "100ms"}
        async with listening(clock=clock, **frames) as (manager, venue):
            for n in range(520):
                clock_ns = T0 + n * NS // 10
                await clock.advance_to(clock_ns)
                venue.say(trade(n / 10))
            await clock.advance(3)
            bars = manager.get_bars("A/USDT")
            return len(bars), bars[-1].start_ns, len(manager.get_bars("A/USDT", limit=3))

    assert run(journey) == (500, T0 + 519 * NS // 10, 3)


def test_health_is_told_every_ten_seconds():
    """
    With what get_health gives.
    """

    async def journey(clock):
        told = []
        heard = {"on_health": lambda e: told.append((clock.now_ns(), e.data["status"]))}
        async with listening(clock=clock, callbacks=heard) as (_, venue):
            await say_at(venue, clock, trade(1))
            await clock.advance_to(T0 + 35 * NS)
        return told

    assert run(journey) == [(T0 + s * NS, "healthy") for s in (10, 20, 30)]


def test_a_source_is_stale_after_thirty_seconds_without_anything_new():
    """
    Health says so, and it is connected anew; not before.
    """

    async def journey(clock):
        async with listening(clock=clock) as (manager, venue):
            await say_at(venue, clock, trade(1))
            await clock.advance_to(T0 + 30 * NS)
            before = manager.get_health(), len(venue.tries)
            await clock.advance_to(T0 + 34 * NS)
            return before, (manager.get_health(), len(venue.tries))

    (before, tries_before), (after, tries_after) = run(journey)

    assert before["status"] == "healthy"
    assert before["symbols"]["A/USDT"]["is_stale"] is False
    assert after["status"] == "degraded"
    assert after["sources"]["spoken"]["status"] == "stale"
    assert after["symbols"]["A/USDT"]["is_stale"] is True
    assert (tries_before, tries_after) == (1, 2)


def test_bars_are_a_table_whose_unknowns_are_not_zero():
    """
    Open times in UTC, numbers as floats, what is unknown NaN, and whether it is simulated.
    """
    pytest.importorskip("pandas")

    async def journey(clock):
        async with listening(clock=clock) as (manager, venue):
            await say_at(venue, clock, trade(61, side=None), trade(121, side="buy"))
            await clock.advance_to(T0 + 185 * NS)
            return manager.get_bar_dataframe("A/USDT", timeframe="1m", limit=2)

    frame = run(journey)

    assert [time.value for time in frame.index] == [T0 + 60 * NS, T0 + 120 * NS]
    assert str(frame.index.tz) == "UTC"
    assert frame["close"].dtype == frame["buy_volume"].dtype == "float64"
    assert frame["buy_volume"].isna().tolist() == [True, False]
    assert frame["unknown_volume"].tolist() == [1.0, 0.0]
    assert frame["simulated"].tolist() == [False, False]
    assert frame.attrs["simulated"] is False


def test_what_comes_too_late_for_its_bar_is_counted():
    """
    It is a tick, and in no bar: neither in the closed one nor in the one that is being built.
    """

    async def journey(clock):
        ticks = []
        async with listening(clock=clock, callbacks={"on_tick": ticks.append}, **QUIET) as (m, v):
            await say_at(v, clock, trade(61, id="1"), trade(125, id="2"))
            v.say(trade(62, id="3"))
            await say_at(v, clock, trade(190, id="4"))
            return len(ticks), [bar.trades for bar in m.get_bars("A/USDT")[-2:]], m.get_metrics()

    ticks, trades, metrics = run(journey)

    assert ticks == 4
    assert trades == [1, 1]
    assert metrics["late"] == 1


def test_simulation_is_the_environment_s_choice_unless_it_is_said(monkeypatch):
    """
    And never the environment's where a server listens, which has its own.
    """
    monkeypatch.setenv("BOND_SIMULATE", "1")
    managers = [
        manager_of(),
        manager_of(simulate=False),
        StreamManager(api_url="http://localhost:8000"),
        StreamManager(StreamManagerConfig(simulate=True), api_url="http://localhost:8000"),
    ]
    for each in managers:
        each.add_crypto_symbols(["BTC/USDT"])

    asked = [{spec.get("simulate", False) for spec in each.specs()} for each in managers]

    assert asked == [{True}, {False}, {False}, {True}]
