"""Bind a spec to what is installed: which connectors, venues, channels and fields it means.

What binding decides (default venues, the connector behind an alias) goes into the spec, so
that a stream's id names what really runs. What can't be had is refused here, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.errors import Fatal, Problem, RequestError
from bond_core.model.instrument import base_asset
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.egress import check_url
from bond_core.plugin.specs import Channel, ConnectorSpec
from bond_core.runtime.answerable import refuse_unanswerable
from bond_core.runtime.event_types import chooses_channels, offered
from bond_core.runtime.feeds import Origin
from bond_core.runtime.fields import channels_of, field_plans, fields_of, refuse_idle_depth
from bond_core.runtime.refusals import refuse_what_is_missing, refuse_windows_in_raw
from bond_core.runtime.resolving import Defaults, connector_of, resolve
from bond_core.runtime.sinks import BoundSink, bind_sinks
from bond_core.settings import SettingsError, from_environment, structure
from bond_core.spec.bar_size import parse_bar_size
from bond_core.spec.duration import parse_duration_ms
from bond_core.spec.read import MAX_PANES
from bond_core.spec.stream_spec import SourceSpec, StreamSpec
from bond_core.windows.fill import CLOSE
from bond_core.windows.plan import BarPlan, SourcePlan, StreamPlan

__all__ = ["BoundSource", "BoundStream", "Defaults", "bind"]

KEY_TTL_NS = 3600 * NS
"""How long a symbol is silent before what its sizes count is forgotten."""

_MS = 1_000_000


@attrs.frozen(kw_only=True)
class BoundSource:
    """One source of one stream: a channel of one connector, at one venue.

    Attributes:
        plan: How the window engine sees it; `plan.name` is its key in records.
        origin: Where its feeds come from.
        channel: Which channel of it.
        asks: The symbols to subscribe to; `("",)` for a channel that has none.
        group: Sources of one group stand in for each other: index of the spec's source, channel.
        stale_s: Silence after which it counts as stale, where the spec says so.
    """

    plan: SourcePlan
    origin: Origin
    channel: Channel
    asks: tuple[str, ...]
    group: tuple[int, str]
    stale_s: float | None = None


@attrs.frozen(kw_only=True)
class BoundStream:
    """A spec that can run here.

    Attributes:
        spec: With everything resolved; the stream's id is made from it.
        plan: For the window engine.
        sources: What to listen to.
        fallbacks: By group, what stands in, in order.
        assumed: What was decided, one phrase each.
        sinks: Where its records are carried to.
    """

    spec: StreamSpec
    plan: StreamPlan
    sources: tuple[BoundSource, ...]
    fallbacks: Mapping[tuple[int, str], tuple[BoundSource, ...]]
    assumed: tuple[str, ...] = ()
    sinks: tuple[BoundSink, ...] = ()

    def all_sources(self) -> tuple[BoundSource, ...]:
        """Return the sources, then what stands in for them."""
        return (*self.sources, *(s for group in self.fallbacks.values() for s in group))

    def with_sources(self, change: Callable[[BoundSource], BoundSource]) -> BoundStream:
        """Return the same stream with each of its sources changed."""
        return attrs.evolve(
            self,
            sources=tuple(map(change, self.sources)),
            fallbacks={name: tuple(map(change, group)) for name, group in self.fallbacks.items()},
        )


def bind(spec: StreamSpec, catalog: Catalog, defaults: Defaults) -> BoundStream:
    """Return what running `spec` means here.

    Raises:
        NotInstalledError: No installed plugin provides a source.
        RequestError: A venue, field or key that its connector doesn't know, a sink or its
            settings, or something that this version can't do.
        SetupError: A key is missing from the environment.
    """
    refuse_what_is_missing(spec)
    refuse_windows_in_raw(spec)
    defaults = attrs.evolve(defaults, simulate=spec.simulate or defaults.simulate)
    connectors: list[ConnectorSpec] = []
    offers: list[ConnectorSpec] = []
    resolved: list[SourceSpec] = []
    assumed: list[str] = []
    for i, given in enumerate(spec.sources):
        connectors.append(connector_of(given, catalog, f"/spec/sources/{i}", defaults))
        offer = offered(connectors[i], given.event_types, f"/spec/sources/{i}")
        source, said = resolve(given, connectors[i], defaults, f"/spec/sources/{i}")
        offers.append(_as_configured(offer, source, defaults, f"/spec/sources/{i}"))
        resolved.append(source)
        assumed += said
    spec = attrs.evolve(spec, sources=tuple(resolved), simulate=defaults.simulate)
    fields = fields_of(spec, offers, catalog)
    taken: set[str] = set()
    sources: list[BoundSource] = []
    fallbacks: dict[tuple[int, str], tuple[BoundSource, ...]] = {}
    make = partial(_source, defaults=defaults)
    for i, (source, connector) in enumerate(zip(resolved, connectors, strict=True)):
        for channel in channels_of(offers[i], spec, fields, catalog):
            group = (i, channel.name)
            bound = [
                make(spec, source, connector, channel, venue, group, taken)
                for venue in (source.exchanges or ("",))
            ]
            sources += bound
            fallbacks[group] = tuple(
                make(spec, source, connector, channel, venue, group, taken)
                for venue in source.fallback
            )
    entries, sinks = bind_sinks(spec.sinks, catalog, defaults.sinks)
    spec = attrs.evolve(spec, sinks=entries)
    _require_a_listener(spec, sources)
    _refuse_what_counts_twice((*sources, *(s for group in fallbacks.values() for s in group)))
    if spec.fields is not None or spec.derived:
        spec = attrs.evolve(spec, fields=tuple(sorted(fields)), derived=())
    if spec.fill == "previous" and CLOSE not in fields:
        detail = f'"fill": "previous" needs the field {CLOSE}, which this stream has not'
        problem = Problem(detail=detail, pointer="/spec/fill", text="previous")
        raise RequestError(detail, code="invalid_spec", problems=[problem])
    refuse_idle_depth(spec.depth, fields, catalog)
    plans, instead = field_plans(fields, [s.plan for s in sources], catalog, spec.depth)
    standing_in = (each for group in fallbacks.values() for each in group)
    refuse_unanswerable(spec, plans, [s.plan.name for s in (*sources, *standing_in)])
    return BoundStream(
        spec=spec,
        plan=StreamPlan(
            symbols=spec.symbols,
            timeframes_ns=_timeframes_ns(spec),
            bars=(bars := _bars(spec, sources)),
            release_ns=_release_ns(spec) if bars else None,
            slide_ns=None if spec.window_ms is None else spec.interval_ms * _MS,
            late=spec.late,
            corrections_ns=(spec.corrections_ms or 0) * _MS,
            fill=spec.fill,
            key_ttl_ns=KEY_TTL_NS,
            fields=plans,
            instead=instead,
            sources=tuple(source.plan for source in sources),
        ),
        sources=tuple(sources),
        fallbacks=fallbacks,
        assumed=tuple(dict.fromkeys(assumed)),
        sinks=sinks,
    )


def _as_configured(
    connector: ConnectorSpec, source: SourceSpec, defaults: Defaults, pointer: str
) -> ConnectorSpec:
    """Return a connector with those of its channels that its settings say it brings.

    The URL that a user gave is looked at here too, so that a refusal is an answer to the request.
    """
    if source.url is not None and not source.simulate and defaults.needs_keys:
        try:
            check_url(source.url, defaults.egress, own=connector.hosts)
        except Fatal as error:
            problem = Problem(detail=error.detail, pointer=f"{pointer}/url")
            raise RequestError(error.detail, code=error.code, problems=[problem]) from None
    if not connector.config_tells:
        return connector
    brought = _config(source, connector, "", pointer, defaults).channels
    channels = tuple(channel for channel in connector.channels if channel.name in brought)
    return attrs.evolve(connector, channels=channels)


def _source(
    spec: StreamSpec, source: SourceSpec, connector: ConnectorSpec, channel: Channel,
    venue: str, group: tuple[int, str], taken: set[str], *, defaults: Defaults,
) -> BoundSource:  # fmt: skip
    pointer = f"/spec/sources/{group[0]}"
    config = _config(source, connector, venue, pointer, defaults)
    label = config.label if connector.config_tells else venue
    shown = "" if connector.config_tells and source.name else label
    name = _unique_name(source, connector, channel, shown, taken)
    lateness_s = channel.lateness_s if source.lateness_ms is None else source.lateness_ms / 1000
    idle_s, stale_s = channel.idle_s, None if source.stale_ms is None else source.stale_ms / 1000
    if connector.polls_every_s is not None:
        every_s = connector.polls_every_s
        if source.interval_ms is not None:
            every_s = source.interval_ms / 1000
        idle_s = every_s
        stale_s = 3 * every_s + lateness_s if stale_s is None else stale_s
    asks, routes = _routes(spec, source, connector, channel, pointer)
    simulated = bool(source.simulate)
    return BoundSource(
        plan=SourcePlan(
            name=name,
            kind=channel.kind,
            lateness_ns=round(lateness_s * NS),
            idle_ns=round(idle_s * NS),
            routes=routes,
            venue=label or connector.name,
            gates=channel.gates,
            simulated=simulated,
            scope=channel.scope,
        ),
        origin=Origin(
            spec=connector,
            config=config,
            name=f"{connector.name} {label}".strip(),
            simulated=simulated,
            venue=venue,
        ),
        channel=channel,
        asks=asks,
        group=group,
        stale_s=stale_s,
    )


def _unique_name(
    source: SourceSpec, connector: ConnectorSpec, channel: Channel, venue: str, taken: set[str]
) -> str:
    """Name a source: its venue; a second channel or source of that venue gets more."""
    first = ".".join(filter(None, (source.name, venue))) or connector.name
    candidates = [first, f"{first}.{channel.name}"]
    candidates += [f"{first}.{channel.name}.{n}" for n in range(2, 100)]
    name = next(c for c in candidates if c not in taken)
    taken.add(name)
    return name


def _routes(
    spec: StreamSpec, source: SourceSpec, connector: ConnectorSpec, channel: Channel, pointer: str
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return what to ask for, and which of the stream's symbols each answer counts for."""
    if channel.scope == "stream":
        return ("",), {"": spec.symbols}
    by_base = channel.by_base or connector.default_symbol == "asset"
    wanted = source.symbols or tuple(
        s for s in spec.symbols if by_base or ("/" in s) == (connector.default_symbol == "market")
    )
    routes: dict[str, tuple[str, ...]] = {}
    for symbol in wanted:
        ask = base_asset(symbol) if by_base else symbol
        served = tuple(s for s in spec.symbols if (base_asset(s) if by_base else s) == ask)
        if not served:
            detail = f"source {connector.name} asks for {symbol}, no symbol of the stream"
            raise RequestError(
                detail, code="invalid_spec",
                problems=[Problem(detail=detail, pointer="/spec/symbols", text=symbol,
                                  did_you_mean=(symbol,))],
            )  # fmt: skip
        routes[ask] = served
    if not routes:
        example = _EXAMPLES[connector.default_symbol]
        detail = f"{connector.name} has nothing to listen to: it takes symbols such as {example}"
        problem = Problem(detail=detail, pointer=f"{pointer}/symbols")
        raise RequestError(detail, code="invalid_spec", problems=[problem])
    return tuple(routes), routes


_EXAMPLES = {"market": "BTC/USDT", "stock": "AAPL", "asset": "BTC"}


def _config(
    source: SourceSpec, connector: ConnectorSpec, venue: str, pointer: str, defaults: Defaults
) -> Any:
    """Build the connector's settings from the source's keys; a key it doesn't know is refused.

    Where it is simulated, or only replayed, no secret is taken from the environment.
    """
    stand_ins = bool(source.simulate) or not defaults.needs_keys
    knows = {f.name for f in attrs.fields(connector.config)}
    types = () if chooses_channels(connector) else source.event_types
    given: dict[str, Any] = {
        "venue": venue or None,
        "every_s": None if source.interval_ms is None else source.interval_ms / 1000,
        "chain": source.chain,
        "event_types": list(types) or None,
        "accounts": list(source.accounts) or None,
        "query": source.query,
        "url": source.url,
        "mapping": source.mapping,
    }
    given = {key: value for key, value in given.items() if value is not None}
    for key in given:
        if key not in knows:
            shown = _KEYS.get(key, key)
            detail = f"a source of type {connector.name} takes no {shown!r}"
            problem = Problem(detail=detail, pointer=f"{pointer}/{shown}")
            raise RequestError(detail, code="invalid_spec", problems=[problem])
    given = {
        **from_environment(connector.config, defaults.environ, simulated=stand_ins),
        **given,
    }
    try:
        return structure(connector.config, given)
    except SettingsError as error:
        problems = [attrs.evolve(p, pointer=pointer + _as_asked(p)) for p in error.problems]
        detail = f"{problems[0].pointer}: {problems[0].detail}"
        raise RequestError(detail, code="invalid_spec", problems=problems) from error


_KEYS = {"every_s": "interval_sec", "venue": "exchanges"}
"""By a setting's name, the key of a source that fills it where that has another name."""


def _as_asked(problem: Problem) -> str:
    """Return a problem's pointer into settings as one into the source they were made from."""
    _, key, *further = (problem.pointer or "/").split("/")
    return "/" + "/".join((_KEYS.get(key, key), *further))


def _refuse_what_counts_twice(sources: Iterable[BoundSource]) -> None:
    """Refuse two sources of a spec that hear the same: its trades would be summed twice."""
    heard: dict[tuple[Origin, str, str], int] = {}
    for source in sources:
        i = source.group[0]
        for ask in source.asks:
            first = heard.setdefault((source.origin, source.channel.name, ask), i)
            if first != i:
                what = f"{source.channel.name} of {ask}" if ask else source.channel.name
                detail = f"{source.origin.name}: {what} are asked for by source {first} already"
                problem = Problem(detail=detail, pointer=f"/spec/sources/{i}", text=ask)
                raise RequestError(detail, code="invalid_spec", problems=[problem])


def _require_a_listener(spec: StreamSpec, sources: Iterable[BoundSource]) -> None:
    heard = {s for source in sources for served in source.plan.routes.values() for s in served}
    for symbol in spec.symbols:
        if symbol not in heard:
            detail = f"no source of this stream listens to {symbol}"
            problem = Problem(detail=detail, pointer="/spec/symbols", text=symbol)
            raise RequestError(detail, code="invalid_spec", problems=[problem])


def _timeframes_ns(spec: StreamSpec) -> tuple[int, ...]:
    if spec.window_ms is not None:
        return (spec.window_ms * _MS,)
    return tuple(_duration_ns(text) for text in spec.timeframes if parse_bar_size(text) is None)


def _bars(spec: StreamSpec, sources: Iterable[BoundSource]) -> tuple[BarPlan, ...]:
    """Return the bars that trades close; refuse them where nothing brings trades."""
    found = {text: bar for text in spec.timeframes if (bar := parse_bar_size(text)) is not None}
    if found and not any(source.plan.kind == "trade" for source in sources):
        text = next(iter(found))
        detail = f"bars of {text} are made of trades, which no source of this stream brings"
        problem = Problem(detail=detail, pointer="/spec/timeframes", text=text)
        raise RequestError(detail, code="invalid_spec", problems=[problem])
    return tuple(BarPlan(text, bar.measure, float(bar.size)) for text, bar in found.items())


def _duration_ns(text: str) -> int:
    ms = parse_duration_ms(text)
    assert ms is not None, text  # noqa: S101 -- read_spec wrote it
    return ms * _MS


def _release_ns(spec: StreamSpec) -> int:
    """Return how often bars are filled: each second, or a bit more often, to divide the interval.

    It is less often where windows stay open for corrections so long that it would be too many.
    """
    interval_ns = spec.interval_ms * _MS
    most_ns = max(NS, (spec.corrections_ms or 0) * _MS // MAX_PANES)
    parts = -(-interval_ns // most_ns)
    while interval_ns % parts:
        parts += 1
    return interval_ns // parts
