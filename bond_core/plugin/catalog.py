"""What the loaded plugins offer, by name: connectors, aggregators, sinks."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import attrs

from bond_core.errors import PluginError
from bond_core.plugin.discovery import PluginRow, load_plugins
from bond_core.plugin.specs import AggregatorSpec, ConnectorSpec, SinkSpec, Spec
from bond_core.settings import json_schema


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

    def _take(self, row: PluginRow) -> PluginRow:
        clash = next(filter(None, (self._clash(spec) for spec in row.specs)), None)
        if clash:
            return attrs.evolve(row, state="conflict", reason=clash, specs=())
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

    def _clash(self, spec: Spec) -> str | None:
        if isinstance(spec, ConnectorSpec):
            for name in (spec.name, *spec.aliases):
                if name in self._connectors:
                    return f"the source type {name!r} is taken by {self._connectors[name].name}"
        elif isinstance(spec, AggregatorSpec):
            for field in spec.fields:
                taken = self._by_field.get((field, spec.kind))
                if taken:
                    return (
                        f"the field {field!r} of kind {spec.kind} is taken by {taken.name}; "
                        f"put a name of your own before it, such as acme_{field}"
                    )
        elif spec.name in self._sinks:
            return f"the sink {spec.name!r} is taken"
        return None


def load_class(factory: str) -> Any:
    """Import and return what `package.module:Class` names.

    Raises:
        PluginError: It can't be imported (its SDK is missing), or isn't there.
    """
    module_name, _, attribute = factory.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{factory} can't be loaded: {error}") from error


def describe(spec: Spec) -> dict[str, Any]:
    """Return a spec as JSON, with its settings' schema: for `/v1/sources` and `bond plugins`."""
    body: dict[str, Any] = {
        "name": spec.name,
        "summary": spec.summary,
        "stability": spec.stability,
        "config": json_schema(spec.config),
    }
    if isinstance(spec, ConnectorSpec):
        body |= {
            "aliases": list(spec.aliases),
            "kinds": list(spec.kinds),
            "fields": list(spec.fields),
            "channels": [attrs.asdict(channel) for channel in spec.channels],
            "venues": list(spec.venues),
            "simulator": spec.simulator is not None,
            "needs": dict(spec.needs),
            "polls_every_s": spec.polls_every_s,
        }
    elif isinstance(spec, AggregatorSpec):
        body |= {"kind": spec.kind, "fields": list(spec.fields)}
    return body
