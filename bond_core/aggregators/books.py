"""Fields of order books, as they stand at a window's end.

A venue's book stands until its next one, also over later windows, as long as the venue is live
without a break; of a venue that is not live at the window's end nothing counts. An event without
a level says that nothing is known of the book just now. Several venues make one book: their
levels together, sizes of one price added up, so that its best bid may be above its best ask.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from bond_core.model.event import Levels
from bond_core.windows.plan import ByVenue, FieldPlan, Last, Metric, VenueWindow

DEPTH = 10
"""How many levels a field has, or is of, where nobody says."""

Side = Literal["bids", "asks"]
Both = tuple[Levels, Levels]


class Book:
    """The top of the book, and what is in it. `N` in a name is how many levels it is of."""

    def plan(self) -> Mapping[str, FieldPlan | Callable[[int], FieldPlan]]:
        """Return the plans; of a name with a number, the function that makes it."""
        sized: dict[str, Callable[[int], FieldPlan]] = {
            "bids": lambda n: _field(lambda venues: _top(venues, "bids", n), gives="levels"),
            "asks": lambda n: _field(lambda venues: _top(venues, "asks", n), gives="levels"),
            "bid_depth": lambda n: _field(lambda venues: _depth(venues, "bids", n)),
            "ask_depth": lambda n: _field(lambda venues: _depth(venues, "asks", n)),
            "book_imbalance": lambda n: _field(lambda venues: _imbalance(venues, n)),
        }
        return {
            **{name: make(DEPTH) for name, make in sized.items()},
            **{f"{name}_{{1..100}}": make for name, make in sized.items()},
            "book_mid": _field(_mid),
            "book_spread": _field(_spread),
            "book_spread_bps": _field(_spread_bps),
        }


class BestOfBooks:
    """Best bid and offer over all venues, where a source brings books and no quotes."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans of the prices and of the venues' names."""
        return {
            "best_bid": _field(lambda venues: _best(venues, "bids")[0]),
            "best_bid_venue": _field(lambda venues: _best(venues, "bids")[1], gives="text"),
            "best_ask": _field(lambda venues: _best(venues, "asks")[0]),
            "best_ask_venue": _field(lambda venues: _best(venues, "asks")[1], gives="text"),
        }


def _newest(bids: Levels | None, asks: Levels | None) -> Any:  # Both, kept for `_standing`
    return None if bids is None or asks is None else (bids, asks)


_NEWEST = Metric({"bids": Last("bids"), "asks": Last("asks")}, _newest)


def _field(
    finish: Callable[[Sequence[VenueWindow]], Any],
    gives: Literal["number", "text", "levels"] = "number",
) -> ByVenue:
    return ByVenue(_NEWEST, finish, gives=gives)


def _standing(venues: Iterable[VenueWindow]) -> list[tuple[str, Both]]:
    """Return the books that stand at the window's end, in the order of the sources."""
    now = [(v.venue, v.before if v.value is None else v.value) for v in venues if v.is_live]
    return [(venue, book) for venue, book in now if book is not None and (book[0] or book[1])]


def _side(venues: Iterable[VenueWindow], side: Side) -> list[tuple[float, float]]:
    """Return all levels of one side, best first."""
    place = 0 if side == "bids" else 1
    books = _standing(venues)
    if len(books) == 1:
        return list(books[0][1][place])
    sizes: dict[float, float] = defaultdict(float)
    for _, book in books:
        for price, size in book[place]:
            sizes[price] += size  # of equal prices of different venues
    return sorted(sizes.items(), reverse=side == "bids")


def _top(venues: Sequence[VenueWindow], side: Side, n: int) -> list[tuple[float, float]] | None:
    return _side(venues, side)[:n] if _standing(venues) else None


def _depth(venues: Sequence[VenueWindow], side: Side, n: int) -> float | None:
    return math.fsum(size for _, size in _side(venues, side)[:n]) if _standing(venues) else None


def _imbalance(venues: Sequence[VenueWindow], n: int) -> float | None:
    bids, asks = _depth(venues, "bids", n), _depth(venues, "asks", n)
    if bids is None or asks is None or bids + asks == 0:
        return None
    return (bids - asks) / (bids + asks)


def _edges(venues: Sequence[VenueWindow]) -> tuple[float, float] | None:
    bids, asks = _side(venues, "bids"), _side(venues, "asks")
    return (bids[0][0], asks[0][0]) if bids and asks else None


def _mid(venues: Sequence[VenueWindow]) -> float | None:
    edges = _edges(venues)
    return None if edges is None else (edges[0] + edges[1]) / 2


def _spread(venues: Sequence[VenueWindow]) -> float | None:
    edges = _edges(venues)
    return None if edges is None else edges[1] - edges[0]


def _spread_bps(venues: Sequence[VenueWindow]) -> float | None:
    edges = _edges(venues)
    return None if edges is None else (edges[1] - edges[0]) / (edges[0] + edges[1]) * 20000


def _best(venues: Sequence[VenueWindow], side: Side) -> tuple[float | None, str | None]:
    place, is_better = (0, max) if side == "bids" else (1, min)
    tops = [(book[place][0][0], venue) for venue, book in _standing(venues) if book[place]]
    if not tops:
        return None, None
    price = is_better(price for price, _ in tops)
    return price, next(venue for each, venue in tops if each == price)
