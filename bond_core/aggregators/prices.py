"""Average, open, high, low, close and volume-weighted price: of trades, or of samples."""

from __future__ import annotations

from collections.abc import Mapping

from bond_core.windows.plan import Count, FieldPlan, First, Last, Max, Metric, Min, Sum

SAMPLE = "last if last is not None else (bid + ask) / 2"
"""What a quote's price is where a source brings no trades."""


# What has no price is counted, not what has one: nearly all trades do, and pay one comparison.
_NO_PRICE = "price is None"


class TradePrices:
    """Prices of a window's trades.

    `price_avg` is the plain mean of the trades' prices; `vwap` is the sum of price x size
    over the sum of size, unknown where that is 0. Without a trade all are unknown. A trade
    that has no price (an odd lot of a stock) counts for none of them.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the prices' plans."""
        return {
            "price_avg": Metric(
                {"total": Sum("price"), "n": Count(), "without": Count(_NO_PRICE)}, mean_of_priced
            ),
            "price_open": Metric({"price": First("price")}),
            "price_high": Metric({"price": Max("price")}),
            "price_low": Metric({"price": Min("price")}),
            "price_close": Metric({"price": Last("price")}),
            "vwap": Metric(
                {
                    "total": Sum("price * size"),
                    "n": Sum("size"),
                    "without": Sum("size", where=_NO_PRICE),
                },
                mean_of_priced,
            ),
        }


class QuotePrices:
    """Prices of a window's samples, where a source brings no trades.

    A sample is a quote's `last`, else the middle of its `bid` and `ask`; a quote without
    either is none. All samples weigh the same.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the prices' plans."""
        price = SAMPLE
        is_sample = "last is not None or bid is not None and ask is not None"
        return {
            "price_avg": Metric({"total": Sum(price), "n": Count(is_sample)}, mean),
            "price_open": Metric({"price": First(price)}),
            "price_high": Metric({"price": Max(price)}),
            "price_low": Metric({"price": Min(price)}),
            "price_close": Metric({"price": Last(price)}),
        }


def mean_of_priced(total: float, n: float, without: float) -> float | None:
    """Return the mean over those with a price; `without` is what the others have of `n`."""
    return mean(total, n - without)


def mean(total: float, n: float) -> float | None:
    """Return total / n, None where there is nothing to divide by."""
    return total / n if n else None
