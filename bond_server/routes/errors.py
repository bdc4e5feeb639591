"""What an error's code means: the catalogue, for whoever follows the link in a problem."""

from __future__ import annotations

from typing import Any

import attrs
from litestar import get
from litestar.params import FromPath

from bond_core.errors import RequestError
from bond_server.auth.project import OPEN, needs
from bond_server.error_catalogue.catalogue import CATALOGUE, entry_of
from bond_server.error_catalogue.entry import Entry
from bond_server.routes.operations import problem_answers


@get(
    "/v1/errors",
    summary="List the errors",
    opt=needs(OPEN),
    responses=problem_answers(429),
)
async def list_errors() -> list[dict[str, Any]]:
    """Return every error that Bond knows, by code: its cause, what mends it, a fix that works."""
    return [_described(CATALOGUE[code]) for code in sorted(CATALOGUE)]


@get(
    "/v1/errors/{code:str}",
    summary="Explain an error",
    opt=needs(OPEN),
    responses=problem_answers(400, 404, 429),
)
async def show_error(code: FromPath[str]) -> dict[str, Any]:
    """Return what is known of one error."""
    entry = entry_of(code)
    if entry is None:
        raise RequestError(
            f"There is no error {code[:40]!r} here", code="not_found", fix="GET /v1/errors"
        )
    return _described(entry)


def _described(entry: Entry) -> dict[str, Any]:
    return {"title": entry.title, **attrs.asdict(entry)}
