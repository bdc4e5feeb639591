"""Say what a request would become, and create nothing."""

from __future__ import annotations

from typing import Any

from litestar import Request, post

from bond_server.auth.project import needs
from bond_server.proposals.proposer import Proposer
from bond_server.proposals.refusal import compile_or_propose
from bond_server.routes.answers import explanation
from bond_server.routes.body import read_object
from bond_server.routes.given import Given
from bond_server.routes.operations import BODY, AsksForAStream, guarded_answers
from bond_server.service import Service


@post(
    "/v1/explain",
    status_code=200,
    summary="Explain a sentence or a spec",
    operation_class=AsksForAStream,
    opt=needs("streams:read"),
    responses=guarded_answers(*BODY),
)
async def explain(
    request: Request[Any, Any, Any],
    bond: Given[Service],
    project: Given[str],
    proposer: Given[Proposer],
) -> dict[str, Any]:
    """Return what was understood, what was assumed, and the spec that would run."""
    compiled = await compile_or_propose(await read_object(request), bond, proposer)
    return explanation(compiled, project, bond.vocabulary)
