"""The hooks that a plugin may implement. They run once, when plugins load, never per event.

A plugin is a distribution with one entry point in the group `bond.v1` that names a light
module. The module implements any of these hooks with `@hookimpl`, as plain functions.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import pluggy

from bond_core.plugin.specs import (
    AggregatorSpec,
    CommandSpec,
    ConnectorSpec,
    ServerSpec,
    SinkSpec,
)

GROUP = "bond.v1"
"""The entry-point group. The number is the contract's: what breaks it gets a new group."""

hookspec = pluggy.HookspecMarker("bond")
hookimpl = pluggy.HookimplMarker("bond")


@attrs.frozen(kw_only=True)
class ApiInfo:
    """What this core offers a plugin; hooks may leave the argument out."""

    version: tuple[int, int] = (1, 0)
    features: frozenset[str] = frozenset()


class ConnectorHooks:
    """Hooks of plugins that listen."""

    @hookspec
    def bond_connectors(self, api: ApiInfo) -> Iterable[ConnectorSpec]:
        """Describe every connector of this distribution: no I/O, no SDK imports."""
        raise NotImplementedError


class AggregatorHooks:
    """Hooks of plugins that compute."""

    @hookspec
    def bond_aggregators(self, api: ApiInfo) -> Iterable[AggregatorSpec]:
        """Describe every aggregator of this distribution."""
        raise NotImplementedError


class SinkHooks:
    """Hooks of plugins that deliver."""

    @hookspec
    def bond_sinks(self, api: ApiInfo) -> Iterable[SinkSpec]:
        """Describe every sink of this distribution."""
        raise NotImplementedError


class ServerHooks:
    """Hooks of plugins that add to the server and to the command line."""

    @hookspec
    def bond_server_parts(self, api: ApiInfo) -> Iterable[ServerSpec]:
        """Describe what this distribution adds to the server."""
        raise NotImplementedError

    @hookspec
    def bond_commands(self, api: ApiInfo) -> Iterable[CommandSpec]:
        """Describe every command that this distribution adds to `bond`."""
        raise NotImplementedError
