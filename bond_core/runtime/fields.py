"""Choose a stream's record fields, the feeds they need, and how each is computed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

from bond_core.errors import Problem, RequestError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.field_names import family_of, template_of
from bond_core.plugin.plans import Plans, plan_of, plans_of
from bond_core.plugin.specs import AggregatorSpec, Channel, ConnectorSpec
from bond_core.spec.stream_spec import StreamSpec
from bond_core.windows.plan import FieldPlan, Metric, SourcePlan


def fields_of(
    spec: StreamSpec, connectors: Sequence[ConnectorSpec], catalog: Catalog
) -> tuple[str, ...]:
    """Return the record fields the stream has, in the order of its feeds.

    Without `fields` in the spec they are those that its default feeds bring by themselves,
    and `derived` adds to them; with `fields` they are these, any that its feeds can bring.

    Raises:
        RequestError: `unknown_field`.
    """
    brought = list(dict.fromkeys(f for c in connectors for f in c.fields))
    kinds = dict.fromkeys(kind for c in connectors for kind in c.kinds)
    computed = list(dict.fromkeys(f for kind in kinds for f in catalog.fields_of(kind)))
    asked = [*(spec.fields or ()), *spec.derived]
    for key, fields in (("fields", spec.fields or ()), ("derived", spec.derived)):
        for field in fields:
            if field not in brought and all(
                template_of(field) or catalog.aggregator(field, kind) is None for kind in kinds
            ):
                raise _unknown(field, key, brought, computed)
    if spec.fields is None:
        if spec.depth is not None:
            channels = (channel for c in connectors for channel in c.channels)
            asked += [field for c in channels if c.kind == "book" for field in c.fields]
        # A connector whose channels are none of them default is asked for by name: all of it.
        asked += [f for c in connectors for channel in _default_channels(c) for f in channel.fields]
    known = [*brought, *computed]
    return (*(f for f in dict.fromkeys(known) if f in asked),
            *(f for f in dict.fromkeys(asked) if f not in known))  # fmt: skip


def _unknown(field: str, key: str, brought: Sequence[str], computed: Sequence[str]) -> RequestError:
    near = _near(field, (*brought, *computed))
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    others = [f for f in computed if f not in brought]
    also = f", and on request {', '.join(others)}" if others else ""
    detail = (
        f"no source of this stream brings {field!r}{hint}; they bring {', '.join(brought)}{also}"
    )
    problem = Problem(detail=detail, pointer=f"/spec/{key}", text=field, did_you_mean=near)
    return RequestError(detail, code="unknown_field", problems=[problem])


def _near(field: str, offered: Iterable[str]) -> tuple[str, ...]:
    """Return the offered names that look like a field's, numbers brought into their range."""
    stem, digits = re.fullmatch(r"(.*?)(\d*)", field, re.DOTALL).groups()  # type: ignore[union-attr] # it always matches
    names: dict[str, str] = {}
    for name in offered:
        template = template_of(name)
        names[name] = name if template is None else f"{template.prefix}{template.low}"
        if template is None:
            continue
        if digits:
            number = min(max(int(digits[:9]), template.low), template.high)
            names[template.prefix + digits] = f"{template.prefix}{number}"
        else:
            names[template.prefix] = f"{template.prefix}{min(20, template.high)}"
    words = [name for name in names if len(stem) > 2 and stem in name.split("_")]
    found = [*difflib.get_close_matches(field, names, n=3), *words]
    return tuple(dict.fromkeys(names[name] for name in found))[:3]


def _default_channels(connector: ConnectorSpec) -> tuple[Channel, ...]:
    return tuple(c for c in connector.channels if c.default) or connector.channels


def channels_of(
    connector: ConnectorSpec, spec: StreamSpec, fields: Iterable[str], catalog: Catalog
) -> tuple[Channel, ...]:
    """Return the feeds of a connector that the stream's fields need."""
    needed = list(_default_channels(connector)) if spec.fields is None else []
    for field in fields:
        needed += _carriers(connector, field, catalog)
    names = {channel.name for channel in needed}
    return tuple(channel for channel in connector.channels if channel.name in names)


def _carriers(connector: ConnectorSpec, field: str, catalog: Catalog) -> Iterable[Channel]:
    """Return the channels that bring a field; else those of the best kind to compute it from."""
    if by_name := [c for c in connector.channels if field in c.fields]:
        return by_name
    ranks = {
        kind: spec.rank
        for kind in connector.kinds
        if (spec := catalog.aggregator(field, kind)) is not None
    }
    return [c for c in connector.channels if ranks and ranks.get(c.kind) == min(ranks.values())]


def refuse_idle_depth(depth: int | None, fields: Iterable[str], catalog: Catalog) -> None:
    """Refuse a number of levels that no field of the stream has, or none can have.

    Raises:
        RequestError: `invalid_spec`.
    """
    if depth is None:
        return
    templates = [f for f in catalog.fields_of("book") if template_of(f)]
    if any(family_of(f"{field}_{depth}", templates) for field in fields):
        return
    if any(family_of(f"{field}_1", templates) for field in fields):
        detail = f"depth is a number of levels from 1 to 100, not {depth}"
    else:
        detail = "depth is about order books, and no source or field of this stream is"
    problem = Problem(detail=detail, pointer="/spec/depth", text=str(depth))
    raise RequestError(detail, code="invalid_spec", problems=[problem])


def field_plans(
    fields: Iterable[str],
    sources: Collection[SourcePlan],
    catalog: Catalog,
    depth: int | None = None,
) -> tuple[dict[str, tuple[str, FieldPlan]], dict[str, dict[str, FieldPlan]]]:
    """Choose for each field the kind of event it is computed from: the smallest rank wins.

    A field that also goes with a number, such as `bids` and `bids_5`, is of `depth` levels.

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
    built: dict[str, Plans] = {}

    def planned(spec: AggregatorSpec, field: str) -> FieldPlan:
        if spec.name not in built:
            built[spec.name] = plans_of(spec)
        sized = None if depth is None else family_of(f"{field}_{depth}", spec.fields)
        return plan_of(spec, built[spec.name], f"{field}_{depth}" if sized else field)

    for field in fields:
        found = [(kind, spec) for kind in symbols if (spec := catalog.aggregator(field, kind))]
        if not found:
            # A feed may bring a field it can't know: volume, where it samples prices only.
            plans[field] = (next(iter(symbols)), Metric({}, finish=lambda: None))
            continue
        served: set[str] = set()
        for kind, spec in sorted(found, key=lambda pair: pair[1].rank):
            if field not in plans:
                plans[field] = (kind, planned(spec, field))
            elif symbols[kind] - served:
                instead.setdefault(field, {})[kind] = planned(spec, field)
            served |= symbols[kind]
    return plans, instead
