"""Make bars of records, keep the newest of them, and show them as a pandas.DataFrame."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ekko.bars.model import Bar
from ekko.columns import time_ns
from ekko.errors import MissingLibraryError

_time_ns = lru_cache(maxsize=64)(time_ns)  # of many symbols' bars that close together

_NUMBERS = ("open", "high", "low", "close", "volume", "vwap")
_SIDES = ("buy_volume", "sell_volume", "unknown_volume")


def bar_of(record: Mapping[str, Any]) -> Bar:
    """Return the bar that a record of a window tells of.

    Raises:
        KeyError: The record hasn't the fields of a bar.
    """
    sources = record["sources"].values()
    coverage = min((source["coverage"] for source in sources), default=0.0)
    gaps = sum(source["gaps"] for source in sources)
    return bar_of_fields(
        record,
        symbol=record["symbol"],
        timeframe=record["timeframe"],
        start_ns=_time_ns(record["window_start"]),
        end_ns=_time_ns(record["window_end"]),
        partial=bool(record["partial"]) or gaps > 0 or coverage < 1,
        gaps=gaps,
        coverage=coverage,
        simulated=any(source.get("simulated") is True for source in sources),
        replayed=bool(record.get("replayed")),
    )


def bar_of_fields(fields: Mapping[str, Any], **known: Any) -> Bar:
    """Return the bar that a window's fields tell of, and what else is known of it."""
    unknown = fields["unknown_volume"]
    knows_sides = unknown is not None and unknown == 0
    return Bar(
        open=fields["price_open"],
        high=fields["price_high"],
        low=fields["price_low"],
        close=fields["price_close"],
        volume=fields["volume_sum"],
        vwap=fields["vwap"],
        trades=fields["trades"],
        buy_volume=fields["buy_volume"] if knows_sides else None,
        sell_volume=fields["sell_volume"] if knows_sides else None,
        unknown_volume=unknown,
        **known,
    )


class History:
    """The newest bars of each symbol and timeframe.

    Args:
        size: How many of each.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._bars: dict[tuple[str, str], deque[Bar]] = {}

    def add(self, bar: Bar) -> None:
        """Add a closed bar; the oldest one goes where there is no room."""
        key = bar.symbol, bar.timeframe
        kept = self._bars.get(key)
        if kept is None:
            kept = self._bars[key] = deque(maxlen=self._size)
        kept.append(bar)

    def newest(self, symbol: str, timeframe: str, limit: int | None = None) -> list[Bar]:
        """Return the newest bars, the oldest of them first."""
        bars = list(self._bars.get((symbol, timeframe), ()))
        return bars if limit is None else bars[-limit:] if limit else []


def frame_of(bars: Sequence[Bar]) -> Any:
    """Return bars as a pandas.DataFrame, one row each, in order.

    Its index `timestamp` is when each begins, UTC. Prices and volumes are float64, NaN where
    unknown; `trades` is Int64. `partial` and `simulated` are bool, and
    `frame.attrs["simulated"]` says whether any row is made up.

    Raises:
        MissingLibraryError: pandas isn't installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError:
        raise MissingLibraryError("pandas") from None
    times = pandas.array([bar.start_ns for bar in bars], dtype="int64")
    index = pandas.DatetimeIndex(pandas.to_datetime(times, unit="ns", utc=True), name="timestamp")
    columns: dict[str, Any] = {name: _floats(pandas, bars, name, index) for name in _NUMBERS}
    columns["trades"] = pandas.Series([b.trades for b in bars], index=index, dtype="Int64")
    columns |= {name: _floats(pandas, bars, name, index) for name in _SIDES}
    for name in ("partial", "simulated"):
        values = [getattr(bar, name) for bar in bars]
        columns[name] = pandas.Series(values, index=index, dtype="bool")
    frame = pandas.DataFrame(columns, index=index)
    frame.attrs["simulated"] = any(bar.simulated for bar in bars)
    frame.attrs["replayed"] = any(bar.replayed for bar in bars)
    return frame


def _floats(pandas: Any, bars: Iterable[Bar], name: str, index: Any) -> Any:
    return pandas.Series([getattr(bar, name) for bar in bars], index=index, dtype="float64")
