"""Functions that compare a record with those before it of its symbol."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import attrs

from bond_core.model.record import Record
from bond_core.spec.conditions.operators import is_number, known

MAX_RECORDS = 1_500
"""How many records `sum_over` and `avg_over` may look back over."""

MAX_LOOKBACK_NS = 7 * 86_400 * 1_000_000_000
"""How far `pct_change` may look back."""

_GRAINS = 1_000


@attrs.define
class Seen:
    """A record, and what the functions that look back say of it, so far.

    Attributes:
        record: It.
        said: By the place of the function.
    """

    record: Record
    said: list[Any] = attrs.field(factory=list)


Evaluate = Callable[[Seen], Any]


class Lookback(Protocol):
    """A function that compares a record with those before it."""

    def begin(self) -> Any:
        """Return the state before the first record."""

    def look(self, seen: Seen, state: Any) -> Any:
        """Take in a record, and return what it is, None for unknown."""


@attrs.frozen(eq=False)
class Crosses:
    """`crosses_above(value, level)`: it was at or below the level, and is above it.

    Looked at in records where both are known; the others are passed over.
    """

    value: Evaluate
    level: Evaluate
    upwards: bool

    def begin(self) -> list[bool]:
        """See Lookback: whether it was beyond the level, once that is known."""
        return []

    def look(self, seen: Seen, state: list[bool]) -> bool | None:
        """See Lookback."""
        value, level = self.value(seen), self.level(seen)
        if not (is_number(value) and is_number(level)):
            return None
        is_beyond = value > level if self.upwards else value < level
        was_beyond = state[0] if state else None
        state[:] = [is_beyond]
        if was_beyond is None:
            return None
        return is_beyond and not was_beyond


@attrs.frozen(eq=False)
class Change:
    """`pct_change(value, "5m")`: by how many percent it is more than it was then.

    "Then" is the newest record with a value that ended so long before, or longer. Records are
    kept at least a thousandth of that length apart, so where windows are shorter it may have
    ended so much earlier.
    """

    value: Evaluate
    back_ns: int

    def begin(self) -> deque[tuple[int, float]]:
        """See Lookback: the ends and values of records."""
        return deque()

    def look(self, seen: Seen, state: deque[tuple[int, float]]) -> float | None:
        """See Lookback."""
        end_ns, value = seen.record.window_end_ns, self.value(seen)
        is_known = is_number(value)
        if is_known and (not state or end_ns - state[-1][0] >= self.back_ns // _GRAINS):
            state.append((end_ns, value))
        while len(state) > 1 and state[1][0] <= end_ns - self.back_ns:
            state.popleft()
        if not is_known or not state or state[0][0] > end_ns - self.back_ns or not state[0][1]:
            return None
        then = state[0][1]
        return float(known((value - then) / abs(then) * 100)) if math.isfinite(then) else None


@attrs.define
class Spanned:
    """What `Over` remembers of one symbol.

    Attributes:
        begun_ns: Where the first record began.
        records: Begin and value of those that the span holds.
    """

    begun_ns: int | None = None
    records: deque[tuple[int, Any]] = attrs.field(factory=lambda: deque(maxlen=MAX_RECORDS + 2))


@attrs.frozen(eq=False)
class Over:
    """`sum_over(value, "1m")`, `avg_over(value, "1m")`: of all records that lie in that span.

    Unknown until records were seen for so long, and while the value of one of them is unknown.
    """

    value: Evaluate
    back_ns: int
    is_average: bool

    def begin(self) -> Spanned:
        """See Lookback."""
        return Spanned()

    def look(self, seen: Seen, state: Spanned) -> float | None:
        """See Lookback."""
        begin_ns, end_ns = seen.record.window_start_ns, seen.record.window_end_ns
        since_ns = end_ns - self.back_ns
        if state.begun_ns is None:
            state.begun_ns = begin_ns
        state.records.append((begin_ns, self.value(seen)))
        while state.records and state.records[0][0] < since_ns:
            state.records.popleft()
        values = [value for _, value in state.records]
        if state.begun_ns > since_ns or not values or not all(map(is_number, values)):
            return None
        try:
            total = math.fsum(values)
        except OverflowError:
            return None
        return float(known(total / len(values))) if self.is_average else known(total)
