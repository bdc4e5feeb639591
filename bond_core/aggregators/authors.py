"""How many different people posted, and what others made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bond_core.windows.plan import Count, FieldPlan, Metric, Reduce, Sum


class Authors:
    """Distinct authors of a window's posts; a post without an author counts for none."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `authors`."""
        return {"authors": Reduce(["author"], distinct, both, len, empty=0)}


class Engagement:
    """Sum of the posts' engagement when they were heard; null where no source says it."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `engagement`."""
        known = "engagement is not None"
        return {
            "engagement": Metric(
                {"n": Count(where=known), "total": Sum("engagement", where=known)},
                finish=lambda n, total: total if n else None,
            )
        }


def distinct(authors: Sequence[str]) -> list[str]:
    """Return each once, in order."""
    return sorted(set(authors))


def both(earlier: Sequence[str], later: Sequence[str]) -> list[str]:
    """Return who is in either."""
    return sorted({*earlier, *later})
