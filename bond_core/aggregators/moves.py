"""How prices moved: returns from window to window, and volatility within one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from bond_core.aggregators.prices import SAMPLE
from bond_core.windows.plan import Change, FieldPlan, Last, Metric, Reduce

Path = list[float]
"""First price, last price, sum of squared log returns between them, number of prices."""


class Returns:
    """From the close of the newest earlier window that has one to this window's close.

    `return_simple` is close / earlier close - 1, `return_log` the natural logarithm
    of close / earlier close; the logs of consecutive windows add up. Unknown in a window
    without a price, and in the first one with.
    """

    price = "price"

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans of both."""
        close = Metric({"price": Last(self.price)})
        return {
            "return_simple": Change(close, lambda now, before: now / before - 1),
            "return_log": Change(close, lambda now, before: math.log(now / before)),
        }


class SampledReturns(Returns):
    """The same from samples, where a source brings no trades."""

    price = SAMPLE


class Volatility:
    """Realised volatility: the root of the sum of squared log returns, trade by trade.

    sqrt(sum(ln(p[i] / p[i-1]) ** 2)) over the window's trades in order of `(ts, seq)`, neither
    annualised nor divided by their number. Unknown with fewer than two trades. A window made
    of several panes has the returns across their seams too.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `volatility`."""
        return {"volatility": Reduce(["price"], path_of, joined, volatility)}


def path_of(prices: Sequence[float]) -> Path:
    """Return what is kept of prices in their order; there is one at least."""
    squares = sum(math.log(now / before) ** 2 for before, now in itertools.pairwise(prices))
    return [prices[0], prices[-1], squares, len(prices)]


def joined(earlier: Path, later: Path) -> Path:
    """Join two stretches of time; the step between them counts as one more return."""
    seam = math.log(later[0] / earlier[1]) ** 2
    return [earlier[0], later[1], earlier[2] + seam + later[2], earlier[3] + later[3]]


def volatility(path: Path) -> float | None:
    """Return the root of the squared returns, None without any."""
    _, _, squares, n = path
    return math.sqrt(squares) if n > 1 else None
