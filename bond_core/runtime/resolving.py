"""Resolve one source of a spec: which connector it means, and which of its venues.

What is decided here for the user (default venues) is reported as assumed.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping

import attrs

from bond_core.errors import NotInstalledError, Problem, RequestError, SetupError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.egress import EgressPolicy
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.families import needs_plugin
from bond_core.runtime.sink_policy import SinkPolicy
from bond_core.spec.stream_spec import SourceSpec


@attrs.frozen(kw_only=True)
class Defaults:
    """What a server decides where a spec leaves it open.

    Attributes:
        exchanges: Venues of a market source that names none.
        fallback: What stands in for those.
        simulate: Whether everything is simulated (`BOND_SIMULATE=1`).
        sinks: What a sink's settings may name.
        egress: What a URL in a source's settings may reach.
        needs_keys: Whether sources are really asked, so that their keys must be there; no if
            they are only replayed.
        environ: Where keys and other settings of sources are looked up.
    """

    exchanges: tuple[str, ...] = ("binance", "okx")
    fallback: tuple[str, ...] = ("bybit",)
    simulate: bool = False
    sinks: SinkPolicy = attrs.field(factory=SinkPolicy)
    egress: EgressPolicy = attrs.field(factory=EgressPolicy)
    needs_keys: bool = True
    environ: Mapping[str, str] = attrs.field(
        factory=lambda: os.environ,
        eq=False,
        repr=False,  # it holds keys
    )


STOCKS = "equities"
"""The source type of stocks from whoever has them."""

STOCK_PROVIDERS = ("alpaca", "polygon", "finnhub", "ibkr")
"""Who is asked for stocks, in this order: the first that is installed and has its key."""


def connector_of(
    source: SourceSpec, catalog: Catalog, pointer: str, defaults: Defaults
) -> ConnectorSpec:
    """Return the connector that a source's type means here.

    Args:
        source: Which source.
        catalog: What is installed.
        pointer: Where the source stands in its spec.
        defaults: Whether it is to be simulated where it doesn't say, and where keys are.

    Raises:
        NotInstalledError: Bond knows the type, and no installed plugin brings it.
        RequestError: `unknown_source`.
        SetupError: Stocks from whoever has them, and of those installed none has its key.
    """
    if source.type == STOCKS:
        simulate = defaults.simulate if source.simulate is None else source.simulate
        found = _stocks(catalog, defaults.environ, simulate=simulate)
    else:
        found = catalog.connector(source.type)
    if found is not None:
        return found
    why = needs_plugin(source.type)
    if why is not None:
        problem = Problem(detail=why, pointer=f"{pointer}/type", text=source.type)
        raise NotInstalledError(why, problems=[problem])
    types = catalog.source_types()
    near = tuple(difflib.get_close_matches(source.type, types, n=3, cutoff=0.5))
    installed = ", ".join(types) or "none"
    detail = f"I don't know the source type {source.type!r}; installed: {installed}"
    problem = Problem(detail=detail, pointer=f"{pointer}/type", text=source.type, did_you_mean=near)
    raise RequestError(detail, code="unknown_source", problems=[problem])


def resolve(
    source: SourceSpec, connector: ConnectorSpec, defaults: Defaults, pointer: str
) -> tuple[SourceSpec, tuple[str, ...]]:
    """Return the source with its venues settled, and what was assumed.

    Raises:
        NotInstalledError: It is to be simulated, and has no simulator.
        RequestError: A venue that the connector doesn't know, or none is left.
        SetupError: A key is missing from the environment.
    """
    simulate = source.simulate
    if simulate is None:
        by = connector.simulated_by.items()
        simulate = defaults.simulate or any(
            defaults.environ.get(name) == value for name, value in by
        )
    if simulate and connector.simulator is None:
        raise NotInstalledError(f"{connector.name} has no simulator: it can't be simulated")
    if not simulate and defaults.needs_keys:
        _require_keys(connector, defaults.environ)
    assumed = (f"provider={connector.name}",) if source.type == STOCKS else ()
    resolved = attrs.evolve(source, type=connector.name, simulate=simulate, exclude_exchanges=())
    if connector.venues:
        return _with_venues(resolved, source.exclude_exchanges, connector, defaults, pointer)
    for key in ("exchanges", "fallback", "exclude_exchanges"):
        if getattr(source, key):
            raise _refusal(f"{connector.name} has no venues", f"{pointer}/{key}")
    return resolved, assumed


def _with_venues(
    source: SourceSpec, exclude: Iterable[str], connector: ConnectorSpec, defaults: Defaults,
    pointer: str,
) -> tuple[SourceSpec, tuple[str, ...]]:  # fmt: skip
    exchanges = tuple(sorted(_venues(source.exchanges, connector, f"{pointer}/exchanges")))
    fallback = _venues(source.fallback, connector, f"{pointer}/fallback")
    excluded = set(_venues(exclude, connector, f"{pointer}/exclude_exchanges"))
    if both := sorted(excluded.intersection((*exchanges, *fallback))):
        at = f"{pointer}/exclude_exchanges"
        raise _refusal(f"{both[0]} is asked for and excluded at once", at)
    reached = connector.simulated_venues if source.simulate else connector.venues
    for key, named in (("exchanges", exchanges), ("fallback", fallback)):
        _require_reached(named, reached, f"{pointer}/{key}")
    if exchanges:
        fallback = tuple(v for v in fallback if v not in exchanges)
        return attrs.evolve(source, exchanges=exchanges, fallback=fallback), ()
    left = tuple(v for v in reached if v not in excluded)
    fit = _fit(defaults.exchanges, connector, left)
    behind = fallback or _fit(defaults.fallback, connector, left)
    if source.simulate and not behind:  # the usual ones can't be simulated: any other will do
        behind = tuple(v for v in left if v not in fit)
    if not fit:  # then the first that would stand in serves
        fit = behind[:1]
    if not fit:
        known = ", ".join(left or reached)
        detail = f"none of the default exchanges is left; name one of {known}"
        raise _refusal(detail, f"{pointer}/exchanges")
    exchanges = tuple(sorted(fit))
    behind = tuple(v for v in behind if v not in exchanges)
    standing_in = f" ({', '.join(behind)} standing in)" if behind else ""
    assumed = f"exchanges={','.join(exchanges)}{standing_in}"
    return attrs.evolve(source, exchanges=exchanges, fallback=behind), (assumed,)


def _venues(names: Iterable[str], connector: ConnectorSpec, pointer: str) -> tuple[str, ...]:
    """Return the venues' own ids, in the order of their names."""
    found = []
    for name in names:
        venue = connector.venue_aliases.get(name, name)
        if venue not in connector.venues:
            known = (*connector.venues, *connector.venue_aliases)
            near = tuple(difflib.get_close_matches(name, known, n=3))
            detail = f"I don't know the exchange {name!r}"
            # The spec's lists are sorted by now: an index would point to another's place.
            problem = Problem(detail=detail, pointer=pointer, text=name, did_you_mean=near)
            raise RequestError(
                detail + (f"; did you mean {near[0]}?" if near else ""),
                code="unknown_exchange", problems=[problem],
            )  # fmt: skip
        found.append(venue)
    return tuple(dict.fromkeys(found))


def _require_reached(named: Iterable[str], reached: tuple[str, ...], pointer: str) -> None:
    """Refuse a venue that the connector knows but can't reach here: simulated, few can be."""
    for venue in named:
        if venue not in reached:
            detail = f"{venue} can't be simulated; {', '.join(reached)} can"
            problem = Problem(detail=detail, pointer=pointer, text=venue, did_you_mean=reached)
            raise RequestError(detail, code="not_simulated", problems=[problem])


def _fit(names: Iterable[str], connector: ConnectorSpec, left: tuple[str, ...]) -> tuple[str, ...]:
    """Return those default venues that this connector reaches and nobody excluded."""
    venues = dict.fromkeys(connector.venue_aliases.get(name, name) for name in names)
    return tuple(v for v in venues if v in left)


def _refusal(detail: str, pointer: str) -> RequestError:
    problem = Problem(detail=detail, pointer=pointer)
    return RequestError(detail, code="invalid_spec", problems=[problem])


def _stocks(
    catalog: Catalog, environ: Mapping[str, str], *, simulate: bool
) -> ConnectorSpec | None:
    """Return who is asked for stocks here; None if nobody who has them is installed."""
    known = [spec for name in STOCK_PROVIDERS if (spec := catalog.connector(name)) is not None]
    for spec in known:
        if spec.simulator is not None if simulate else _is_set_up(spec, environ):
            return spec
    if not known or simulate:
        return known[0] if known else None
    keyed = [spec for spec in known if spec.needs]
    if not keyed:
        return known[0]
    ways = [_needed(spec, _missing_keys(spec, environ)) for spec in keyed]
    ways += [f"{spec.name} needs no key, and to be named" for spec in known if not spec.needs]
    first = _missing_keys(keyed[0], environ)[0]
    detail = f"stock prices need a key: {'; or '.join(ways)}"
    raise SetupError(detail, code="missing_key", fix=f"export {first}=…")


def _is_set_up(connector: ConnectorSpec, environ: Mapping[str, str]) -> bool:
    """Return whether its keys are here; of one that needs none, whether a setting of it is."""
    if connector.needs:
        return not _missing_keys(connector, environ)
    named = (field.metadata.get("env") for field in attrs.fields(connector.config))
    return any(environ.get(name) for name in named if name)


def _require_keys(connector: ConnectorSpec, environ: Mapping[str, str]) -> None:
    missing = _missing_keys(connector, environ)
    if missing:
        raise SetupError(
            _needed(connector, missing), code="missing_key", fix=f"export {missing[0]}=…"
        )


def _needed(connector: ConnectorSpec, missing: Iterable[str]) -> str:
    lines = "; ".join(f"{name} ({connector.needs[name]})" for name in missing)
    return f"{connector.name} needs {lines}"


def _missing_keys(connector: ConnectorSpec, environ: Mapping[str, str]) -> list[str]:
    # Whether a key is there; nobody looks at its value here.
    return [name for name in connector.needs if not environ.get(name)]
