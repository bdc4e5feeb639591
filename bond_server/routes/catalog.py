"""What is installed here: plugins and how they fare, sources and how to ask for them."""

from __future__ import annotations

import os
from typing import Any

from litestar import get, post

from bond_core.plugin.catalog import describe
from bond_core.plugin.records import record_of
from bond_server.auth.project import needs
from bond_server.routes.given import Given
from bond_server.routes.operations import guarded_answers
from bond_server.service import Service


@get(
    "/v1/plugins",
    summary="List the plugins",
    opt=needs("streams:read"),
    responses=guarded_answers(),
)
async def list_plugins(bond: Given[Service]) -> list[dict[str, Any]]:
    """Return every plugin, its state, and why where it isn't loaded."""
    return [record_of(row, os.environ) for row in bond.catalog.rows]


@post(
    "/v1/plugins/rescan",
    status_code=200,
    summary="Look for new plugins",
    opt=needs("admin"),
    responses=guarded_answers(503),
)
async def rescan_plugins(bond: Given[Service]) -> list[dict[str, Any]]:
    """Load what was installed since, heed what was enabled or disabled, and return every plugin.

    Nothing that runs is touched. One of another version than is loaded says that it takes a
    restart.
    """
    return [record_of(row, os.environ) for row in await bond.rescan()]


@get(
    "/v1/sources",
    summary="List the sources",
    opt=needs("streams:read"),
    responses=guarded_answers(),
)
async def list_sources(bond: Given[Service]) -> list[dict[str, Any]]:
    """Return every source that a spec may name, with its settings' JSON Schema."""
    return [describe(spec) for spec in bond.catalog.connectors]
