"""How many different people posted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bond_core.windows.plan import FieldPlan, Reduce


class Authors:
    """Distinct authors of a window's posts; a post without an author counts for none."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `authors`."""
        return {"authors": Reduce(["author"], distinct, both, len, empty=0)}


def distinct(authors: Sequence[str]) -> list[str]:
    """Return each once, in order."""
    return sorted(set(authors))


def both(earlier: Sequence[str], later: Sequence[str]) -> list[str]:
    """Return who is in either."""
    return sorted({*earlier, *later})
