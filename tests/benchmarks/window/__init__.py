"""What windows cost: Bond's engine beside others, in one process, on the same trades.

Synthetic trades of 100 symbols, 1000 a second of event time, 5 % of them up to 250 ms late;
lateness 0.5 s, windows of 5 s (and 1 and 5 minutes where it says three). Bond runs its whole
contract: checks at the source edge, ids seen before, watermark, late events, coverage, delays,
complete records. Rounds are interleaved, figures are medians of the rounds' ratios; every
engine's answers are compared with numpy's before anything is timed. A peer that isn't installed
is reported as absent.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.figure import Figure
from tests.benchmarks.window.growth import growth
from tests.benchmarks.window.memory import memory
from tests.benchmarks.window.speed import speed
from tests.benchmarks.window.stall import stall


def run() -> Iterable[Figure]:
    """Yield every figure of the benchmark."""
    yield from speed()
    yield from growth()
    yield from memory()
    yield from stall()
