"""Show what a language model proposes, and ask whether it is meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from bond_server.language.problem_text import printable, quoted
from bond_server.proposals.proposer import Proposal
from bond_server.proposals.refusal import ProposedError


def confirmed(error: ProposedError, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with the proposed sentence, if whoever sits there says yes.

    Raises:
        ProposedError: They don't, or nobody sits there.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise error
    print("I don't understand that. A language model proposes:", file=sys.stderr)
    print("\n".join(proposal_lines(error.proposal)), file=sys.stderr)
    print("run this? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise error
    return {**request, "natural_language": error.proposal.sentence}


def proposal_lines(proposal: Proposal, command: str | None = None) -> Iterator[str]:
    """Yield a proposal as a terminal shows it, and with a command how to run it."""
    yield f"  proposed    {printable(proposal.sentence)}  (by {printable(proposal.model)})"
    for label, texts in (
        ("assumed", proposal.assumed),
        ("its words", proposal.interpreted),
        ("left out", proposal.left_out),
    ):
        if texts:
            yield f"  {label:<12}{printable(', '.join(texts))}"
    if command is not None:
        yield f"  if that is meant: bond {command} {quoted(proposal.sentence)}"
