"""What the loaded plugins offer, by name: connectors, aggregators, sinks."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import attrs

from bond_core.errors import PluginError
from bond_core.plugin.discovery import PluginRow, load_plugins
from bond_core.plugin.specs import AggregatorSpec, ConnectorSpec, SinkSpec, Spec, describe

__all__ = ["Catalog", "describe", "load_class", "load_name"]


class Catalog:
    """Everything that can be asked for here.

    Where two plugins claim one name, the first in the order of their names keeps it, and the
    other's row says so.
    """

    def __init__(self, rows: Iterable[PluginRow]) -> None:
        self._connectors: dict[str, ConnectorSpec] = {}
        self._sinks: dict[str, SinkSpec] = {}
        self._aggregators: dict[str, AggregatorSpec] = {}
        self._by_field: dict[tuple[str, str], AggregatorSpec] = {}
        self._claimed: dict[tuple[str, ...], str] = {}
        self.rows: tuple[PluginRow, ...] = tuple(self._take(row) for row in rows)

    @classmethod
    def installed(cls, *, only: Iterable[str] | None = None, strict: bool = False) -> Catalog:
        """Return the catalogue of what is installed in this environment."""
        return cls(load_plugins(only=None if only is None else frozenset(only), strict=strict))

    @property
    def connectors(self) -> tuple[ConnectorSpec, ...]:
        """All connectors, in the order of their names."""
        by_name = {spec.name: spec for spec in self._connectors.values()}
        return tuple(by_name[name] for name in sorted(by_name))

    @property
    def aggregators(self) -> tuple[AggregatorSpec, ...]:
        """All aggregators, in the order of their names."""
        return tuple(sorted(self._aggregators.values(), key=lambda spec: spec.name))

    @property
    def sinks(self) -> tuple[SinkSpec, ...]:
        """All sinks, in the order of their names."""
        return tuple(sorted(self._sinks.values(), key=lambda spec: spec.name))

    def connector(self, type_or_alias: str) -> ConnectorSpec | None:
        """Return the connector of a source type, or None if none is installed for it."""
        return self._connectors.get(type_or_alias)

    def source_types(self) -> tuple[str, ...]:
        """Return every source type and alias that works here."""
        return tuple(sorted(self._connectors))

    def aggregator(self, field: str, kind: str) -> AggregatorSpec | None:
        """Return what computes a record field from one kind of event, or None."""
        return self._by_field.get((field, kind))

    def with_computed(self, connector: ConnectorSpec) -> ConnectorSpec:
        """Return a connector whose channels offer what aggregators compute of them by a word.

        Such a field is in a stream where it is asked for, and never by default.
        """
        offered = set(connector.fields)
        channels = []
        for channel in connector.channels:
            computed = dict.fromkeys(
                field
                for spec in self.aggregators if spec.kind == channel.kind
                for field in spec.words.values() if field not in offered
            )  # fmt: skip
            offered |= computed.keys()
            channels.append(attrs.evolve(channel, fields=(*channel.fields, *computed)))
        return attrs.evolve(connector, channels=tuple(channels))

    def _take(self, row: PluginRow) -> PluginRow:
        claimed: dict[tuple[str, ...], str] = {}
        for spec in row.specs:
            for claim in _claims(spec):
                owner = self._claimed.get(claim) or claimed.get(claim)
                if owner is not None:
                    reason = _conflict(claim, owner)
                    return attrs.evolve(row, state="conflict", reason=reason, specs=())
                claimed[claim] = spec.name
        self._claimed |= claimed
        for spec in row.specs:
            self._add(spec)
        return row

    def _add(self, spec: Spec) -> None:
        if isinstance(spec, ConnectorSpec):
            for name in (spec.name, *spec.aliases):
                self._connectors[name] = spec
        elif isinstance(spec, AggregatorSpec):
            self._aggregators[spec.name] = spec
            for field in spec.fields:
                self._by_field[field, spec.kind] = spec
        else:
            self._sinks[spec.name] = spec


def _claims(spec: Spec) -> list[tuple[str, ...]]:
    """Return what only one spec may have: its name, its aliases, a field of a kind."""
    if isinstance(spec, ConnectorSpec):
        return [("source type", name) for name in dict.fromkeys((spec.name, *spec.aliases))]
    if isinstance(spec, AggregatorSpec):
        fields = [("field", field, spec.kind) for field in dict.fromkeys(spec.fields)]
        return [("aggregator", spec.name), *fields]
    return [("sink", spec.name)]


def _conflict(claim: tuple[str, ...], owner: str) -> str:
    what, name, *kind = claim
    if not kind:
        return f"the {what} {name!r} is taken by {owner}"
    return (
        f"the {what} {name!r} of kind {kind[0]} is taken by {owner}; "
        f"put a name of your own before it, such as acme_{name}"
    )


def load_name(name: str) -> Any:
    """Import and return what `package.module:attribute`, or `package.module` alone, names.

    Raises:
        PluginError: As load_class says.
    """
    if ":" in name:
        return load_class(name)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{name} can't be loaded: {type(error).__name__}: {error}") from error


def load_class(factory: str) -> Any:
    """Import and return what `package.module:Class` names.

    Raises:
        PluginError: It can't be imported (its SDK is missing, or it breaks while it is
            imported), or isn't there.
    """
    module_name, _, attribute = factory.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{factory} can't be loaded: {error}") from error
    except (Exception, SystemExit) as error:  # whatever a plugin does at import
        raise PluginError(f"{factory} can't be loaded: {type(error).__name__}: {error}") from error
