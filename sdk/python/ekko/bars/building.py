"""Sum up the bars that are being built, where a server makes the bars: see `get_current_bar`.

In this process they are read from the windows that Bond is filling; see `bond_server.heard`.

Trades are added to the shortest bars only; of the longer ones the closed short ones are kept
summed up. A bar that closes comes from Bond's windows and takes the place of what stood here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import mul
from typing import cast

import attrs

from ekko.bars.config import timeframe_ns
from ekko.bars.hearing import Trade
from ekko.bars.model import Bar

_AT_ONCE = 256
"""So many trades of a symbol may wait until they are summed up."""


@attrs.define(eq=False)
class Sums:
    """What was traded in some time. `first` and `last` are the times of its open and close.

    `priced` is the volume that `turnover` is of; both say nothing where not `knows_turnover`.
    """

    trades: int = 0
    volume: float = 0.0
    bought: float = 0.0
    sold: float = 0.0
    turnover: float = 0.0
    priced: float = 0.0
    knows_turnover: bool = True
    open: float | None = None
    high: float = 0.0
    low: float = 0.0
    close: float | None = None
    first: int = 0
    last: int = 0

    def merge(self, other: Sums) -> None:
        """Add what else was traded, before, after, or in between."""
        self.trades += other.trades
        self.volume += other.volume
        self.bought += other.bought
        self.sold += other.sold
        self.turnover += other.turnover
        self.priced += other.priced
        self.knows_turnover = self.knows_turnover and other.knows_turnover
        if other.open is None:
            return
        if self.open is None:
            self.open, self.close, self.high, self.low = (
                other.open, other.close, other.high, other.low,
            )  # fmt: skip
            self.first, self.last = other.first, other.last
            return
        self.high, self.low = max(self.high, other.high), min(self.low, other.low)
        if other.first < self.first:
            self.open, self.first = other.open, other.first
        if other.last >= self.last:
            self.close, self.last = other.close, other.last


def sums_of_trades(trades: Sequence[Trade]) -> Sums:
    """Return what some trades add up to."""
    sizes = [trade.size for trade in trades]
    sums = Sums(
        trades=len(sizes),
        volume=sum(sizes),
        bought=sum([trade.size for trade in trades if trade.side == "buy"]),
        sold=sum([trade.size for trade in trades if trade.side == "sell"]),
    )
    prices = [trade.price for trade in trades]
    if None in prices:
        trades = [trade for trade in trades if trade.price is not None]
        sizes, prices = [t.size for t in trades], [t.price for t in trades]
    known = cast("list[float]", prices)
    if not known:
        return sums
    sums.high, sums.low = max(known), min(known)
    sums.turnover, sums.priced = sum(map(mul, known, sizes)), sum(sizes)
    times = [trade.ts for trade in trades]
    sums.first, sums.last = min(times), max(times)
    sums.open = known[times.index(sums.first)]
    sums.close = known[-1] if times[-1] == sums.last else _last_of(known, times, sums.last)
    return sums


def _last_of(prices: Sequence[float], times: Sequence[int], last: int) -> float:
    return prices[max(at for at, time in enumerate(times) if time == last)]


def sums_of(bar: Bar, heard: Sums) -> Sums:
    """Return what a closed bar holds; where something in it is unknown, it adds nothing.

    A bar doesn't say how much of its volume had a price: `heard`, what its trades added up to,
    does if they are the same ones.
    """
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
    sums.turnover, sums.priced = heard.turnover, heard.priced
    sums.knows_turnover = abs(heard.volume - volume) <= 1e-9 * volume
    return sums


class Building:
    """The bars of one symbol that are being built."""

    def __init__(self, symbol: str, timeframes: Iterable[str]) -> None:
        self._waiting: list[Trade] = []
        self._symbol = symbol
        self._lengths = {each: timeframe_ns(each) for each in timeframes}
        self._shortest_ns = min(self._lengths.values())
        self._open: dict[int, Sums] = {}
        self._closed_until_ns = 0
        self._longer: dict[str, tuple[int, Sums]] = {}

    def add(self, trades: Sequence[Trade]) -> None:
        """Add trades; those of bars that are closed are in none."""
        waiting = self._waiting
        waiting += trades
        if len(waiting) > _AT_ONCE:
            self._take_in()

    def _take_in(self) -> None:
        """Sum up what waits: a lot at once costs a third of one by one."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        length = self._shortest_ns
        starts = {trade.ts // length for trade in waiting}
        for start in sorted(starts):
            is_only = len(starts) == 1
            run = waiting if is_only else [t for t in waiting if t.ts // length == start]
            sums = self._sums(start * length)
            if sums is not None:
                sums.merge(sums_of_trades(run))

    def _sums(self, start_ns: int) -> Sums | None:
        if start_ns < self._closed_until_ns:
            return None
        return self._open.setdefault(start_ns, Sums())

    def close(self, bar: Bar) -> None:
        """Take in a closed bar of the shortest timeframe."""
        if bar.end_ns - bar.start_ns != self._shortest_ns:
            return
        self._take_in()
        heard = self._open.get(bar.start_ns, Sums())
        self._closed_until_ns = max(self._closed_until_ns, bar.end_ns)
        for start in [each for each in self._open if each < bar.end_ns]:
            del self._open[start]
        for name, length in self._lengths.items():
            if length > self._shortest_ns:
                start = bar.start_ns - bar.start_ns % length
                begun, sums = self._longer.get(name, (start, Sums()))
                if begun != start:
                    sums = Sums()
                sums.merge(sums_of(bar, heard))
                self._longer[name] = start, sums

    def current(self, timeframe: str, now_ns: int) -> Bar | None:
        """Return the bar that is being built at a time; None before its first trade."""
        self._take_in()
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
        vwap = whole.turnover / whole.priced if whole.knows_turnover and whole.priced else None
        unknown = whole.volume - whole.bought - whole.sold
        knows_sides = abs(unknown) <= 1e-9 * whole.volume
        return Bar(
            symbol=self._symbol, timeframe=timeframe, start_ns=start, end_ns=start + length,
            open=whole.open, close=whole.close,
            high=None if whole.open is None else whole.high,
            low=None if whole.open is None else whole.low,
            volume=whole.volume, trades=whole.trades,
            vwap=vwap,
            buy_volume=whole.bought if knows_sides else None,
            sell_volume=whole.sold if knows_sides else None,
            unknown_volume=0.0 if knows_sides else unknown,
            complete=False,
        )  # fmt: skip
