"""What one more field costs on an event's way, beside a bare loop with one. Ratios of time.

The stream has one symbol and one trade feed; the engine is driven as the feed drives it. Every
answer is checked against a plain sum before anything is timed.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence

from bond_core.model.event import Trade
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import (
    ByVenue,
    Count,
    FieldPlan,
    Max,
    Metric,
    Min,
    Reduce,
    SourcePlan,
    StreamPlan,
    Sum,
)
from tests.benchmarks.figure import Figure

MUST = 1 / 4
ROUNDS = 15
EVENTS = 100_000
BATCH = 512
NS = 1_000_000_000
SYMBOL = "BTC/USDT"

ONE: Mapping[str, FieldPlan] = {"volume": Metric({"x": Sum("size")})}
MORE: Mapping[str, FieldPlan] = {
    "value": Metric({"x": Sum("price * size")}),
    "high": Metric({"x": Max("price")}),
    "low": Metric({"x": Min("price")}),
    "squares": Metric({"x": Sum("price * price")}),
    "buys": Metric({"x": Sum("size", "side == 'buy'")}),
    "sells": Metric({"x": Sum("size", "side == 'sell'")}),
    "bought": Metric({"x": Count("side == 'buy'")}),
    "largest": Metric({"x": Max("size")}),
    "smallest": Metric({"x": Min("size")}),
    "prices": Metric({"x": Sum("price")}),
    "big": Metric({"x": Count("size > 2")}),
}
SHARED: Mapping[str, FieldPlan] = {f"volume_{n}": Metric({"x": Sum("size")}) for n in range(11)}
BY_VENUE: Mapping[str, FieldPlan] = {
    "share": ByVenue(Metric({"x": Sum("size")}), lambda venues: venues[0].value)
}
QUANTILE: Mapping[str, FieldPlan] = {
    "median": Reduce(["price"], sorted, lambda a, b: sorted(a + b), lambda p: p[len(p) // 2])
}


def run() -> Iterable[Figure]:
    """Yield the marginal cost of a field, by sort, against the whole loop with one metric."""
    trades = make_trades(EVENTS)
    cases: dict[str, Mapping[str, FieldPlan]] = {
        "one metric": ONE,
        "12 metrics": {**ONE, **MORE},
        "12 of one partial": {**ONE, **SHARED},
        "one by venue": {**ONE, **BY_VENUE},
        "one quantile": {**ONE, **QUANTILE},
    }
    check(trades)
    against = "bare one-metric loop"
    taken: dict[str, list[float]] = {name: [] for name in (against, *cases)}
    for _ in range(ROUNDS):
        taken[against].append(bare_seconds(trades))
        for name, fields in cases.items():
            taken[name].append(seconds(fields, trades))
    rounds = list(zip(taken[against], taken["one metric"], strict=True))
    ratio = statistics.median(one / bare for bare, one in rounds)
    yield Figure(bench="fields", case="one metric", against=against, ratio=ratio)
    for name, fields in list(cases.items())[1:]:
        more = [
            (whole - one) / bare for whole, (bare, one) in zip(taken[name], rounds, strict=True)
        ]
        ratio = statistics.median(more) / (len(fields) - 1)
        figure = Figure(bench="fields", case=f"+1: {name}", against=against, ratio=ratio)
        yield figure.at_most(MUST) if name.startswith("12") else figure


def make_trades(number: int) -> list[Trade]:
    """Return trades, 1000 a second, all in order."""
    return [
        Trade(SYMBOL, at * NS // 1000, 100.25 + at % 7, 1.5 + at % 3, "buy" if at % 2 else "sell",
              recv_ts=at * NS // 1000 + 1000)
        for at in range(number)
    ]  # fmt: skip


def seconds(fields: Mapping[str, FieldPlan], trades: Sequence[Trade]) -> float:
    """Return how long an engine took for all trades, in batches."""
    engine = an_engine(fields)
    batches = [trades[at : at + BATCH] for at in range(0, len(trades), BATCH)]
    gc.collect()
    began = time.perf_counter()
    for batch in batches:
        engine.on_events("venue", batch)
    return time.perf_counter() - began


def an_engine(fields: Mapping[str, FieldPlan]) -> WindowEngine:
    """Return the engine of a stream with windows of 5 s."""
    source = SourcePlan(
        name="venue", kind="trade", lateness_ns=NS // 2, idle_ns=NS, venue="venue",
        routes={SYMBOL: (SYMBOL,)},
    )  # fmt: skip
    plan = StreamPlan(
        symbols=(SYMBOL,), timeframes_ns=(5 * NS,), sources=(source,),
        fields={name: ("trade", field) for name, field in fields.items()},
    )  # fmt: skip
    engine = WindowEngine(plan, start_ns=0)
    engine.on_status("venue", None, "live", 0)
    return engine


class _Pane:
    __slots__ = ("end", "n", "start", "volume")

    def __init__(self, start: int) -> None:
        self.start, self.end = start, start + 5 * NS
        self.n = 0
        self.volume = 0.0


def bare_seconds(trades: Sequence[Trade]) -> float:
    """Return how long the hand-written loop took."""
    gc.collect()
    began = time.perf_counter()
    bare_volumes(trades)
    return time.perf_counter() - began


def bare_volumes(trades: Sequence[Trade]) -> list[float]:
    """Return the volume of each window: one symbol lookup, one window check, one sum."""
    panes = {SYMBOL: _Pane(0)}
    closed = []
    max_ts = 0
    for at in range(0, len(trades), BATCH):
        for e in trades[at : at + BATCH]:
            ts = e.ts
            a = panes[e.symbol]
            if not a.start <= ts < a.end:
                closed.append(a.volume)
                a = panes[e.symbol] = _Pane(ts - ts % (5 * NS))
            a.n += 1
            a.volume += e.size
            if ts > max_ts:  # noqa: PLR1730 -- a call of `max` is what a quick loop avoids
                max_ts = ts
    return [*closed, panes[SYMBOL].volume]


def check(trades: Sequence[Trade]) -> None:
    """Refuse to time anything that is wrong."""
    engine = an_engine({**ONE, **MORE, **BY_VENUE, **QUANTILE})
    engine.on_events("venue", trades)
    engine.finish(trades[-1].ts)
    records = [record for closed in engine.take() for record in closed.records]
    assert [r.values["volume"] for r in records] == bare_volumes(trades)
    assert engine.field_errors == {}
    for record in records:
        inside = [t for t in trades if record.window_start_ns <= t.ts < record.window_end_ns]
        expected = {
            "value": math.fsum(t.price * t.size for t in inside),
            "high": max(t.price for t in inside),
            "buys": math.fsum(t.size for t in inside if t.side == "buy"),
            "share": math.fsum(t.size for t in inside),
            "median": sorted(t.price for t in inside)[len(inside) // 2],
        }
        assert {name: record.values[name] for name in expected} == expected
