"""Fields of what a venue says about its contracts, and of the candles that it makes itself.

All but liquidations are what was last said, at the window's end: a venue's word stands until
its next one, also over later windows, as long as the venue is live without a break; of a venue
that is not live at the window's end nothing counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from bond_core.windows.plan import ByVenue, Count, FieldPlan, Last, Metric, Sum, VenueWindow


class Funding:
    """Funding rate and mark price: of several venues the plain mean, and each by itself."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans."""
        return {
            "funding_rate": _last("rate", fmean),
            "mark_price": _last("mark_price", fmean),
            "funding_rate_by_venue": _each("rate"),
            "mark_price_by_venue": _each("mark_price"),
        }


class OpenInterest:
    """Contracts outstanding: of several venues the sum, and each by itself."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans."""
        return {
            "open_interest": _last("amount", sum),
            "open_interest_value": _last("value", sum),
            "open_interest_by_venue": _each("amount"),
        }


class Candles:
    """The venue's own candle: of several venues that of the first one that has one."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans."""
        names = ("open", "high", "low", "close", "volume")
        return {f"candle_{name}": _last(name, lambda values: values[0]) for name in names}


class LiquidationVolume:
    """Forced closes: how much, and how many by the side of the order that closed them."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans."""
        return {
            "liquidation_buys": Metric({"n": Count("side == 'buy'")}),
            "liquidation_sells": Metric({"n": Count("side == 'sell'")}),
            "liquidation_volume": Metric({"size": Sum("size")}),
            "liquidation_buy_volume": Metric({"size": Sum("size", "side == 'buy'")}),
            "liquidation_sell_volume": Metric({"size": Sum("size", "side == 'sell'")}),
        }


def _last(of: str, combine: Callable[[Sequence[float]], Any]) -> ByVenue:
    def finish(venues: Iterable[VenueWindow]) -> Any:
        found = [value for _, value in _standing(venues)]
        return combine(found) if found else None

    return ByVenue(Metric({"value": Last(of)}), finish)


def _each(of: str) -> ByVenue:
    return ByVenue(Metric({"value": Last(of)}), _by_venue, gives="shares")


def _by_venue(venues: Iterable[VenueWindow]) -> Mapping[str, float | None]:
    every = list(venues)
    return {**{venue.venue: None for venue in every}, **dict(_standing(every))}


def _standing(venues: Iterable[VenueWindow]) -> list[tuple[str, float]]:
    now = [(v.venue, v.before if v.value is None else v.value) for v in venues if v.is_live]
    return [(venue, value) for venue, value in now if value is not None]
