"""Tell a candle that Bond builds while it is open: add up its steps until its window closes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import attrs

from ekko.datastream.message import moment


@attrs.frozen(kw_only=True)
class Bar:
    """A candle as it stands."""

    start: dt.datetime
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    is_closed: bool
    is_partial: bool


@attrs.define
class Forming:
    """The candles of one stream's symbols that are open now.

    The closed candle is the window's own record, never our sum: it has what came late, too.

    Attributes:
        interval_s: How long a candle is, in seconds; it divides a day.
    """

    interval_s: int
    _open: dict[str, Bar] = attrs.field(factory=dict)
    _closed: dict[str, dt.datetime] = attrs.field(factory=dict)
    _began: dict[str, dt.datetime] = attrs.field(factory=dict)
    _in_part: dict[str, dt.datetime] = attrs.field(factory=dict)  # the newest candle that is

    def saw(self, record: Mapping[str, Any]) -> Bar | None:
        """Take in a record of a window, or of a step of it; return what the candle is now.

        None where it had no trade, or belongs to a candle that is closed already.
        """
        symbol = record["symbol"]
        begins, ends = moment(record["window_start"]), moment(record["window_end"])
        self._began.setdefault(symbol, ends if record["partial"] else begins)
        if (ends - begins).total_seconds() == self.interval_s:
            self._closed[symbol] = begins
            self._open.pop(symbol, None)
            return _bar(record, begins, is_closed=True, is_partial=_is_in_part(record))
        into_s = begins.timestamp() % self.interval_s
        start = begins - dt.timedelta(seconds=into_s)
        closed = self._closed.get(symbol)
        if closed is not None and start <= closed:
            return None
        if _is_in_part(record):
            self._in_part[symbol] = start
        is_partial = self._began[symbol] > start or self._in_part.get(symbol) == start
        step = _bar(record, start, is_closed=False, is_partial=is_partial)
        if step is None:
            return None
        before = self._open.get(symbol)
        if before is not None and before.start == start:
            step = _sum(before, step)
        self._open[symbol] = step
        return step

    def missed(self, *, until: dt.datetime) -> None:
        """Take in that records are missing up to a time: what was open is known in part only."""
        self._open.clear()
        for symbol in self._began:
            self._began[symbol] = until


def _is_in_part(record: Mapping[str, Any]) -> bool:
    """Whether some of a window wasn't heard: by its edges, or as a source was down for a while."""
    if record["partial"] or record["volume_sum"] is None:
        return True
    sources = record["sources"].values()
    return any(source.get("coverage", 1) < 1 or source.get("gaps") for source in sources)


def _bar(
    record: Mapping[str, Any], start: dt.datetime, *, is_closed: bool, is_partial: bool
) -> Bar | None:
    if record["price_open"] is None:
        return None
    return Bar(
        start=start, open=record["price_open"], high=record["price_high"],
        low=record["price_low"], close=record["price_close"], volume=record["volume_sum"],
        is_closed=is_closed, is_partial=is_partial,
    )  # fmt: skip


def _sum(bar: Bar, step: Bar) -> Bar:
    volume = None if bar.volume is None or step.volume is None else bar.volume + step.volume
    return attrs.evolve(
        step, open=bar.open, high=max(bar.high, step.high), low=min(bar.low, step.low),
        volume=volume,
    )  # fmt: skip
