"""Say of a plugin, as plain data, how it fares: for `bond plugins` and for `GET /v1/plugins`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bond_core.plugin.discovery import PluginRow
from bond_core.plugin.specs import ConnectorSpec, Spec, describe


def record_of(row: PluginRow, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what is to be known of a plugin: where it came from, its state, what it provides.

    Args:
        row: The plugin.
        environ: Where its keys would be; of those that aren't there only the names are shown.
    """
    return {
        "name": row.name,
        "distribution": row.distribution,
        "version": row.version,
        "module": row.module,
        "state": row.state,
        "reason": row.reason,
        "provides": [spec.name for spec in row.specs],
        "missing_keys": missing_keys(row, environ),
    }


def full_record_of(row: PluginRow, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the same with each of its specs in full, their settings' schemas included."""
    return record_of(row, environ) | {
        "provides": [{"what": what_is(spec)} | describe(spec) for spec in row.specs]
    }


def missing_keys(row: PluginRow, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the plugin's sources need from the environment and don't find: name → why."""
    needs: dict[str, str] = {}
    for spec in row.specs:
        if isinstance(spec, ConnectorSpec):
            needs |= dict(spec.needs)
    return {key: why for key, why in needs.items() if not environ.get(key)}


def what_is(spec: Spec) -> str:
    """Return `connector`, `aggregator`, `sink`, `server` or `command`."""
    return type(spec).__name__.removesuffix("Spec").lower()
