"""Refuse what the query of a listener's address has and nobody reads.

A misspelt `after` would quietly mean "from now on", and what was missed would never be sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from bond_core.errors import Problem, RequestError
from bond_core.structuring import nearest

LISTENING = ("token", "ticket", "from", "after", "epoch")
"""What both ways to listen read."""

_LONGEST = 64


def check_query(given: Iterable[str], known: Iterable[str]) -> None:
    """Look at the names in a query.

    Raises:
        RequestError: `bad_query`: one of them is not known there.
    """
    names = sorted(known)
    problems = [
        Problem(
            detail=f"this address reads {', '.join(names)}, and nothing else",
            text=name[:_LONGEST],
            did_you_mean=nearest(name, names, 1),
        )
        for name in given
        if name not in names
    ]
    if problems:
        told = ", ".join(str(problem.text) for problem in problems)
        raise RequestError(
            f"the query has what nobody reads: {told[:_LONGEST]}",
            code="bad_query",
            problems=problems,
            fix="from=now-60s",
        )
