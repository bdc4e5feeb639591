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


@attrs.define(eq=False)
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
        begins: Where those of the span began, and `values` what they have: 0 for unknown.
        known: Of each of them whether its value is known, and `unknown` how many are not.
    """

    begun_ns: int | None = None
    begins: deque[int] = attrs.field(factory=deque)
    values: deque[float] = attrs.field(factory=deque)
    known: deque[bool] = attrs.field(factory=deque)
    unknown: int = 0

    def add(self, begin_ns: int, value: Any) -> None:
        """Take in a record."""
        is_known = is_number(value)
        self.begins.append(begin_ns)
        self.values.append(value if is_known else 0)
        self.known.append(is_known)
        self.unknown += not is_known

    def drop_until(self, since_ns: int) -> None:
        """Drop what began earlier; and what is too much, as if it had not been seen."""
        while self.begins and (self.begins[0] < since_ns or len(self.begins) > MAX_RECORDS + 1):
            if self.begins.popleft() >= since_ns:
                self.begun_ns = self.begins[0] + 1
            self.values.popleft()
            self.unknown -= not self.known.popleft()


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
        state.add(begin_ns, self.value(seen))
        state.drop_until(since_ns)
        if state.begun_ns > since_ns or not state.values or state.unknown:
            return None
        try:
            total = math.fsum(state.values)
        except OverflowError:
            return None
        return total / len(state.values) if self.is_average else total
