"""Windows as they are usually written: an object for each metric, told of every event.

It keeps the same promises about late events as far as one source and one timeframe go: windows
close by a watermark, late trades are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from bond_core.model.event import Trade
from tests.benchmarks.window.market import LATENESS_NS, NS, Row


class Open:
    def __init__(self):
        self.at = self.value = None

    def update(self, e):
        if self.at is None or (e.ts, e.seq) < self.at:
            self.at, self.value = (e.ts, e.seq), e.price


class Close:
    def __init__(self):
        self.at = self.value = None

    def update(self, e):
        if self.at is None or (e.ts, e.seq) >= self.at:
            self.at, self.value = (e.ts, e.seq), e.price


class High:
    value = float("-inf")

    def update(self, e):
        self.value = max(self.value, e.price)


class Low:
    value = float("inf")

    def update(self, e):
        self.value = min(self.value, e.price)


class Volume:
    value = 0.0

    def update(self, e):
        self.value += e.size


class SideVolume:
    side: str | None = None
    value = 0.0

    def update(self, e):
        if e.side == self.side:
            self.value += e.size


class Bought(SideVolume):
    side = "buy"


class Sold(SideVolume):
    side = "sell"


class Unknown(SideVolume):
    pass


class Number:
    value = 0

    def update(self, e):
        self.value += 1


class Mean:
    def __init__(self):
        self.total, self.n = 0.0, 0

    def update(self, e):
        self.total += e.price
        self.n += 1

    @property
    def value(self):
        return self.total / self.n


class Vwap:
    def __init__(self):
        self.paid, self.size = 0.0, 0.0

    def update(self, e):
        self.paid += e.price * e.size
        self.size += e.size

    @property
    def value(self):
        return self.paid / self.size if self.size else None


class Largest:
    value = float("-inf")

    def update(self, e):
        self.value = max(self.value, e.size)


METRICS = (Open, High, Low, Close, Volume, Bought, Number, Mean, Vwap, Sold, Unknown, Largest)


class Engine:
    """Windows of one timeframe by symbol and start."""

    def __init__(self, seconds: int) -> None:
        self.length = seconds * NS
        self.open: dict[int, dict[str, list]] = {}
        self.max_ts = 0
        self.late = 0
        self.closed: dict[tuple[str, int], list] = {}

    def update(self, e: Trade) -> None:
        """Take an event, and close what the watermark has passed."""
        start = e.ts - e.ts % self.length
        if start + self.length <= self.max_ts - LATENESS_NS:
            self.late += 1
            return
        by_symbol = self.open.setdefault(start, {})
        metrics = by_symbol.get(e.symbol)
        if metrics is None:
            metrics = by_symbol[e.symbol] = [metric() for metric in METRICS]
        for metric in metrics:
            metric.update(e)
        if e.ts > self.max_ts:
            self.max_ts = e.ts
            self.close(self.max_ts - LATENESS_NS)

    def close(self, watermark: int) -> None:
        """Close every window that ends by the watermark."""
        for start in [start for start in self.open if start + self.length <= watermark]:
            for symbol, metrics in self.open.pop(start).items():
                self.closed[symbol, start] = [metric.value for metric in metrics]


def run(trades: Sequence[Trade], seconds: int = 5) -> Engine:
    """Take trades, and close what is open at the end."""
    engine = Engine(seconds)
    for trade in trades:
        engine.update(trade)
    engine.close(engine.max_ts * 2)
    return engine


def rows(engine: Engine) -> dict[tuple[str, int], Row]:
    """Return the first seven metrics as the candle's row."""
    return {key: tuple(float(value) for value in row[:7]) for key, row in engine.closed.items()}
