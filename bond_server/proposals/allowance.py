"""Say whether a question may be asked now: so many a minute and a day, none while it is in vain."""

from __future__ import annotations

from collections import deque

from bond_core.clock import NS, Clock

MOST_FAILURES = 3
"""After so many failures in a row the endpoint is left alone for a while."""

PAUSE_S = 60.0
_MOST_PAUSE_S = 3600.0
_WINDOWS = (("minute", 60), ("day", 86_400))


class Allowance:
    """Counts questions and failures, of this process.

    Args:
        clock: What time it is.
        per_minute: Questions in any minute.
        per_day: Questions in any day.
    """

    def __init__(self, clock: Clock, *, per_minute: int, per_day: int) -> None:
        self._clock = clock
        self._most = {"minute": per_minute, "day": per_day}
        self._asked: deque[int] = deque()
        self._failures = 0
        self._closed_until_ns: int | None = None

    def why_not(self) -> str | None:
        """Return why nothing may be asked now; None when it may, and then it counts as asked."""
        now_ns = self._clock.monotonic_ns()
        if self._closed_until_ns is not None and now_ns < self._closed_until_ns:
            left_s = -((now_ns - self._closed_until_ns) // NS)
            return f"the language model did not answer lately; it is asked again in {left_s} s"
        for name, seconds in _WINDOWS:
            since_ns = now_ns - seconds * NS
            if sum(1 for at_ns in self._asked if at_ns > since_ns) >= self._most[name]:
                return f"the language model was asked {self._most[name]} times in a {name} already"
        while self._asked and self._asked[0] <= now_ns - _WINDOWS[-1][1] * NS:
            self._asked.popleft()
        self._asked.append(now_ns)
        if self._closed_until_ns is not None:  # one may try; the others wait for how it fares
            self._closed_until_ns = now_ns + round(PAUSE_S * NS)
        return None

    def answered(self) -> None:
        """Note that it answers."""
        self._failures, self._closed_until_ns = 0, None

    def failed(self, retry_after_s: float | None = None) -> None:
        """Note that it didn't; a pause that it asked for is kept."""
        self._failures += 1
        if self._failures >= MOST_FAILURES or retry_after_s is not None:
            pause_s = min(max(PAUSE_S, retry_after_s or 0.0), _MOST_PAUSE_S)
            self._closed_until_ns = self._clock.monotonic_ns() + round(pause_s * NS)
