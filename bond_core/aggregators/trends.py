"""How much is searched for, as last told, and what is searched for more and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bond_core.windows.plan import ByVenue, FieldPlan, Last, Metric, VenueWindow


class Trends:
    """What was told last stands, as a funding rate does, while its source is live."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans of `trends` and `trends_rising`, which strangers wrote."""
        return {
            "trends": ByVenue(Metric({"value": Last("value")}), last_told),
            "trends_rising": ByVenue(
                Metric({"queries": Last("rising")}, gives="text"), last_told, gives="text"
            ),
        }


def last_told(sources: Sequence[VenueWindow]) -> Any:
    """Return what the first source that is live, and has told anything, told last."""
    told = [s.before if s.value is None else s.value for s in sources if s.is_live]
    return next((value for value in told if value is not None), None)
