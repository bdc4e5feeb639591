"""What a plugin says of itself: frozen specs, cheap to read, that name their class by a string.

A spec is all that discovery, the catalogue, the language and the documentation need; the
class behind `factory` is imported when the first instance is built, and its SDK with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from bond_core.model.event import Kind
from bond_core.settings import json_schema

Stability = Literal["stable", "beta", "experimental"]


@attrs.frozen
class NoConfig:
    """The settings of something that has none."""


@attrs.frozen(kw_only=True)
class Channel:
    """One kind of event that a connector can bring, and what it means in a stream.

    Attributes:
        name: What feeds call it, such as `trades` or `quotes`.
        kind: The kind of its events.
        fields: The record fields it brings, all of them; each must be some aggregator's.
        words: What English calls it, in the singular and plural: word → the field words
            it stands for in an explanation (`{"prices": "price"}`).
        lateness_s: How far out of order its events may come.
        idle_s: How long it may be silent before windows close without it.
        stale_s: How long it may be silent before it counts as stale: no event and no
            heartbeat of the source's own; None where silence means nothing (posts).
        time: Whether events carry their own time or count by the time they were heard.
        gates: Whether windows wait for it.
        scope: Whether its events belong to symbols, or to the stream as a whole.
        by_base: Whether it is asked for by base asset (`BTC`) and not by market (`BTC/USDT`).
        default: Whether a spec that names no fields gets it.
        event_type: What a source's `event_types` call it, where they choose among channels. It
            is there when it is named, and by default when none is; a channel without it always.
        ids_by_one: Whether `seq` rises by one from each event of a symbol to the next, so that
            a jump says how many were lost; or the venues of which that holds.
    """

    name: str
    kind: Kind
    fields: tuple[str, ...]
    words: Mapping[str, str] = attrs.field(factory=dict)
    lateness_s: float = 0.5
    idle_s: float = 1.5
    stale_s: float | None = 15.0
    time: Literal["event", "receive"] = "event"
    gates: bool = True
    scope: Literal["symbol", "stream"] = "symbol"
    by_base: bool = False
    default: bool = True
    event_type: str = ""
    ids_by_one: bool | tuple[str, ...] = False

    def counts_ids(self, config: Any) -> bool:
        """Whether `ids_by_one` holds with these settings."""
        if isinstance(self.ids_by_one, bool):
            return self.ids_by_one
        return getattr(config, "venue", None) in self.ids_by_one


@attrs.frozen(kw_only=True)
class Backfill:
    """How far a connector can fetch what was missed, and how far it is asked to.

    Attributes:
        channels: Of which channels; their events have ids.
        most_s: Of an outage longer than that only the end is fetched.
        most_events: How many events are fetched for one outage of one symbol.
        most_requests: With how many requests.
        requests_per_min: How many requests are sent in a minute, for all symbols together.
        timeout_s: How long one request may take.
    """

    channels: tuple[str, ...]
    most_s: float = 600.0
    most_events: int = 5_000
    most_requests: int = 10
    requests_per_min: float = 60.0
    timeout_s: float = 20.0


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a connector can do; the conformance kit holds it to it.

    Attributes:
        mode: `push` (the source sends) or `poll` (we ask).
        resumable: It can go on from a cursor after a drop.
        backfill: What it can fetch that was missed (`bond_core.plugin.backfill`), if anything.
        runs_in: `loop` for asyncio code, `thread` for an SDK that blocks.
        requests_per_min: How many HTTP requests the source allows; the runtime spaces them.
    """

    mode: Literal["push", "poll"] = "push"
    resumable: bool = False
    backfill: Backfill | None = None
    runs_in: Literal["loop", "thread"] = "loop"
    requests_per_min: float | None = None


@attrs.frozen(kw_only=True)
class ConnectorSpec:
    """A connector: something that listens to one outside system.

    Attributes:
        name: The source type that specs use, such as `ccxt` or `ccxt.ticker`.
        factory: `package.module:Class`; called with `config=` and, where it has venues, the
            venue is a field of that config.
        config: Its settings class; fields declared with `bond_core.plugin.setting`.
        channels: What it brings.
        summary: One line for people.
        aliases: Other source types that mean it (`twitter`, `x.tweets`).
        venues: The venues it reaches, by id; empty where the source is its own venue.
        venue_aliases: Names people use for a venue → its id.
        simulator: `package.module:Class` of a loopback server that speaks its protocol.
        simulated_venues: The venues that simulator serves; empty where it has none.
        simulated_by: Environment variables that ask for the simulator, with the value that
            does (`{"ONCHAIN_MODE": "mock"}`), where neither a source nor the server says.
        default_symbol: What a bare asset becomes: `market` (`BTC` → `BTC/USDT`), `stock`
            (`AAPL`) or `asset` (`BTC`).
        needs: Environment variables without which it refuses, with a line on each.
        hosts: The hosts that its own code talks to, such as `stream.acme.example` or
            `*.acme.example`. It reaches them over TLS wherever it runs; a URL to any other is
            taken for one that a user gave (`bond_core.plugin.egress`).
        polls_every_s: Seconds between polls unless a source says otherwise; None if pushed.
        config_tells: Whether its settings say by attributes which of its channels there are
            (`channels`, their names) and what records call the source (`label`).
        raw: Channels that no spec can ask for, in the source's own words: for what the same
            plugin adds to the server (`ServerSpec`).
        stability: How much its behaviour may still change.
    """

    name: str
    factory: str
    channels: tuple[Channel, ...]
    summary: str
    config: type = NoConfig
    aliases: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    venue_aliases: Mapping[str, str] = attrs.field(factory=dict)
    simulator: str | None = None
    simulated_venues: tuple[str, ...] = ()
    simulated_by: Mapping[str, str] = attrs.field(factory=dict)
    default_symbol: Literal["market", "stock", "asset"] = "market"
    needs: Mapping[str, str] = attrs.field(factory=dict)
    hosts: tuple[str, ...] = ()
    polls_every_s: float | None = None
    config_tells: bool = False
    raw: tuple[Channel, ...] = ()
    capabilities: Capabilities = Capabilities()
    stability: Stability = "beta"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of events it brings."""
        return tuple(dict.fromkeys(c.kind for c in self.channels))

    @property
    def fields(self) -> tuple[str, ...]:
        """The record fields it brings."""
        return tuple(dict.fromkeys(f for c in self.channels for f in c.fields))

    def channel(self, name: str) -> Channel:
        """Return a channel by name; KeyError if there is none."""
        return {c.name: c for c in (*self.channels, *self.raw)}[name]


@attrs.frozen(kw_only=True)
class AggregatorSpec:
    """An aggregator: how record fields are computed from one kind of event.

    Attributes:
        name: Unique, such as `builtin.prices`.
        kind: The kind of event it reads.
        fields: The record fields it computes. Two aggregators may compute one field from
            different kinds (a price from trades, or from quotes); not from the same kind. A
            name may end in a range, `price_p{1..99}`: it stands for all of `price_p1` and on.
        factory: `package.module:Class`; called with `config=` if it has settings. The object
            has `plan() -> Mapping[field, FieldPlan]`; to a field with a range belongs a
            function that takes the number and returns the FieldPlan.
        rank: Where several kinds of a stream can give a field, the smallest rank does.
        words: What English calls its fields: phrase → field, for those that no connector's
            channel brings by itself (`{"typical price": "acme_typical_price"}`).
    """

    name: str
    kind: Kind
    fields: tuple[str, ...]
    factory: str
    summary: str
    config: type = NoConfig
    rank: int = 0
    words: Mapping[str, str] = attrs.field(factory=dict)
    stability: Stability = "beta"


@attrs.frozen(kw_only=True)
class Batching:
    """When records make a batch: as soon as any of these is reached.

    Attributes:
        records: So many of them.
        size_bytes: So many bytes of them, as JSON. One record may be larger by itself.
        wait_s: So long the first of them has waited.
    """

    records: int = 500
    size_bytes: int = 1024 * 1024
    wait_s: float = 1.0


@attrs.frozen(kw_only=True)
class SinkSpec:
    """A sink: where a stream's records are carried to besides its clients.

    Attributes:
        name: What specs call it, such as `webhook`.
        factory: `package.module:Class`; called with `config=`.
        config: Its settings class. `type`, `name` and `batch_…` are the stream's own words for
            a sink, and can't be settings.
        delivery: `at_least_once` (a raising write is repeated) or `best_effort` (it is not: its
            records are counted as lost).
        batch: When records make a batch, where a spec doesn't say.
        write_within_s: How long one write, or opening, may take before it counts as failed.
    """

    name: str
    factory: str
    summary: str
    config: type = NoConfig
    delivery: Literal["at_least_once", "best_effort"] = "at_least_once"
    batch: Batching = Batching()
    write_within_s: float = 60.0
    stability: Stability = "beta"


@attrs.frozen(kw_only=True)
class ServerSpec:
    """What a plugin adds to the server: routes of its own, and its part of `/health`.

    Attributes:
        name: What `/` and `/health` call it, such as `acme.stream`.
        factory: `package.module:Class`; called with a `bond_core.plugin.serving.Host`, once for
            a server. What comes of it is a `ServerPart`, as described there.
        prefix: Where all of its routes are, such as `/stream`; nobody else's may be there.
        config: Its settings class; the environment fills it, and the host has it.
    """

    name: str
    factory: str
    prefix: str
    summary: str
    config: type = NoConfig
    stability: Stability = "beta"


@attrs.frozen(kw_only=True)
class CommandSpec:
    """A command that a plugin adds to the command line.

    Attributes:
        name: What follows `bond`, such as `ib`.
        factory: `package.module:function`; a coroutine function that is called with the parsed
            arguments and a `bond_core.plugin.serving.Host`, and returns the exit status.
        arguments: `package.module:function`; called with the command's `ArgumentParser`.
        config: Its settings class; the environment fills it, and the host has it.
    """

    name: str
    factory: str
    arguments: str
    summary: str
    config: type = NoConfig
    stability: Stability = "beta"


Spec = ConnectorSpec | AggregatorSpec | SinkSpec | ServerSpec | CommandSpec


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
            "channels": [
                attrs.asdict(channel) | {"words": dict(channel.words)} for channel in spec.channels
            ],
            "venues": list(spec.venues),
            "simulator": spec.simulator is not None,
            "needs": dict(spec.needs),
            "hosts": list(spec.hosts),
            "polls_every_s": spec.polls_every_s,
            "capabilities": attrs.asdict(spec.capabilities),
        }
    elif isinstance(spec, AggregatorSpec):
        body |= {"kind": spec.kind, "fields": list(spec.fields), "words": dict(spec.words)}
    elif isinstance(spec, ServerSpec):
        body |= {"prefix": spec.prefix}
    elif isinstance(spec, SinkSpec):
        body |= {"delivery": spec.delivery, "batch": attrs.asdict(spec.batch)}
    return body
