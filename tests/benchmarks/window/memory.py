"""What a symbol costs in memory while it is quiet, and what an open window of it costs."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable

from bond_core.model.event import Trade
from tests.benchmarks.figure import Figure
from tests.benchmarks.window import bond
from tests.benchmarks.window.market import NS, T0, symbols_of
from tests.benchmarks.window.speed import figure

SYMBOLS = 500
IDLE_BYTES, OPEN_BYTES = 2048, 4096


def memory() -> Iterable[Figure]:
    """Yield what a quiet symbol, and what an open window of 12 metrics, takes."""
    symbols = symbols_of(SYMBOLS)
    trades = [
        Trade(symbol=s, ts=T0 + NS, price=100.0 + i, size=1.0, side="buy", recv_ts=T0 + NS)
        for i, s in enumerate(symbols)
    ]
    gc.collect()
    tracemalloc.start()
    engine = bond.an_engine(symbols, bond.TWELVE, (5,))
    gc.collect()
    idle, _ = tracemalloc.get_traced_memory()
    engine.on_events("venue", trades)
    gc.collect()
    is_open, _ = tracemalloc.get_traced_memory()
    engine.on_tick(T0 + 60 * NS)
    engine.take()
    gc.collect()
    again, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    quiet = max(idle, again) / SYMBOLS
    yield figure("a quiet symbol", "2 KiB", quiet / IDLE_BYTES).at_most(1)
    yield figure("an open window", "4 KiB", (is_open - idle) / SYMBOLS / OPEN_BYTES).at_most(1)
