"""Bars of recordings, predictors tried on them, and bars from a server."""

from __future__ import annotations

import asyncio
import json

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.clock import NS
from ekko import EkkoClient
from ekko.bars import (
    Bar,
    NoBarsError,
    StreamManager,
    StreamManagerConfig,
    recorded_bars,
    walk_forward,
)
from tests.journeys.command_line import bond, serving
from tests.journeys.spoken_venue import T0, until

FRAMES = {"supported_timeframes": ["200ms"], "default_timeframe": "200ms"}


def bars_of(closes, **more):
    """Return bars that close at these prices; None is a hole."""
    bars = []
    for n, close in enumerate(closes):
        start = T0 + n * 60 * NS
        bars.append(
            Bar(symbol="A/USDT", timeframe="1m", start_ns=start, end_ns=start + 60 * NS,
                open=close, high=close, low=close, close=close, partial=close is None, **more)
        )  # fmt: skip
    return bars


def walked(bars, fit, **options):
    """Walk with one bar's lookback, without fees, unless said otherwise."""
    options = {"train": 4, "test": 2, "fee_bps": 0.0, "features": list, **options}
    return asyncio.run(walk_forward(bars, fit, **options))


def test_a_recording_of_a_manager_s_spec_gives_bars_that_say_so(tmp_path):
    """
    Recorded under simulation, read again, and walked over; each bar is replayed and simulated.
    """
    manager = StreamManager(StreamManagerConfig(**FRAMES))
    manager.add_crypto_symbols(["BTC/USDT"])
    (spec,) = manager.specs()
    given_to, file = tmp_path / "spec.json", tmp_path / "btc.jsonl.gz"
    given_to.write_text(json.dumps(spec), encoding="utf-8")
    recorded = bond("record", str(given_to), "-o", str(file), "--for", "4s", "--simulate")
    assert recorded.returncode == 0, recorded.stderr

    bars = asyncio.run(recorded_bars(file, "BTC/USDT", "200ms"))
    report = asyncio.run(walk_forward(bars, lambda _: lambda __: 0.9, train=4, test=2))

    assert len(bars) >= 6
    assert all(bar.simulated and bar.replayed for bar in bars)
    assert any(bar.trades for bar in bars)
    assert report.simulated
    assert report.partial_bars == sum(bar.partial for bar in bars)
    with pytest.raises(NoBarsError, match="it has BTC/USDT 200ms"):
        asyncio.run(recorded_bars(file, "ETH/USDT", "200ms"))


def test_a_predictor_that_is_right_gains_what_the_price_moves():
    """
    Each fold is trained on what lies before it, and tests follow one another.
    """
    bars = bars_of([100.0 * 1.01**n for n in range(10)])
    trained = []

    def fit(train):
        trained.append((train[0].start_ns, train[-1].end_ns))
        return lambda features: 0.9

    report = walked(bars, fit)

    assert [fold.train for fold in report.folds] == trained
    assert [fold.test[0] for fold in report.folds] == [end for _, end in trained]
    assert report.signals == 5  # what comes after the last bar is unknown
    assert report.hit_rate == 1.0
    assert report.profit == pytest.approx(0.05)
    assert report.folds[0].market == pytest.approx(1.01**2 - 1)
    dear = walked(bars, fit, fee_bps=10.0)
    assert dear.profit == pytest.approx(0.05 - 5 * 0.002)


def test_what_is_unknown_is_not_counted():
    """
    No prediction at a hole, and no outcome across one.
    """
    bars = bars_of([100.0, 101.0, 102.0, 103.0, 104.0, None, 106.0, 107.0, 108.0, 109.0])

    report = walked(bars, lambda _: lambda __: 0.9)

    assert sum(fold.skipped for fold in report.folds) == 1
    assert sum(fold.predictions for fold in report.folds) == 5
    assert report.signals == 3
    assert report.partial_bars == 1


def test_a_missing_bar_makes_the_outcome_unknown():
    """
    A silent minute has no bar; what came after it isn't what came one bar later.
    """
    bars = bars_of([100.0 + n for n in range(9)])
    del bars[5]

    report = walked(bars, lambda _: lambda __: 0.9, train=4, test=4)

    assert report.signals == 2


@settings(max_examples=40, deadline=None)
@given(
    closes=st.lists(st.floats(1.0, 1e6), min_size=8, max_size=30),
    train=st.integers(1, 4),
    test=st.integers(1, 4),
    data=st.data(),
)
def test_nothing_that_lies_ahead_changes_what_is_seen(closes, train, test, data):
    """
    Other prices from some bar on, and everything that was seen before it is the same.
    """
    changed_from = data.draw(st.integers(1, len(closes) - 1))
    others = [*closes[:changed_from], *(close + 1.0 for close in closes[changed_from:])]

    def seen(prices):
        told = []

        def fit(bars):
            told.append((bars[-1].end_ns, [bar.close for bar in bars]))

            def predict(features):
                told.append((features[-1].end_ns, [bar.close for bar in features]))
                return 0.5

            return predict

        walked(bars_of(prices), fit, train=train, test=test)
        return [each for each in told if each[0] <= bars_of(prices)[changed_from].start_ns]

    assert seen(closes) == seen(others)


def test_too_few_bars_are_refused():
    """
    With how many one fold takes.
    """
    with pytest.raises(ValueError, match=r"3 bars are too few: one fold takes 4 \+ 2"):
        walked(bars_of([1.0, 2.0, 3.0]), lambda _: lambda __: 0.5)


def test_a_server_gives_the_same_ticks_and_bars(tmp_path):
    """
    Through its two streams: labelled ticks, bars, the one being built, and sources.
    """
    ticks, bars = [], []

    async def run(address):
        config = StreamManagerConfig(**attrs.asdict(StreamManagerConfig(**FRAMES)))
        manager = StreamManager(config, api_url=address)
        manager.add_crypto_symbols(["BTC/USDT"])
        manager.on_tick(lambda e: ticks.append(e.data))
        manager.on_bar_complete(bars.append)
        async with asyncio.timeout(60), manager:
            await until(lambda: len(ticks) > 9 and sum(not bar.partial for bar in bars) > 2)
            await until(lambda: manager.get_current_bar("BTC/USDT") is not None)
            current = manager.get_current_bar("BTC/USDT")
            return current, manager.get_health(), manager.get_metrics()

    with serving(tmp_path) as address:
        current, health, metrics = asyncio.run(run(address))

    assert all(tick.simulated and tick.source == "binance" for tick in ticks)
    assert all(bar.simulated for bar in bars)
    whole = [bar for bar in bars if not bar.partial and bar.trades]
    inside = {
        bar.start_ns: [t for t in ticks if bar.start_ns <= t.ts_ns < bar.end_ns] for bar in whole
    }
    # The two streams begin and end a moment apart, so ticks of the outermost bars may be missing.
    compared = [bar for bar in whole if len(inside[bar.start_ns]) == bar.trades]
    assert compared
    for bar in compared:
        assert bar.volume == pytest.approx(sum(tick.volume for tick in inside[bar.start_ns]))
        assert bar.high == max(tick.price for tick in inside[bar.start_ns])
    assert current.simulated
    assert health["sources"]["binance"]["status"] == "live"
    assert metrics["ticks"] - metrics["ticks_waiting"] == len(ticks)


def test_a_stream_that_a_server_ends_is_told_and_the_other_goes_on(tmp_path):
    """
    Shares are deleted over there: health says so at once, and crypto still comes.
    """
    told, ticks = [], []

    async def run(address):
        manager = StreamManager(StreamManagerConfig(**FRAMES), api_url=address)
        manager.add_crypto_symbols(["BTC/USDT"])
        manager.add_stock_symbols(["TSLA"])
        manager.on_tick(lambda e: ticks.append(e.data.symbol))
        manager.on_health(lambda e: told.append(e.data))
        async with asyncio.timeout(60), manager:
            await until(lambda: {"BTC/USDT", "TSLA"} <= set(ticks))
            async with EkkoClient(address) as client:
                for stream in await client.list_streams():
                    if stream.spec["symbols"] == ["TSLA"]:
                        await client.delete_stream(stream.stream_id)
            await until(lambda: told and told[-1]["problems"])
            ticks.clear()
            await until(lambda: "BTC/USDT" in ticks)

    with serving(tmp_path) as address:
        asyncio.run(run(address))

    assert told[-1]["status"] == "degraded"
    assert told[-1]["problems"][0].startswith("TSLA: StreamDeletedError")


def test_a_server_that_nobody_reaches_is_told_by_start():
    """
    With where it was looked for.
    """
    manager = StreamManager(api_url="http://127.0.0.1:9")
    manager.add_crypto_symbols(["BTC/USDT"])

    with pytest.raises(Exception, match=r"127\.0\.0\.1:9"):
        asyncio.run(manager.start())
