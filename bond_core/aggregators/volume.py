"""Volume and number of trades, and volume by the aggressor's side."""

from __future__ import annotations

from collections.abc import Mapping

from bond_core.windows.plan import Count, FieldPlan, Metric, Sum


class Volume:
    """What was traded in a window, in base units unless the record's `size_unit` says otherwise.

    `buy_volume`, `sell_volume` and `unknown_volume` (the venue doesn't say who the aggressor
    was) add up to `volume_sum`.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans of the volumes and of `trades`."""
        return {
            "volume_sum": Metric({"volume": Sum("size")}),
            "trades": Metric({"n": Count()}),
            "buy_volume": Metric({"volume": Sum("size", where="side == 'buy'")}),
            "sell_volume": Metric({"volume": Sum("size", where="side == 'sell'")}),
            "unknown_volume": Metric({"volume": Sum("size", where="side is None")}),
        }
