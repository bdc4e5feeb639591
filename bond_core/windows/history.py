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
    """The values of one field, of one symbol and timeframe, by the start of their windows.

    Attributes:
        first_ns: The first window that was told, ns.
        starts: Of the windows with a value, ns, rising.
        values: Theirs.
    """

    first_ns: int
    starts: list[int] = attrs.field(factory=list)
    values: list[Any] = attrs.field(factory=list)

    def put(self, start_ns: int, value: Any) -> None:
        """Take in a window's value, None where it is unknown; a revision replaces it."""
        at = bisect_left(self.starts, start_ns)
        is_there = at < len(self.starts) and self.starts[at] == start_ns
        if value is None:
            if is_there:
                del self.starts[at], self.values[at]
        elif is_there:
            self.values[at] = value
        else:
            self.starts.insert(at, start_ns)
            self.values.insert(at, value)
        self.first_ns = min(self.first_ns, start_ns)

    def before(self, start_ns: int) -> Any:
        """Return the newest value of an earlier window; None if there is none."""
        at = bisect_left(self.starts, start_ns)
        return self.values[at - 1] if at else None

    def between(self, from_ns: int, to_ns: int) -> Sequence[Any]:
        """Return the values of windows that start in `[from_ns, to_ns]`, the oldest first."""
        return self.values[bisect_left(self.starts, from_ns) : bisect_right(self.starts, to_ns)]

    def forget(self, before_ns: int) -> None:
        """Let go windows that start before a time, but for the newest of them."""
        at = bisect_left(self.starts, before_ns) - 1
        if at > 0:
            del self.starts[:at], self.values[:at]
