"""From ticks to an executor: predictions, signals and paper trades of a venue of the test's."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest

from bond_core.clock import NS, settle
from bond_core.testing.virtual_clock import VirtualClock
from ekko.bars import (
    Bar,
    PaperExecutor,
    Prediction,
    PredictionError,
    Signal,
    StreamingTradingEngine,
    features_of,
)
from ekko.bars.predicting import read
from tests.journeys.spoken_venue import T0, VENUES, Venue, manager_of, say_at, trade


def traded(predictor, executor=None, *, minutes=3, callbacks=(), made=None, **options):
    """Run an engine over a few minutes, one trade each; the first bar is only partial."""

    async def journey():
        clock = VirtualClock(T0 + 30 * NS)
        VENUES.append(Venue())
        manager = manager_of(clock=clock, stale_threshold_seconds=3600)
        for name, callback in callbacks:
            getattr(manager, name)(callback)
        if made is not None:
            made(manager)
        engine = StreamingTradingEngine(
            stream_manager=manager, predictor=predictor, executor=executor, **options
        )
        try:
            await engine.start()
            await clock.advance(1)
            for n in range(minutes):
                await say_at(VENUES[-1], clock, trade(60 * n + 45, 100.0 + n))
            await clock.advance(20)
            return engine, manager.get_metrics(), manager.get_health()
        finally:
            await engine.stop()
            VENUES.pop()

    async def bounded():
        async with asyncio.timeout(30):
            return await journey()

    return asyncio.run(bounded())


def test_a_bar_becomes_features_a_prediction_a_signal_and_an_order_on_paper():
    """
    In that order, at each bar that tells of all its time.
    """
    order = []
    paper = PaperExecutor(fee_bps=0)

    class Model:
        def predict(self, features):
            order.append(("features", features["return_1"]))
            return 0.9

    class Executor:
        def execute(self, signal):
            order.append(("execute", signal.price))
            return paper.execute(signal)

    callbacks = [
        ("on_prediction", lambda e: order.append(("prediction", e.data.confidence))),
        ("on_signal", lambda e: order.append(("signal", e.data.direction))),
    ]

    engine, metrics, _ = traded(Model(), Executor(), callbacks=callbacks)

    assert order[:4] == [
        ("features", pytest.approx(0.01)), ("prediction", 0.9), ("signal", "buy"),
        ("execute", 101.0),
    ]  # fmt: skip
    assert len(order) == 8
    assert engine.get_metrics() == {
        "bars": 3, "bars_skipped": 1, "predictions": 2, "signals": 2, "executed": 2
    }  # fmt: skip
    assert (metrics["predictions"], metrics["signals"]) == (2, 2)
    assert [(fill.side, fill.price, fill.is_paper) for fill in paper.fills] == [
        ("buy", 101.0, True)
    ]


@pytest.mark.parametrize(
    ("confidence", "options", "signals"),
    [(0.59, {}, 0), (0.6, {}, 2), (0.6, {"signal_threshold": 0.7}, 0)],
)
def test_a_prediction_makes_a_signal_from_the_threshold_on(confidence, options, signals):
    """
    Which is 0.6 unless said.
    """
    engine, _, _ = traded(lambda _: ("sell", confidence), **options)

    assert engine.get_metrics()["predictions"] == 2
    assert engine.get_metrics()["signals"] == signals


def test_predictors_and_executors_may_be_coroutines_and_functions():
    """
    They are waited for.
    """
    got = []

    async def predict(features):
        await asyncio.sleep(0)
        return {"direction": "buy", "confidence": 1}

    async def execute(signal):
        await asyncio.sleep(0)
        got.append(signal.symbol)

    traded(predict, execute)

    assert got == ["A/USDT", "A/USDT"]


@pytest.mark.parametrize("who", ["features", "predictor", "executor"])
def test_whoever_raises_is_told_and_the_engine_goes_on(who, caplog):
    """
    Counted, logged, named by health; each bar is tried.
    """

    def broken(_):
        raise RuntimeError("mine")

    parts = {"predictor": lambda _: 1.0, "executor": lambda _: None, "features": None, who: broken}
    with caplog.at_level(logging.ERROR, "ekko.bars"):
        engine, metrics, health = traded(
            parts["predictor"], parts["executor"], features=parts["features"]
        )

    assert metrics["callback_errors"] == {who: 2}
    assert f"{who}: RuntimeError: mine" in health["problems"][-1]
    assert engine.get_metrics()["executed"] == 0


def test_a_predictor_whose_own_task_was_cancelled_has_failed():
    """
    That is not the end of the engine: it is asked again at the next bar.
    """

    async def cancelled(_):
        task = asyncio.create_task(asyncio.sleep(9))
        task.cancel()
        await task

    _, metrics, health = traded(cancelled)

    assert metrics["callback_errors"] == {"predictor": 2}
    assert "predictor: CancelledError" in health["problems"][-1]


@pytest.mark.parametrize("told", ["on_prediction", "on_signal"])
def test_nothing_is_executed_once_a_callback_has_stopped_the_manager(told):
    """
    Whoever stops at a prediction or signal wants no order of it.
    """
    orders, managers = [], []

    async def stop(_):
        await managers[0].stop()

    callbacks = [(told, stop)]
    engine, _, _ = traded(lambda _: 0.9, orders.append, made=managers.append, callbacks=callbacks)

    assert engine.get_metrics()["predictions"] == 1
    assert orders == []


def test_bars_that_are_no_longer_kept_when_their_turn_comes_are_skipped():
    """
    A predictor that lags behind what is kept gets no features of nothing: that is counted.
    """
    seen = []

    async def journey():
        clock = VirtualClock(T0 + 30 * NS)
        VENUES.append(Venue())
        manager = manager_of(clock=clock, stale_threshold_seconds=3600, bar_history_size=2)
        free = asyncio.Event()

        async def slow(_):
            await free.wait()

        def features(bars):
            seen.append(len(bars))
            return {}

        engine = StreamingTradingEngine(manager, slow, features=features)
        try:
            await engine.start()
            await clock.advance(1)
            for n in range(6):
                await say_at(VENUES[-1], clock, trade(60 * n + 45))
            await clock.advance(20)
            free.set()
            await settle()
            return engine.get_metrics(), manager.get_metrics()
        finally:
            await engine.stop()
            VENUES.pop()

    engine, metrics = asyncio.run(asyncio.wait_for(journey(), 30))

    assert metrics["callback_errors"] == {}
    assert seen == [2, 1, 2]  # the first whole bar, and the two that are still kept
    assert (engine["bars"], engine["bars_skipped"]) == (6, 3)


def test_an_answer_that_is_no_prediction_is_told():
    """
    A probability above 1, say: nothing is made of it.
    """
    engine, metrics, health = traded(lambda _: 7)

    assert engine.get_metrics()["predictions"] == 0
    assert metrics["callback_errors"] == {"predictor": 2}
    assert "from 0 to 1" in health["problems"][-1]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.75, ("buy", 0.75)),
        (0.25, ("sell", 0.75)),
        (("long", 0.8), ("buy", 0.8)),
        ((-1, 0.8), ("sell", 0.8)),
        ({"direction": "HOLD", "confidence": 1}, ("hold", 1.0)),
        (SimpleNamespace(direction="down", confidence=0.6), ("sell", 0.6)),
    ],
)
def test_answers_are_read(answer, expected):
    """
    A probability of a rise, or a direction and how sure it is.
    """
    assert read(answer) == expected


@pytest.mark.parametrize(
    "answer", ["up", float("nan"), -0.1, ("up", None), {"direction": "sideways", "confidence": 1}]
)
def test_what_is_no_answer_is_refused(answer):
    """
    Rather than taken for something.
    """
    with pytest.raises(PredictionError):
        read(answer)


def test_no_predictor_computes_features_and_no_more():
    """
    They can be looked at.
    """
    engine, _, _ = traded(None)

    assert engine.latest_features["A/USDT"]["return_1"] == pytest.approx(102 / 101 - 1)
    assert engine.get_metrics()["predictions"] == 0


def bar(close, n=0, **more):
    """Return a bar in which everything was traded at one price."""
    start = T0 + n * 60 * NS
    return Bar(symbol="A/USDT", timeframe="1m", start_ns=start, end_ns=start + 60 * NS, open=close,
               high=close, low=close, close=close, volume=1.0, vwap=close, **more)  # fmt: skip


def test_features_that_need_more_bars_or_more_knowledge_are_none():
    """
    Unknown is never zero.
    """
    features = features_of([bar(100.0), bar(101.0, 1)])

    assert features["return_1"] == pytest.approx(0.01)
    assert features["return_5"] is features["sma_ratio_5"] is features["volatility_20"] is None
    assert features["buy_share"] is None
    assert features_of([bar(100.0), bar(None, 1)])["return_1"] is None
    assert features_of([bar(100.0 + n, n) for n in range(30)])["volatility_20"] > 0


def signal(direction, price):
    """Return a signal at a price."""
    made = Prediction(symbol="A/USDT", direction=direction, confidence=1.0, bar=bar(price))
    return Signal(symbol="A/USDT", direction=direction, confidence=1.0, price=price,
                  prediction=made)  # fmt: skip


def test_paper_holds_what_signals_say_and_pays_for_it():
    """
    In, a signal that changes nothing, out; profit less the fees of both ways.
    """
    paper = PaperExecutor(notional=1_000.0, fee_bps=10.0)

    said = [("buy", 100.0), ("buy", 105.0), ("sell", 110.0), ("sell", 90.0)]
    fills = [paper.execute(signal(*each)) for each in said]

    assert [fill and (fill.side, fill.position) for fill in fills] == [
        ("buy", 10.0), None, ("sell", 0.0), None
    ]  # fmt: skip
    report = paper.report()
    assert report["fees"] == pytest.approx(1.0 + 1.1)
    assert report["profit"] == pytest.approx(100.0 - 2.1)
    assert (report["paper"], report["positions"]) == (True, {})


def test_paper_goes_short_where_it_may():
    """
    From long to short in one fill.
    """
    paper = PaperExecutor(notional=1_000.0, fee_bps=0.0, may_short=True)

    paper.execute(signal("buy", 100.0))
    fill = paper.execute(signal("sell", 100.0))

    assert (fill.size, fill.position) == (20.0, -10.0)
    assert paper.report()["profit"] == 0.0


@pytest.mark.parametrize("options", [{"signal_threshold": 60}, {"predictor": 3}, {"executor": "x"}])
def test_an_engine_of_nonsense_is_refused(options):
    """
    At once, and not at the first bar.
    """
    with pytest.raises((ValueError, TypeError)):
        StreamingTradingEngine(manager_of(), **options)
