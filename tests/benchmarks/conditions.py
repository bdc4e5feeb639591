"""What a condition costs for each record, beside a lambda of the same. Ratios of time.

The lambda knows nothing of nulls; every answer is checked against it before anything is timed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bond_core.log.offset import Offset
from bond_core.model.record import Record, SourceReport
from bond_core.runtime.screening import Screen
from bond_core.spec.conditions.evaluate import condition_of
from bond_core.spec.conditions.parse import parse_condition
from bond_core.spec.read import read_spec
from bond_core.windows.engine import ClosedWindow
from bond_core.wire.codec import encode_record
from tests.benchmarks.figure import Figure

ROUNDS = 15
RECORDS = 5_000
NS = 1_000_000_000
TEXT = "price_avg > 68000 && trades >= 5 && volume_share.binance < volume_share.okx"
LOOKING_BACK = 'pct_change(price_avg, "1m") < -1'
SUMMED = 'sum_over(trades, "1m") > 700'

Values = Mapping[str, Any]


def plainly(values: Values) -> bool:
    """Say of a record what TEXT says, with nothing around it."""
    share = values["volume_share"]
    return bool(
        values["price_avg"] > 68_000 and values["trades"] >= 5 and share["binance"] < share["okx"]
    )


def run() -> Iterable[Figure]:
    """Yield the cost of conditions against a lambda, and of all of it against writing JSON."""
    records = make_records(RECORDS)
    check(records)
    cases: dict[str, Callable[[], object]] = {
        "lambda": lambda: [plainly(record.values) for record in records],
        "condition": judging(TEXT, records),
        "pct_change over 60": judging(LOOKING_BACK, records),
        "sum_over 60": judging(SUMMED, records),
        "a filter and an alert": screening(records),
        "JSON of the record": lambda: [
            encode_record(r, stream_id="s", offset=Offset(1, n), timeframe="1s")
            for n, r in enumerate(records)
        ],
    }
    if (theirs := cel(records)) is not None:
        cases["cel-expr-python"] = theirs
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            taken[name].append(seconds(case))
    for case, against in (
        ("condition", "lambda"),
        ("condition", "cel-expr-python"),
        ("pct_change over 60", "lambda"),
        ("sum_over 60", "lambda"),
        ("a filter and an alert", "JSON of the record"),
    ):
        pairs = zip(taken[case], taken.get(against, ()), strict=False)
        ratios = [one / other for one, other in pairs]
        ratio = statistics.median(ratios) if ratios else None
        yield Figure(bench="conditions", case=case, against=against, ratio=ratio)


def make_records(number: int) -> list[Record]:
    """Return the records of one symbol, one a second."""
    report = SourceReport(status="live", coverage=1.0, count=12, lag_ms=40)
    return [
        Record(
            symbol="BTC/USDT", timeframe_ns=NS, window_start_ns=n * NS, window_end_ns=(n + 1) * NS,
            values={
                "price_avg": 67_990.0 + n % 20, "trades": n % 17,
                "volume_share": {"binance": 0.25 + n % 3 / 4, "okx": 0.5},
            },
            sources={"binance": report, "okx": report},
        )
        for n in range(number)
    ]  # fmt: skip


def judging(text: str, records: Sequence[Record]) -> Callable[[], list[bool | None]]:
    """Return what judges all records by a condition."""
    condition = condition_of(parse_condition(text))

    def judge() -> list[bool | None]:
        memory = condition.begin()
        return [condition.holds(condition.look(record, memory)) for record in records]

    return judge


def screening(records: Sequence[Record]) -> Callable[[], object]:
    """Return what a stream does with each window, with a filter that passes and an alert."""
    spec, _ = read_spec({
        "sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 1,
        "filter": "price_avg > 0", "alerts": [{"when": TEXT}],
    })  # fmt: skip
    windows = [ClosedWindow(record.window_end_ns, (record,), False) for record in records]

    def screen() -> int:
        it = Screen(spec)
        for record in records:
            record.notices = ()
        return sum(len(it.screened([window])) for window in windows)

    return screen


def cel(records: Sequence[Record]) -> Callable[[], list[bool]] | None:
    """Return what judges by Google's library, None where it is not installed."""
    try:
        from cel_expr_python import cel as library
    except ImportError:
        return None
    dynamic = library.Type.DYN
    variables = dict.fromkeys(("price_avg", "trades", "volume_share"), dynamic)
    compiled = library.NewEnv(variables=variables).compile(TEXT)
    return lambda: [compiled.eval(data=dict(r.values)).value() for r in records]


def check(records: Sequence[Record]) -> None:
    """Refuse to time anything that is wrong."""
    expected = [plainly(record.values) for record in records]
    assert judging(TEXT, records)() == expected
    assert 0 < sum(expected) < len(records)
    assert screening(records)() == len(records)
    theirs = cel(records)
    assert theirs is None or theirs() == expected


def seconds(case: Callable[[], object]) -> float:
    """Return how long one round of a case took."""
    gc.collect()
    began = time.perf_counter()
    case()
    return time.perf_counter() - began
