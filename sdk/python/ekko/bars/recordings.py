"""Bars from a recording (`bond record`), and predictors tried on them step by step.

    bars:  [ train ........ | test ]
                   [ train ........ | test ]
                          [ train ........ | test ]

At each fold a predictor is made from its training bars alone, and then asked at each test bar,
of which it sees that and the ones before. Nothing it is given lies ahead of what it predicts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import attrs

from ekko.bars.calling import result_of
from ekko.bars.engine import MakeFeatures, signal_of
from ekko.bars.features import LOOKBACK, features_of
from ekko.bars.history import bar_of
from ekko.bars.model import Bar
from ekko.bars.predicting import Predictor, predicted
from ekko.bars.specs import FIELDS
from ekko.errors import EkkoError
from ekko.local import replayed_events

AnyPredictor = Predictor | Callable[[Mapping[str, Any]], Any]
Fit = Callable[[Sequence[Bar]], AnyPredictor | Awaitable[AnyPredictor]]
"""Takes training bars, the oldest first; gives a predictor."""


class NoBarsError(EkkoError):
    """A recording holds no bars of what was asked for."""


async def recorded_bars(path: Path | str, symbol: str, timeframe: str) -> list[Bar]:
    """Return the bars of a recording, the oldest first; each says that it is `replayed`.

    Its stream must have had the fields of bars: record one of `StreamManager.specs()`.

    Raises:
        LocalModeError: Bond isn't installed here.
        NoBarsError: There are no such bars in it.
        Exception: Bond's own, for a file that can't be played.
    """
    bars: dict[int, Bar] = {}
    found: set[tuple[Any, Any]] = set()
    async with aclosing(replayed_events(path, None, None)) as records:
        async for record in records:
            key = record.get("symbol"), record.get("timeframe")
            found.add(key)
            if key == (symbol, timeframe):
                if missing := [name for name in FIELDS if name not in record]:
                    raise NoBarsError(
                        f"the records of {path} have no {', '.join(missing)}, so they make no "
                        "bars; record a spec of StreamManager.specs()"
                    )
                bar = bar_of(record)
                bars[bar.start_ns] = bar  # of revisions the newest counts
    if not bars:
        known = ", ".join(sorted(f"{a} {b}" for a, b in found if a and b)) or "nothing"
        raise NoBarsError(f"there are no {timeframe} bars of {symbol} in {path}; it has {known}")
    return [bars[start] for start in sorted(bars)]


@attrs.frozen(kw_only=True)
class Fold:
    """One step of a walk.

    Attributes:
        train: When its training bars begin and end, ns.
        test: When its test bars begin and end, ns.
        predictions: How often the predictor said something.
        signals: How often it was sure enough, and what came after is known.
        hits: How many of those were right.
        profit: Σ of what the signals made, each a fraction of its price, less the fees.
        market: What holding the symbol made over the test bars, as a fraction.
        skipped: Test bars that nothing was predicted at: partial, or without a price.
    """

    train: tuple[int, int]
    test: tuple[int, int]
    predictions: int = 0
    signals: int = 0
    hits: int = 0
    profit: float = 0.0
    market: float | None = None
    skipped: int = 0


@attrs.frozen(kw_only=True)
class WalkForward:
    """How a predictor did.

    Attributes:
        folds: The steps, in order of time; their test bars don't overlap.
        simulated: Whether any of the market was made up: it then says nothing of a real one.
        partial_bars: How many of all bars don't tell of all their time.
    """

    folds: tuple[Fold, ...]
    simulated: bool
    partial_bars: int

    @property
    def signals(self) -> int:
        """How many signals there were."""
        return sum(fold.signals for fold in self.folds)

    @property
    def hit_rate(self) -> float | None:
        """Which share of the signals was right; None without signals."""
        return sum(fold.hits for fold in self.folds) / self.signals if self.signals else None

    @property
    def profit(self) -> float:
        """Σ of what the signals made, less the fees."""
        return sum(fold.profit for fold in self.folds)


async def walk_forward(  # noqa: PLR0913 - what a walk may be asked
    bars: Sequence[Bar], fit: Fit, *, train: int = 200, test: int = 50, threshold: float = 0.6,
    horizon: int = 1, fee_bps: float = 10.0, features: MakeFeatures | None = None,
    lookback: int = LOOKBACK,
) -> WalkForward:  # fmt: skip
    """Try predictors on bars they haven't seen.

    A signal is entered at the close of its bar and left at the close `horizon` bars later; it
    was right if the price had moved its way by then. Where bars in between are missing, partial
    or without a price the outcome is unknown, and the signal isn't counted.

    Args:
        bars: Of one symbol and timeframe, the oldest first; see `recorded_bars`.
        fit: Makes a predictor from training bars. May be a coroutine function.
        train: How many bars it gets.
        test: How many bars it is then asked at.
        threshold: How sure a prediction must be to count.
        horizon: After how many bars the outcome is looked at.
        fee_bps: What entering and leaving cost, each, in 1/100 % of the value.
        features: As for StreamingTradingEngine.
        lookback: How many bars `features` gets at most.

    Raises:
        ValueError: There are too few bars for one fold, or a number makes no sense.
    """
    if min(train, test, horizon, lookback) < 1:
        raise ValueError("train, test, horizon and lookback are at least 1")
    if len(bars) < train + test:
        raise ValueError(f"{len(bars)} bars are too few: one fold takes {train} + {test}")
    make = features or features_of
    folds = []
    for begin in range(train, len(bars) - test + 1, test):
        predictor = await result_of(fit(list(bars[begin - train : begin])))
        fold = Fold(
            train=(bars[begin - train].start_ns, bars[begin - 1].end_ns),
            test=(bars[begin].start_ns, bars[begin + test - 1].end_ns),
            market=_change(bars[begin - 1].close, bars[begin + test - 1].close),
        )
        for at in range(begin, begin + test):
            seen = bars[max(0, at + 1 - lookback) : at + 1]
            after = bars[at + 1 : at + 1 + horizon]
            fold = await _step(fold, predictor, make(seen), seen[-1], after, _Rules(
                threshold=threshold, horizon=horizon, fee=2 * fee_bps / 10_000
            ))  # fmt: skip
        folds.append(fold)
    return WalkForward(
        folds=tuple(folds),
        simulated=any(bar.simulated for bar in bars),
        partial_bars=sum(bar.partial for bar in bars),
    )


@attrs.frozen(kw_only=True)
class _Rules:
    threshold: float
    horizon: int
    fee: float


async def _step(
    fold: Fold, predictor: AnyPredictor, features: Any, bar: Bar, after: Sequence[Bar],
    rules: _Rules,
) -> Fold:  # fmt: skip
    """Return a fold with what the predictor makes of one more bar."""
    if bar.partial or bar.close is None or features is None:
        return attrs.evolve(fold, skipped=fold.skipped + 1)
    prediction = await predicted(predictor, features, bar)
    if prediction is None:
        return fold
    fold = attrs.evolve(fold, predictions=fold.predictions + 1)
    signal = signal_of(prediction, rules.threshold)
    if signal is None or not _is_known(bar, after, rules.horizon):
        return fold
    moved = _change(bar.close, after[-1].close) or 0.0
    made = moved if signal.direction == "buy" else -moved
    return attrs.evolve(
        fold,
        signals=fold.signals + 1,
        hits=fold.hits + (made > 0),
        profit=fold.profit + made - rules.fee,
    )


def _is_known(bar: Bar, after: Sequence[Bar], horizon: int) -> bool:
    """Whether the bars behind one are all there, and tell of all their time."""
    whole = [bar, *after]
    follows = all(a.end_ns == b.start_ns for a, b in zip(whole[:-1], after, strict=True))
    is_whole = not any(each.partial for each in after)
    return len(after) == horizon and follows and is_whole and after[-1].close is not None


def _change(before: float | None, after: float | None) -> float | None:
    return None if not before or after is None else after / before - 1
