"""Keep the bars that are being built: what `get_current_bar` gives.

Trades are added to the shortest bars only; of the longer ones the closed short ones are kept
summed up. A bar that closes comes from Bond's windows and takes the place of what stood here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from ekko.bars.config import timeframe_ns
from ekko.bars.hearing import Trade
from ekko.bars.model import Bar


@attrs.define(eq=False)
class Sums:
    """What was traded in some time. `first` and `last` are the times of its open and close."""

    trades: int = 0
    volume: float = 0.0
    bought: float = 0.0
    sold: float = 0.0
    turnover: float = 0.0
    priced: float = 0.0
    open: float | None = None
    high: float = 0.0
    low: float = 0.0
    close: float | None = None
    first: int = 0
    last: int = 0

    def add(self, trade: Trade) -> None:
        """Add a trade."""
        size, price, ts = trade.size, trade.price, trade.ts
        self.trades += 1
        self.volume += size
        if trade.side == "buy":
            self.bought += size
        elif trade.side == "sell":
            self.sold += size
        if price is None:
            return
        self.turnover += price * size
        self.priced += size
        if self.open is None:
            self.open = self.close = self.high = self.low = price
            self.first = self.last = ts
            return
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if ts >= self.last:
            self.close, self.last = price, ts
        elif ts < self.first:
            self.open, self.first = price, ts

    def merge(self, later: Sums) -> None:
        """Add what was traded after it."""
        self.trades += later.trades
        self.volume += later.volume
        self.bought += later.bought
        self.sold += later.sold
        self.turnover += later.turnover
        self.priced += later.priced
        if later.open is None:
            return
        if self.open is None:
            self.open, self.first = later.open, later.first
            self.high, self.low = later.high, later.low
        self.high, self.low = max(self.high, later.high), min(self.low, later.low)
        self.close, self.last = later.close, later.last


def sums_of(bar: Bar) -> Sums:
    """Return what a closed bar holds; where something in it is unknown, it adds nothing."""
    volume = bar.volume or 0.0
    unknown = bar.unknown_volume or 0.0
    sums = Sums(trades=bar.trades or 0, volume=volume)
    # Of sides that are unknown in part only their sum is known; it is then unknown here, too.
    sums.bought = volume - unknown if bar.buy_volume is None else bar.buy_volume
    sums.sold = 0.0 if bar.sell_volume is None else bar.sell_volume
    if bar.open is not None and bar.close is not None:
        sums.open, sums.close, sums.first, sums.last = bar.open, bar.close, bar.start_ns, bar.end_ns
        sums.high = bar.open if bar.high is None else bar.high
        sums.low = bar.open if bar.low is None else bar.low
    if bar.vwap is not None:
        sums.turnover, sums.priced = bar.vwap * volume, volume
    return sums


class Building:
    """The bars of one symbol that are being built.

    Attributes:
        whole_since_ns: Since when nothing of it was missed, ns; None while it isn't heard.
        last_ns: When its newest trade was heard by the manager's clock, ns; None before any.
    """

    def __init__(self, symbol: str, timeframes: Iterable[str]) -> None:
        self.whole_since_ns: int | None = None
        self.last_ns: int | None = None
        self._symbol = symbol
        self._lengths = {each: timeframe_ns(each) for each in timeframes}
        self._shortest_ns = min(self._lengths.values())
        self._open: dict[int, Sums] = {}
        self._closed_until_ns = 0
        self._longer: dict[str, tuple[int, Sums]] = {}

    def add(self, trades: Sequence[Trade]) -> None:
        """Add trades; those of bars that are closed are in none."""
        length, begun, sums = self._shortest_ns, -1, None
        for trade in trades:
            ts = trade.ts
            start = ts - ts % length
            if start != begun:
                begun, sums = start, self._open.get(start)
                if sums is None and start >= self._closed_until_ns:
                    sums = self._open[start] = Sums()
            if sums is not None:
                sums.add(trade)

    def close(self, bar: Bar) -> None:
        """Take in a closed bar of the shortest timeframe."""
        if bar.end_ns - bar.start_ns != self._shortest_ns:
            return
        self._closed_until_ns = max(self._closed_until_ns, bar.end_ns)
        for start in [each for each in self._open if each < bar.end_ns]:
            del self._open[start]
        for name, length in self._lengths.items():
            if length > self._shortest_ns:
                start = bar.start_ns - bar.start_ns % length
                begun, sums = self._longer.get(name, (start, Sums()))
                if begun != start:
                    sums = Sums()
                sums.merge(sums_of(bar))
                self._longer[name] = start, sums

    def current(self, timeframe: str, now_ns: int, *, simulated: bool) -> Bar | None:
        """Return the bar that is being built at a time; None before its first trade."""
        length = self._lengths[timeframe]
        newest = max((now_ns, *self._open)) if self._open else now_ns
        start = newest - newest % length
        begun, before = self._longer.get(timeframe, (start, Sums()))
        whole = Sums()
        if begun == start:
            whole.merge(before)
        for at in sorted(self._open):
            if at >= start:
                whole.merge(self._open[at])
        if not whole.trades:
            return None
        since_ns = self.whole_since_ns
        unknown = whole.volume - whole.bought - whole.sold
        knows_sides = abs(unknown) <= 1e-9 * whole.volume
        return Bar(
            symbol=self._symbol, timeframe=timeframe, start_ns=start, end_ns=start + length,
            open=whole.open, close=whole.close,
            high=None if whole.open is None else whole.high,
            low=None if whole.open is None else whole.low,
            volume=whole.volume, trades=whole.trades,
            vwap=whole.turnover / whole.priced if whole.priced else None,
            buy_volume=whole.bought if knows_sides else None,
            sell_volume=whole.sold if knows_sides else None,
            unknown_volume=0.0 if knows_sides else unknown,
            partial=since_ns is None or since_ns > start, complete=False, simulated=simulated,
        )  # fmt: skip
