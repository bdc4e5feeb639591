"""Choose a stream's record fields, the feeds they need, and how each is computed."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping

from bond_core.errors import PluginError, Problem, RequestError
from bond_core.plugin.catalog import Catalog, load_class
from bond_core.plugin.specs import AggregatorSpec, Channel, ConnectorSpec, NoConfig
from bond_core.settings import structure
from bond_core.spec.stream_spec import StreamSpec
from bond_core.windows.plan import FieldPlan, Metric, SourcePlan


def fields_of(spec: StreamSpec, connectors: Iterable[ConnectorSpec]) -> tuple[str, ...]:
    """Return the record fields the stream has, in the order of its feeds.

    Raises:
        RequestError: `unknown_field`.
    """
    offered = list(dict.fromkeys(f for c in connectors for f in c.fields))
    if spec.fields is None:
        # A connector whose channels are none of them default is asked for by name: all of it.
        return tuple(
            dict.fromkeys(
                f for c in connectors for channel in _default_channels(c) for f in channel.fields
            )
        )
    for field in spec.fields:
        if field not in offered:
            near = tuple(difflib.get_close_matches(field, offered, n=3))
            detail = f"no source of this stream brings {field!r}; they bring {', '.join(offered)}"
            raise RequestError(
                detail, code="unknown_field",
                problems=[Problem(detail=detail, pointer="/spec/fields", text=field,
                                  did_you_mean=near)],
            )  # fmt: skip
    return tuple(f for f in offered if f in spec.fields)


def _default_channels(connector: ConnectorSpec) -> tuple[Channel, ...]:
    return tuple(c for c in connector.channels if c.default) or connector.channels


def channels_of(
    connector: ConnectorSpec, spec: StreamSpec, fields: tuple[str, ...]
) -> tuple[Channel, ...]:
    """Return the feeds of a connector that the stream's fields need."""
    if spec.fields is None:
        return _default_channels(connector)
    return tuple(c for c in connector.channels if set(c.fields) & set(fields))


def field_plans(
    fields: Iterable[str], sources: Collection[SourcePlan], catalog: Catalog
) -> tuple[dict[str, tuple[str, FieldPlan]], dict[str, dict[str, FieldPlan]]]:
    """Choose for each field the kind of event it is computed from: the smallest rank wins.

    Returns:
        The fields' plans, and by field and kind those of symbols that have no source of the
        field's own kind (see `StreamPlan.instead`).

    Raises:
        PluginError: An aggregator can't be built.
    """
    symbols: dict[str, set[str]] = {}
    for source in sources:
        heard = {symbol for targets in source.routes.values() for symbol in targets}
        symbols.setdefault(source.kind, set()).update(heard)
    plans: dict[str, tuple[str, FieldPlan]] = {}
    instead: dict[str, dict[str, FieldPlan]] = {}
    built: dict[str, Mapping[str, FieldPlan]] = {}

    def plan_of(spec: AggregatorSpec, field: str) -> FieldPlan:
        if spec.name not in built:
            built[spec.name] = _build(spec)
        return built[spec.name][field]

    for field in fields:
        found = [(kind, spec) for kind in symbols if (spec := catalog.aggregator(field, kind))]
        if not found:
            # A feed may bring a field it can't know: volume, where it samples prices only.
            plans[field] = (next(iter(symbols)), Metric({}, finish=lambda: None))
            continue
        served: set[str] = set()
        for kind, spec in sorted(found, key=lambda pair: pair[1].rank):
            if field not in plans:
                plans[field] = (kind, plan_of(spec, field))
            elif symbols[kind] - served:
                instead.setdefault(field, {})[kind] = plan_of(spec, field)
            served |= symbols[kind]
    return plans, instead


def _build(spec: AggregatorSpec) -> Mapping[str, FieldPlan]:
    """Return the plans of an aggregator's fields; what is wrong with them is its plugin's fault."""
    make = load_class(spec.factory)
    try:
        aggregator = make() if spec.config is NoConfig else make(config=structure(spec.config, {}))
        plans: Mapping[str, FieldPlan] = aggregator.plan()
        missing = [field for field in spec.fields if field not in plans]
    except Exception as error:
        detail = f"aggregator {spec.name} can't be built: {type(error).__name__}: {error}"
        raise PluginError(detail) from error
    if missing:
        raise PluginError(f"aggregator {spec.name} has no plan for its field {missing[0]!r}")
    return plans
