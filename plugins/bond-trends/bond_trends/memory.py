"""What is known of each keyword, how old it may be, and when Google may be asked again."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import attrs

from bond_core.clock import NS
from bond_trends.google import Answer

REFRESH_NS = 3600 * NS
"""How old an answer gets before it is asked for anew."""

OLDEST_NS = 3 * REFRESH_NS
"""How old an answer may be to be told still."""

BURST = 6
PER_HOUR = 12
"""How many keywords are looked up at once at most, and in an hour."""


@attrs.define
class Budget:
    """Lets so many lookups pass. Times are the clock's monotonic time, ns."""

    _left: float = BURST
    _at_ns: int | None = None

    def take(self, now_ns: int) -> bool:
        """Whether one more lookup may be made now; then it is counted."""
        if self._at_ns is not None:
            gained = (now_ns - self._at_ns) / (3600 * NS) * PER_HOUR
            self._left = min(float(BURST), self._left + gained)
        self._at_ns = now_ns
        if self._left < 1:
            return False
        self._left -= 1
        return True


@attrs.frozen
class Known:
    """One answer.

    Attributes:
        answer: None where Google knows nothing of the keyword.
        at_ns: When it was given, monotonic.
    """

    answer: Answer | None
    at_ns: int


@attrs.define
class Memory:
    """Answers by keyword.

    Attributes:
        closed_until_ns: Google said no: until then nothing is asked, monotonic.
        why: What it said.
    """

    budget: Budget = attrs.field(factory=Budget)
    closed_until_ns: int = 0
    why: str = ""
    _known: dict[str, Known] = attrs.field(factory=dict)

    def due(self, keywords: Iterable[str], now_ns: int) -> str | None:
        """Return the keyword to look up now, if one should and may be; then it is counted.

        It is the one that was not looked up for longest, so that each has its turn.
        """
        if now_ns < self.closed_until_ns:
            return None
        longest = min(keywords, key=self._looked_up_ns, default=None)
        if longest is None or now_ns - self._looked_up_ns(longest) < REFRESH_NS:
            return None
        return longest if self.budget.take(now_ns) else None

    def learn(self, keyword: str, answer: Answer | None, now_ns: int) -> None:
        """Note an answer."""
        self._known[keyword] = Known(answer, now_ns)

    def close(self, why: str, until_ns: int) -> None:
        """Ask nothing until then."""
        self.why, self.closed_until_ns = why, until_ns

    def told(self, keyword: str, now_ns: int) -> Known | None:
        """Return what is known of a keyword and not too old."""
        known = self._known.get(keyword)
        return known if known is not None and now_ns - known.at_ns <= OLDEST_NS else None

    def _looked_up_ns(self, keyword: str) -> float:
        known = self._known.get(keyword)
        return -inf if known is None else known.at_ns
