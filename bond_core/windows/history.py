"""Remember what a field was worth in earlier windows: plain data, bounded, open to revisions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import attrs

GONE = False
"""A value that says: whatever was known before is not to be carried on."""


@attrs.define
class History:
    """The values of one field, of one symbol and timeframe, by where their windows stand.

    Attributes:
        first: Where the first window stood that was told.
        places: Of the windows with a value, rising.
        values: Theirs.
    """

    first: int
    places: list[int] = attrs.field(factory=list)
    values: list[Any] = attrs.field(factory=list)

    def put(self, place: int, value: Any) -> None:
        """Take in a window's value, None where it is unknown; a revision replaces it."""
        at = bisect_left(self.places, place)
        is_there = at < len(self.places) and self.places[at] == place
        if value is None:
            if is_there:
                del self.places[at], self.values[at]
        elif is_there:
            self.values[at] = value
        else:
            self.places.insert(at, place)
            self.values.insert(at, value)
        self.first = min(self.first, place)

    def before(self, place: int) -> Any:
        """Return the newest value of an earlier window; None if there is none."""
        at = bisect_left(self.places, place)
        return self.values[at - 1] if at else None

    def between(self, first: int, last: int) -> Sequence[Any]:
        """Return the values of windows that stand in `[first, last]`, the oldest first."""
        return self.values[bisect_left(self.places, first) : bisect_right(self.places, last)]

    def forget(self, before: int) -> None:
        """Let go windows that stand before a place, but for the newest of them."""
        at = bisect_left(self.places, before) - 1
        if at > 0:
            del self.places[:at], self.values[:at]
