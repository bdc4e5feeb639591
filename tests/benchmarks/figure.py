"""One measured ratio, and whether it is as good as was promised."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Figure:
    """A line of a benchmark's result; written as JSON with exactly these fields.

    Attributes:
        bench: The benchmark's name.
        case: What was measured.
        against: What it was measured against, in the same run.
        ratio: `case` divided by `against`; what of (time, rate, bytes) the benchmark says. None
            where what it is measured against is not installed: neither met nor missed.
        goal: The bound that was promised, or None for a figure that is only informative.
        met: Whether `ratio` keeps within the goal, or None where there is none.
    """

    bench: str
    case: str
    against: str
    ratio: float | None
    goal: float | None = None
    met: bool | None = None

    def at_most(self, goal: float) -> Figure:
        """Return this figure with a goal that it must not exceed: for times and sizes."""
        return attrs.evolve(self, goal=goal, met=self.ratio is not None and self.ratio <= goal)

    def at_least(self, goal: float) -> Figure:
        """Return this figure with a goal that it must reach: for rates."""
        return attrs.evolve(self, goal=goal, met=self.ratio is not None and self.ratio >= goal)
