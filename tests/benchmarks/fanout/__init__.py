"""What a delivery costs: server CPU, delay and memory with a thousand WebSocket clients.

Servers run on one core, the load client on another; peers are measured in the same rounds, in
turn, and what is compared are medians. Ratios are of CPU seconds per delivery unless the case
says otherwise; where a figure stands `against` an amount, it is in units of that amount.

`--case shared` (one stream for all), `topics` (a stream each) or `stalled` runs one part alone.
A peer that is not installed (`nats-server` is not a Python package) is reported as absent.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.fanout.rounds import CASES, measure_rounds
from tests.benchmarks.fanout.table import figures_of
from tests.benchmarks.figure import Figure

__all__ = ["CASES", "run"]


def run(case: str | None = None) -> Iterable[Figure]:
    """Yield every figure of the benchmark, or of one of its cases."""
    yield from figures_of(measure_rounds(CASES if case is None else (case,)))
