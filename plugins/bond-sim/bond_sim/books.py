"""Make order books of the synthetic market, and what changes in them.

A book is a function of seed, market and time, like everything else here: what a socket sends
and what a REST call answers about one moment agree. It changes every 100 ms. Its numbers grow
by ten from one state to the next, so that a change covers ten of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field, frozen

from bond_sim.instruments import Instrument
from bond_sim.market import SLOT_NS, SyntheticMarket

BOOK_NS = 2 * SLOT_NS
"""How far two states of a book are apart."""

DEPTH = 100
"""How many levels of each side there are."""

_NUMBERS = 10
_LEVEL_STANDS = 31  # states, at most

Level = tuple[str, str]


@frozen
class BookState:
    """A book at a time: levels as decimal texts, best first."""

    number: int
    at_ns: int
    bids: Sequence[Level]
    asks: Sequence[Level]


@frozen
class BookChange:
    """What differs from one state to another; a size of `0` takes a level away."""

    before: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    now: BookState


@define
class BookClock:
    """Which state of each book was told last, by venue and wire: changes follow that one."""

    market: SyntheticMarket | None  # None where a recording is played
    _told: dict[tuple[str, str], int] = field(factory=dict)

    def state(self, instrument: Instrument, now_ns: int) -> BookState | None:
        """Return the state at a time; None where the market has no book."""
        return self._state(instrument, now_ns // BOOK_NS)

    def opening(
        self, venue: str, wire: str, instrument: Instrument, now_ns: int, *, is_first: bool
    ) -> BookState | None:
        """Return the state that the next change of a wire follows.

        Args:
            venue: Whose wire.
            wire: On which somebody is to hear it.
            instrument: Its market.
            now_ns: The time.
            is_first: Whether nobody has heard this wire until now.
        """
        key = venue, wire
        if is_first or key not in self._told:
            self._told[key] = now_ns // BOOK_NS
        return self._state(instrument, self._told[key])

    def change(
        self, venue: str, wire: str, instrument: Instrument, now_ns: int
    ) -> BookChange | None:
        """Return what has changed on a wire since it was told of last; None if nothing has."""
        key, now = (venue, wire), now_ns // BOOK_NS
        before = self._state(instrument, self._told.get(key, now - 1))
        after = self._state(instrument, now)
        if before is None or after is None or before.number >= after.number:
            return None
        self._told[key] = now
        return BookChange(
            before.number, _differing(before.bids, after.bids),
            _differing(before.asks, after.asks), after,
        )  # fmt: skip

    def _state(self, i: Instrument, state: int) -> BookState | None:
        market = self.market
        if market is None:
            return None
        bid, ask = market.edges(i, state * BOOK_NS)
        places, size_places = _places(i.tick), _places(i.lot)

        def side(best: int, step: int) -> list[Level]:
            levels = []
            for n in range(DEPTH):
                at = best + n * step
                if at <= 0:
                    break
                size = market.level_size(i, at, state, _LEVEL_STANDS)
                levels.append((f"{at * float(i.tick):.{places}f}", f"{size:.{size_places}f}"))
            return levels

        return BookState(state * _NUMBERS, state * BOOK_NS, side(bid, -1), side(ask, 1))


def _differing(before: Sequence[Level], after: Sequence[Level]) -> list[Level]:
    was, now = dict(before), dict(after)
    gone = [(price, "0") for price in was if price not in now]
    return [level for level in after if was.get(level[0]) != level[1]] + gone


def _places(step: str) -> int:
    return len(step.partition(".")[2])
