"""Bond's engine against others on the same trades."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from bond_core.model.event import Trade
from tests.benchmarks.figure import Figure
from tests.benchmarks.window import bond, naive, peers
from tests.benchmarks.window.market import FRAMES_S, make_trades, reference, symbols_of

TRADES = 100_000
SYMBOLS = 100
ROUNDS = 5

# How many times as fast Bond must be.
BYTEWAX = {1: 6.0, 3: 18.0}
NAUTILUS = {1: 1.3, 3: 3.0}
NAIVE = 2.0

Contestants = dict[str, Callable[[], object]]


def speed() -> Iterable[Figure]:
    """Yield how many times as fast Bond is as each other."""
    symbols = symbols_of(SYMBOLS)
    trades = make_trades(TRADES, symbols)
    check(trades, symbols)
    contestants: Contestants = {
        "bond 1": lambda: bond.run(trades, bond.an_engine(symbols, bond.CANDLE, FRAMES_S[:1])),
        "bond 3": lambda: bond.run(trades, bond.an_engine(symbols, bond.CANDLE, FRAMES_S)),
        "bond 12": lambda: bond.run(trades, bond.an_engine(symbols, bond.TWELVE, FRAMES_S[:1])),
        "naive 12": lambda: naive.run(trades),
    }
    absent = set()
    for name, make in (("bytewax", peers.bytewax), ("nautilus", peers.nautilus)):
        for number in (1, 3):
            try:
                contestants[f"{name} {number}"] = make(trades, FRAMES_S[:number])
            except ImportError:
                absent.add(name)
    took = rounds(contestants)
    for name, goals in (("bytewax", BYTEWAX), ("nautilus", NAUTILUS)):
        for number, goal in goals.items():
            case = f"{number} timeframe{'s' if number > 1 else ''}"
            if name in absent:
                yield Figure(bench="window", case=case, against=name, ratio=None, goal=goal)
            else:
                ratio = times(took, f"{name} {number}", f"bond {number}")
                yield figure(case, name, ratio).at_least(goal)
    ratio = times(took, "naive 12", "bond 12")
    yield figure("12 metrics", "an object a metric", ratio).at_least(NAIVE)
    for name, each in took.items():
        ns = statistics.median(each) / TRADES * 1e9
        yield figure(name, "1 ns an event", ns)


def rounds(contestants: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return how long each took in each round; they take turns."""
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            gc.collect()
            began = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - began)
    return took


def times(took: Mapping[str, Sequence[float]], slow: str, fast: str) -> float:
    """Return how many times as fast one is as the other: the median of the rounds' ratios."""
    return statistics.median(s / f for s, f in zip(took[slow], took[fast], strict=True))


def figure(case: str, against: str, ratio: float) -> Figure:
    """Return a figure of this benchmark."""
    return Figure(bench="window", case=case, against=against, ratio=ratio)


def check(trades: Sequence[Trade], symbols: Sequence[str]) -> None:
    """Compare every engine's answers with numpy's, as far as windows are closed there."""
    for seconds in FRAMES_S:
        expected = reference(trades, seconds)
        engine = bond.an_engine(symbols, bond.CANDLE, FRAMES_S)
        records = bond.run(trades, engine)
        engine.finish(trades[-1].ts)
        records += [record for closed in engine.take() for record in closed.records]
        assert bond.rows(records, seconds) == expected
        assert engine.totals["venue"].late == engine.totals["venue"].rejected == 0
    expected = reference(trades, FRAMES_S[0])
    assert naive.rows(naive.run(trades)) == expected
    try:
        out = peers.bytewax(trades, FRAMES_S[:1])()
    except ImportError:
        pass
    else:
        assert peers.bytewax_rows(out, FRAMES_S[0]) == expected
    try:
        bars = peers.nautilus(trades, FRAMES_S[:1])()
    except ImportError:
        pass
    else:  # the last window of each symbol stays open there
        volume = sum(float(bar.volume) for bar in bars)
        last = max(start for _, start in expected)
        closed = sum(row[4] for (_, start), row in expected.items() if start < last)
        assert abs(volume - closed) / closed < 0.02, (volume, closed)
