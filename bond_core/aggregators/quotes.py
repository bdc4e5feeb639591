"""Mean best bid and ask."""

from __future__ import annotations

from collections.abc import Mapping

from bond_core.aggregators.prices import mean
from bond_core.windows.plan import Count, FieldPlan, Metric, Sum


class Quotes:
    """Plain means over a window's quotes; one without a bid (ask) doesn't count for it."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the means' plans."""
        return {
            f"{side}_avg": Metric({"total": Sum(side), "n": Count(f"{side} is not None")}, mean)
            for side in ("bid", "ask")
        }
