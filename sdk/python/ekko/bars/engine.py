"""Trades to signals: `StreamingTradingEngine`.

    ticks ─▶ bars ─▶ features ─▶ prediction ─▶ signal ─▶ executor

Bond places no order: the executor is yours, or `PaperExecutor`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from ekko.bars.calling import is_cancelled, result_of
from ekko.bars.features import LOOKBACK, features_of
from ekko.bars.manager import StreamManager
from ekko.bars.model import Bar, EventType, Prediction, Signal
from ekko.bars.predicting import Predictor, predicted

MakeFeatures = Callable[[Sequence[Bar]], Any]
"""Takes closed bars, the oldest first; gives what the predictor takes, None for nothing yet."""


@runtime_checkable
class Executor(Protocol):
    """What acts on signals. A function that takes the same is one, too."""

    def execute(self, signal: Signal) -> Any:
        """Take a signal. May be a coroutine function."""
        ...


class StreamingTradingEngine:
    """Predicts at each bar that closes, and hands sure predictions to an executor.

    Bars that don't tell of all their time (`partial`), those without a price, and those that are
    no longer kept when their turn comes are not predicted on: counted as `bars_skipped`. What a
    predictor or executor raises is logged and counted, and ends nothing. All of it runs in the
    manager's callbacks: a predictor that computes for long should be a coroutine function that
    does it elsewhere.

    Args:
        stream_manager: Where bars come from.
        predictor: See Predictor; None computes features, and predicts nothing.
        executor: See Executor; None hands signals to `on_signal` alone.
        signal_threshold: How sure a prediction must be at least to make a signal, 0 to 1.
        features: Makes what the predictor takes from the newest bars; else `features_of`.
        timeframe: Which bars; None is the manager's default.
        lookback: How many bars `features` gets at most.

    Attributes:
        latest_features: By symbol, what was computed last.
    """

    def __init__(
        self, stream_manager: StreamManager,
        predictor: Predictor | Callable[[Mapping[str, Any]], Any] | None = None,
        executor: Executor | Callable[[Signal], Any] | None = None,
        signal_threshold: float = 0.6, *, features: MakeFeatures | None = None,
        timeframe: str | None = None, lookback: int = LOOKBACK,
    ) -> None:  # fmt: skip
        if not 0 <= signal_threshold <= 1:
            raise ValueError(f"signal_threshold is from 0 to 1, was {signal_threshold!r}")
        for name, given, method in (("predictor", predictor, "predict"),
                                    ("executor", executor, "execute")):  # fmt: skip
            if given is not None and not hasattr(given, method) and not callable(given):
                raise TypeError(f"a {name} has {method}, or can be called; was {given!r}")
        self.stream_manager = stream_manager
        self.predictor = predictor
        self.executor = executor
        self.signal_threshold = signal_threshold
        self.timeframe = stream_manager.config.checked(timeframe)
        self.latest_features: dict[str, Any] = {}
        self._features: MakeFeatures = features or features_of
        self._lookback = lookback
        self._counts: Counter[str] = Counter()
        self._is_on = False

    async def start(self) -> None:
        """Predict from now on; starts the manager, unless it runs. See StreamManager.start."""
        if not self._is_on:
            self._is_on = True
            self.stream_manager.on_bar_complete(self._on_bar)
        try:
            await self.stream_manager.start()
        except BaseException:
            self._leave()
            raise

    async def stop(self) -> None:
        """Predict no more, and stop the manager."""
        self._leave()
        await self.stream_manager.stop()

    def get_metrics(self) -> dict[str, Any]:
        """Return counts since the engine was made."""
        names = ("bars", "bars_skipped", "predictions", "signals", "executed")
        return {name: self._counts[name] for name in names}

    def _leave(self) -> None:
        self._is_on = False
        self.stream_manager.off(EventType.BAR_COMPLETE, self._on_bar)

    async def _on_bar(self, bar: Bar) -> None:
        if bar.timeframe != self.timeframe:
            return
        self._counts["bars"] += 1
        if bar.partial or bar.close is None:
            self._counts["bars_skipped"] += 1
            return
        prediction = await self._predict(bar)
        if prediction is None:
            return
        self._counts["predictions"] += 1
        await self.stream_manager.emit(EventType.PREDICTION, prediction)
        signal = signal_of(prediction, self.signal_threshold)
        if signal is None or not self.stream_manager.is_running:  # a callback may stop it
            return
        self._counts["signals"] += 1
        await self.stream_manager.emit(EventType.SIGNAL, signal)
        if self.stream_manager.is_running:  # a callback may have stopped it
            await self._execute(signal)

    async def _predict(self, bar: Bar) -> Prediction | None:
        # Callbacks run after what they are about: bars that closed since are not known yet here.
        bars = self.stream_manager.get_bars(bar.symbol, bar.timeframe)
        if bars and bars[-1].start_ns > bar.start_ns:
            bars = [each for each in bars if each.start_ns <= bar.start_ns]
        if not bars or bars[-1].start_ns != bar.start_ns:  # no longer kept: this came too late
            self._counts["bars_skipped"] += 1
            return None
        try:
            features = self.latest_features[bar.symbol] = self._features(bars[-self._lookback :])
        except Exception as error:  # noqa: BLE001 - it is the user's; the stream goes on
            self.stream_manager.failed("features", self._features, error)
            return None
        if self.predictor is None or features is None:
            return None
        try:
            return await predicted(self.predictor, features, bar)
        except (Exception, asyncio.CancelledError) as error:  # as above
            if is_cancelled(error):
                raise
            self.stream_manager.failed("predictor", self.predictor, error)
            return None

    async def _execute(self, signal: Signal) -> None:
        executor = self.executor
        if executor is None:
            return
        act = executor.execute if isinstance(executor, Executor) else executor
        try:
            await result_of(act(signal))
        except (Exception, asyncio.CancelledError) as error:  # as above
            if is_cancelled(error):
                raise
            self.stream_manager.failed("executor", executor, error)
        else:
            self._counts["executed"] += 1


def signal_of(prediction: Prediction, threshold: float) -> Signal | None:
    """Return the signal that a prediction makes; None where it isn't sure, or says hold."""
    price = prediction.bar.close
    is_sure = prediction.direction != "hold" and prediction.confidence >= threshold
    if price is None or not is_sure:
        return None
    return Signal(
        symbol=prediction.symbol, direction=prediction.direction,
        confidence=prediction.confidence, price=price, prediction=prediction,
    )  # fmt: skip
