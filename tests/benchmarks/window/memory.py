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
    """Yield what a quiet symbol, and what an open window of 12 metrics, takes.

    A quiet symbol may be one of which nothing came yet, or one whose windows are all closed.
    What an engine takes whatever its symbols (its program) is taken off.
    """
    few, many = _of(1), _of(1 + SYMBOLS)
    idle, is_open, again = ((b - a) / SYMBOLS for a, b in zip(few, many, strict=True))
    yield figure("a quiet symbol", "2 KiB", max(idle, again) / IDLE_BYTES).at_most(1)
    yield figure("an open window", "4 KiB", (is_open - idle) / OPEN_BYTES).at_most(1)


def _of(number: int) -> tuple[int, int, int]:
    """Return the bytes of an engine of so many symbols: new, with open windows, closed again."""
    symbols = symbols_of(number)
    trades = [
        Trade(symbol=s, ts=T0 + NS, price=100.0 + i, size=1.0, side="buy", recv_ts=T0 + NS)
        for i, s in enumerate(symbols)
    ]
    gc.collect()
    tracemalloc.start()
    engine = bond.an_engine(symbols, bond.TWELVE, (5,))
    idle = _traced()
    engine.on_events("venue", trades)
    is_open = _traced()
    engine.on_tick(T0 + 60 * NS)
    engine.take()
    again = _traced()
    tracemalloc.stop()
    return idle, is_open, again


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
