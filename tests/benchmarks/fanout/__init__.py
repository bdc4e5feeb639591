"""What a delivery costs: server CPU, delay and memory with a thousand WebSocket clients.

Servers run on one core, the load client on another; peers are measured in the same rounds, in
turn, and what is compared are medians. Ratios are of CPU seconds per delivery unless the case
says otherwise; where a figure stands `against` an amount, it is in units of that amount.

A peer that is not installed (`nats-server` is not a Python package) is reported as absent.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.fanout.rounds import measure_rounds
from tests.benchmarks.fanout.table import figures_of
from tests.benchmarks.figure import Figure


def run() -> Iterable[Figure]:
    """Yield every figure of the benchmark."""
    yield from figures_of(measure_rounds())
