"""Fields that compare venues: who traded how much, how far prices are apart, who is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bond_core.windows.plan import ByVenue, FieldPlan, Last, Metric, Sum, VenueWindow


class VolumeShare:
    """Each venue's part of the volume, 0 to 1, by venue.

    None for a venue that wasn't heard in the window; unknown as a whole where nothing traded.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `volume_share`."""
        return {"volume_share": ByVenue(Metric({"size": Sum("size")}), shares, gives="shares")}


class VenueSpread:
    """How far the venues' prices are apart at the window's end: the largest less the smallest.

    Of venues that are live at the window's end; two at least. A venue's price is the middle
    of its newest quote with bid and ask, which stands as in `BestQuotes`.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `venue_spread`."""
        return {"venue_spread": ByVenue(Metric({"price": Last("(bid + ask) / 2")}), quoted_spread)}


class TradedVenueSpread:
    """The same where there are no quotes: of the venues' last trades in the window."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `venue_spread`."""
        return {"venue_spread": ByVenue(Metric({"price": Last("price")}), traded_spread)}


class BestQuotes:
    """The highest bid and the lowest ask over all venues at the window's end, and whose they are.

    A venue's quote stands until its next one, also over later windows, as long as the venue is
    live without a break; of a venue that is stale, failed or reconnecting at the window's end
    nothing counts. Of equal quotes the venue named first is told. Bid and ask may cross.
    """

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans of the prices and of the venues' names."""
        bid, ask = Metric({"bid": Last("bid")}), Metric({"ask": Last("ask")})
        return {
            "best_bid": ByVenue(bid, _price_of(highest)),
            "best_bid_venue": ByVenue(bid, _venue_of(highest), gives="text"),
            "best_ask": ByVenue(ask, _price_of(lowest)),
            "best_ask_venue": ByVenue(ask, _venue_of(lowest), gives="text"),
        }


Best = tuple[float, str]


def shares(venues: Iterable[VenueWindow]) -> Mapping[str, float | None] | None:
    """Return each venue's part of the sum, None where that is 0."""
    sizes: dict[str, float | None] = {}
    for venue in venues:
        if venue.was_heard:
            sizes[venue.venue] = (sizes.get(venue.venue) or 0.0) + (venue.value or 0.0)
        else:
            sizes.setdefault(venue.venue, None)
    total = sum(size for size in sizes.values() if size is not None)
    if not total:
        return None
    return {venue: None if size is None else size / total for venue, size in sizes.items()}


def quoted_spread(venues: Iterable[VenueWindow]) -> float | None:
    """Return how far the prices that stand at the window's end are apart."""
    return _apart([price for price, _ in standing(venues)])


def traded_spread(venues: Iterable[VenueWindow]) -> float | None:
    """Return how far the last prices in the window are apart."""
    return _apart([v.value for v in venues if v.is_live and v.value is not None])


def _apart(prices: Sequence[float]) -> float | None:
    return max(prices) - min(prices) if len(prices) > 1 else None


def highest(quotes: Sequence[Best]) -> Best:
    """Return the first of the highest."""
    return max(quotes, key=lambda quote: quote[0])


def lowest(quotes: Sequence[Best]) -> Best:
    """Return the first of the lowest."""
    return min(quotes, key=lambda quote: quote[0])


def standing(venues: Iterable[VenueWindow]) -> list[Best]:
    """Return the live venues' quotes at the window's end."""
    now = [(v.before if v.value is None else v.value, v.venue) for v in venues if v.is_live]
    return [(price, venue) for price, venue in now if price is not None]


def _price_of(best: Callable[[Sequence[Best]], Best]) -> Callable[..., float | None]:
    return lambda venues: best(found)[0] if (found := standing(venues)) else None


def _venue_of(best: Callable[[Sequence[Best]], Best]) -> Callable[..., str | None]:
    return lambda venues: best(found)[1] if (found := standing(venues)) else None
