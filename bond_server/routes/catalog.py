"""What is installed here: plugins and how they fare, sources and how to ask for them."""

from __future__ import annotations

from typing import Any

from litestar import get

from bond_core.plugin.catalog import describe
from bond_server.auth.project import needs
from bond_server.local import Bond
from bond_server.routes.given import Given
from bond_server.routes.operations import guarded_answers


@get(
    "/v1/plugins",
    summary="List the plugins",
    opt=needs("streams:read"),
    responses=guarded_answers(),
)
async def list_plugins(bond: Given[Bond]) -> list[dict[str, Any]]:
    """Return every plugin, its state, and why where it isn't loaded."""
    return [
        {
            "name": row.name,
            "distribution": row.distribution,
            "version": row.version,
            "state": row.state,
            "reason": row.reason,
            "provides": [spec.name for spec in row.specs],
        }
        for row in bond.catalog.rows
    ]


@get(
    "/v1/sources",
    summary="List the sources",
    opt=needs("streams:read"),
    responses=guarded_answers(),
)
async def list_sources(bond: Given[Bond]) -> list[dict[str, Any]]:
    """Return every source that a spec may name, with its settings' JSON Schema."""
    return [describe(spec) for spec in bond.catalog.connectors]
