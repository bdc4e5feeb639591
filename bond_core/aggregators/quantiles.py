"""Exact quantiles of trade prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bond_core.windows.plan import FieldPlan, Reduce


class PriceQuantiles:
    """`price_pN`: N percent of the window's trades had a price at or below it.

    Between two prices it is interpolated: with n prices in order it stands at place
    (n - 1) * N / 100, counted from 0. All of a window's prices are kept until it closes, so it
    is exact for larger timeframes too, and costs their memory.
    """

    def plan(self) -> Mapping[str, FieldPlan | Callable[[int], FieldPlan]]:
        """Return the plans of the median and of `price_pN`, to be called with N."""
        return {"price_median": quantile_plan(50), "price_p{1..99}": quantile_plan}


def quantile_plan(percent: int) -> Reduce:
    """Return the plan of one quantile; all of them share the sorted prices."""
    return Reduce(["price"], sorted, merged, partial(quantile, percent=percent))


def merged(earlier: list[float], later: list[float]) -> list[float]:
    """Return both in order; two runs that are sorted already are merged, not sorted anew."""
    return sorted(earlier + later)


def quantile(ordered: Sequence[float], *, percent: int) -> float:
    """Return a quantile of numbers in order; there is one at least."""
    whole, rest = divmod((len(ordered) - 1) * percent, 100)
    if not rest:
        return ordered[whole]
    low, high = ordered[whole], ordered[whole + 1]
    return low + (high - low) * rest / 100
