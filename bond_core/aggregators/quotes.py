"""Best bid and ask over a window: their means, what lies between them, and by time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from bond_core.aggregators.prices import mean
from bond_core.windows.plan import (
    ByVenue,
    Count,
    FieldPlan,
    Metric,
    Reduce,
    Sum,
    VenueWindow,
)

_BOTH = "bid is not None and ask is not None"
_SIZES = "bid_size + ask_size"

Steps = list[float]
"""First time, last time, last value, and the integral of the value between them, in ns."""


class Quotes:
    """Plain means over a window's quotes; one without a bid (ask) doesn't count for it."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the means' plans."""
        return {
            f"{side}_avg": Metric({"total": Sum(side), "n": Count(f"{side} is not None")}, mean)
            for side in ("bid", "ask")
        }


class BetweenQuotes:
    """Plain means over the window's quotes that have both sides.

    `mid` is (bid + ask) / 2, `spread` ask - bid, `spread_bps` the spread in hundredths of a
    percent of the mid; `imbalance` is (bid size - ask size) / (bid size + ask size) at the top
    of the book, from -1 (all ask) to 1 (all bid), over quotes that give sizes.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans."""
        both = {"n": Count(_BOTH)}
        return {
            "mid": Metric({"total": Sum("(bid + ask) / 2"), **both}, mean),
            "spread": Metric({"total": Sum("ask - bid"), **both}, mean),
            "spread_bps": Metric({"total": Sum("(ask - bid) / (ask + bid) * 20000"), **both}, mean),
            "imbalance": Metric(
                {
                    "total": Sum(f"(bid_size - ask_size) / ({_SIZES})"),
                    "n": Count(f"{_SIZES} > 0"),
                },
                mean,
            ),
        }


class QuotesByTime:
    """Means weighted by how long each quote stood.

    A quote stands until the next one of its venue, and to the window's end if the venue is
    live there; a venue's last quote before the window stands from its start on, if the venue
    was live without a break. Of several venues each counts for the time that it had a quote.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans."""
        return {
            f"{name}_twa": ByVenue(
                Reduce(["ts", value], steps_of, joined, lambda steps: steps), time_weighted
            )
            for name, value in (
                ("bid", "bid"),
                ("ask", "ask"),
                ("mid", "(bid + ask) / 2"),
                ("spread", "ask - bid"),
            )
        }


def steps_of(times: Sequence[int], values: Sequence[float]) -> Steps:
    """Return what is kept of values that hold from their time on, in order."""
    spans = (until - since for since, until in itertools.pairwise(times))
    area = sum(value * span for value, span in zip(values, spans, strict=False))
    return [times[0], times[-1], values[-1], area]


def joined(earlier: Steps, later: Steps) -> Steps:
    """Join two stretches of time: the earlier's last value holds until the later's first."""
    seam = earlier[2] * (later[0] - earlier[1])
    return [earlier[0], later[1], later[2], earlier[3] + seam + later[3]]


def time_weighted(venues: Iterable[VenueWindow]) -> float | None:
    """Return the mean over time and venues, None where no quote stood for any time."""
    area, time_ns = 0.0, 0
    for venue in venues:
        steps = venue.value
        if venue.before is not None:
            start: Steps = [venue.start_ns, venue.start_ns, venue.before[2], 0.0]
            steps = start if steps is None else joined(start, steps)
        if steps is None:
            continue
        if venue.is_live:
            steps = joined(steps, [venue.end_ns, venue.end_ns, steps[2], 0.0])
        area += steps[3]
        time_ns += round(steps[1] - steps[0])
    return area / time_ns if time_ns else None
