"""Say how long to wait before the next try, so that a crowd of clients doesn't try in step."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs


@attrs.frozen(kw_only=True)
class Backoff:
    """Pauses that double from `first_s` up to `cap_s`, half of each left to chance.

    Attributes:
        first_s: The longest first pause, in seconds.
        cap_s: The longest pause at all, in seconds.
        random: Returns a float in [0, 1).
    """

    first_s: float = 1.0
    cap_s: float = 30.0
    random: Callable[[], float] = random.random

    def delay_s(self, attempt: int) -> float:
        """Return the pause after so many failures in a row; the first is attempt 0."""
        # Beyond 2**32 every cap is reached; a float must not overflow in a week of outage.
        longest_s = min(self.cap_s, self.first_s * 2.0 ** min(attempt, 32))
        return longest_s * (0.5 + 0.5 * self.random())
