"""Means and extremes over the last windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from statistics import fmean
from typing import Any

from bond_core.aggregators.prices import SAMPLE
from bond_core.windows.plan import FieldPlan, Last, Max, Metric, Min, Rolling, Sum


class RollingPrices:
    """Over the last N windows of a timeframe, this one included.

    `price_mean_N` is the plain mean of their closes (the simple moving average),
    `price_min_N` the smallest low, `price_max_N` the largest high. Windows without a price
    count as windows and add nothing. Unknown until the stream has had N windows.
    """

    price = "price"

    def plan(self) -> Mapping[str, Callable[[int], FieldPlan]]:
        """Return the plans, to be called with N."""
        close, low = Metric({"price": Last(self.price)}), Metric({"price": Min(self.price)})
        high = Metric({"price": Max(self.price)})
        return {
            "price_mean_{2..500}": partial(_rolling, close, fmean),
            "price_min_{2..500}": partial(_rolling, low, min),
            "price_max_{2..500}": partial(_rolling, high, max),
        }


class SampledRollingPrices(RollingPrices):
    """The same from samples, where a source brings no trades."""

    price = SAMPLE


class RollingVolume:
    """Over the last N windows, empty ones included: the mean volume of a window, and the sum.

    A window in which no source was heard has no volume, not even 0: it adds nothing.
    """

    def plan(self) -> Mapping[str, Callable[[int], FieldPlan]]:
        """Return the plans, to be called with N."""
        volume = Metric({"size": Sum("size")})
        return {
            "volume_mean_{2..500}": partial(_rolling, volume, fmean),
            "volume_sum_{2..500}": partial(_rolling, volume, sum),
        }


def _rolling(of: Metric, finish: Callable[[Any], float], windows: int) -> Rolling:
    return Rolling(of, windows, finish)
