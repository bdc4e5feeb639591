"""Compile a request; where its sentence is not understood, refuse it with a proposal beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bond_core.errors import Problem, RequestError
from bond_server.compiling import Compiled
from bond_server.language.normalise import hidden
from bond_server.language.vocabulary import Vocabulary
from bond_server.proposals.proposer import Compile, NoProposalError, Proposal, Proposer

NOT_UNDERSTOOD = "not_understood"


class Compiler(Protocol):
    """What compiles requests: a `Service`, or an `Engine`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The words it knows."""
        ...

    def compile(self, request: Mapping[str, Any]) -> Compiled:
        """Turn a request into what would run."""
        ...


class ProposedError(RequestError):
    """A sentence was not understood, and a language model says what may be meant.

    Attributes:
        proposal: For the author to send; nothing of it runs.
    """

    default_code = NOT_UNDERSTOOD

    def __init__(self, error: RequestError, proposal: Proposal) -> None:
        super().__init__(error.detail, code=error.code, problems=error.problems, fix=error.fix)
        self.proposal = proposal


async def compile_or_propose(
    request: Mapping[str, Any], compiler: Compiler, proposer: Proposer
) -> Compiled:
    """Return what a request means here.

    Raises:
        ProposedError: Its sentence is not understood; there is a proposal.
        BondError: It makes no sense, or can't be had here. One that was not understood says
            why there is no proposal.
    """
    try:
        return compiler.compile(request)
    except RequestError as error:
        refused = error
    text = request.get("natural_language")
    raise await with_proposal(refused, text, proposer, compiler.vocabulary, compiler.compile)


async def with_proposal(
    error: RequestError, text: object, proposer: Proposer, vocabulary: Vocabulary,
    compile_: Compile,
) -> RequestError:  # fmt: skip
    """Return the error, with a proposal where its sentence was not understood, or why not."""
    if error.code != NOT_UNDERSTOOD or not isinstance(text, str) or hidden(text):
        return error
    try:
        return ProposedError(error, await proposer.propose(text, vocabulary, compile_))
    except NoProposalError as why:
        if str(why):
            error.problems = (*error.problems, Problem(detail=str(why)))
        return error
