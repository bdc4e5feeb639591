"""How long to wait before trying again: growing, capped, jittered."""

from __future__ import annotations

import random

import attrs


@attrs.frozen(kw_only=True)
class Backoff:
    """The pause before attempt n: a random part of first_s · 2ⁿ, never above cap_s.

    The random part is from half to all, so that many who failed together don't return together.
    After `attempts` failures in a row nothing is tried any more; None tries for ever.
    """

    first_s: float = 0.5
    cap_s: float = 30.0
    attempts: int | None = None

    def gives_up(self, failures: int) -> bool:
        """Whether there were so many failures in a row that nothing is tried any more."""
        return self.attempts is not None and failures >= self.attempts

    def pause_s(self, attempt: int, chance: random.Random) -> float:
        """Return the pause in seconds before the attempt after `attempt` failures in a row."""
        whole: float = min(self.cap_s, self.first_s * 2 ** min(attempt, 30))
        return whole * chance.uniform(0.5, 1.0)
