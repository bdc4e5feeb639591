"""What the loaded plugins offer, by name: connectors, aggregators, sinks, what else there is."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from bond_core.plugin.discovery import PluginRow, Plugins, load_plugins
from bond_core.plugin.field_names import family_of, template_of
from bond_core.plugin.plans import check_plans
from bond_core.plugin.specs import (
    AggregatorSpec,
    CommandSpec,
    ConnectorSpec,
    ServerSpec,
    SinkSpec,
    Spec,
    describe,
)

__all__ = ["Catalog", "describe"]


class Catalog:
    """Everything that can be asked for here.

    Where two plugins claim one name, the first in the order of their names keeps it, and the
    other's row says so.
    """

    def __init__(self, rows: Iterable[PluginRow]) -> None:
        self._connectors: dict[str, ConnectorSpec] = {}
        self._sinks: dict[str, SinkSpec] = {}
        self._aggregators: dict[str, AggregatorSpec] = {}
        self._parts: dict[str, ServerSpec] = {}
        self._commands: dict[str, CommandSpec] = {}
        self._by_field: dict[tuple[str, str], AggregatorSpec] = {}
        self._families: dict[str, dict[str, AggregatorSpec]] = {}
        self._claimed: dict[tuple[str, ...], str] = {}
        self.rows: tuple[PluginRow, ...] = tuple(self._take(row) for row in rows)

    @classmethod
    def installed(cls, *, only: Iterable[str] | None = None, strict: bool = False) -> Catalog:
        """Return the catalogue of what is installed in this environment."""
        chosen = None if only is None else frozenset(only)
        return cls(load_plugins(only=chosen, strict=strict, look=check_plans))

    @classmethod
    def loaded(cls, plugins: Plugins) -> Catalog:
        """Return the catalogue of what this process's plugins are now."""
        return cls(plugins.load(check_plans))

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

    @property
    def server_parts(self) -> tuple[ServerSpec, ...]:
        """What plugins add to the server, in the order of their names."""
        return tuple(self._parts[name] for name in sorted(self._parts))

    @property
    def commands(self) -> tuple[CommandSpec, ...]:
        """What plugins add to the command line, in the order of their names."""
        return tuple(self._commands[name] for name in sorted(self._commands))

    def connector(self, type_or_alias: str) -> ConnectorSpec | None:
        """Return the connector of a source type, or None if none is installed for it."""
        return self._connectors.get(type_or_alias)

    def sink(self, name: str) -> SinkSpec | None:
        """Return a sink by name, or None if it isn't installed."""
        return self._sinks.get(name)

    def source_types(self) -> tuple[str, ...]:
        """Return every source type and alias that works here."""
        return tuple(sorted(self._connectors))

    def aggregator(self, field: str, kind: str) -> AggregatorSpec | None:
        """Return what computes a record field from one kind of event, or None."""
        found = self._by_field.get((field, kind))
        if found is None:
            families = self._families.get(kind, {})
            found = families.get(family_of(field, families) or "")
        return found

    def fields_of(self, kind: str) -> tuple[str, ...]:
        """Return all record fields that can be computed from one kind of event.

        Names with a range (`price_p{1..99}`) among them.
        """
        return tuple(f for spec in self.aggregators if spec.kind == kind for f in spec.fields)

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
                if template_of(field) is not None:
                    self._families.setdefault(spec.kind, {})[field] = spec
        elif isinstance(spec, ServerSpec):
            self._parts[spec.name] = spec
        elif isinstance(spec, CommandSpec):
            self._commands[spec.name] = spec
        else:
            self._sinks[spec.name] = spec


def _claims(spec: Spec) -> list[tuple[str, ...]]:
    """Return what only one spec may have: its name, its aliases, a field of a kind."""
    if isinstance(spec, ConnectorSpec):
        return [("source type", name) for name in dict.fromkeys((spec.name, *spec.aliases))]
    if isinstance(spec, AggregatorSpec):
        fields = [("field", field, spec.kind) for field in dict.fromkeys(spec.fields)]
        return [("aggregator", spec.name), *fields]
    if isinstance(spec, ServerSpec):
        return [("part of the server", spec.name), ("route", spec.prefix)]
    return [("command" if isinstance(spec, CommandSpec) else "sink", spec.name)]


def _conflict(claim: tuple[str, ...], owner: str) -> str:
    what, name, *kind = claim
    if not kind:
        return f"the {what} {name!r} is taken by {owner}"
    return (
        f"the {what} {name!r} of kind {kind[0]} is taken by {owner}; "
        f"put a name of your own before it, such as acme_{name}"
    )
