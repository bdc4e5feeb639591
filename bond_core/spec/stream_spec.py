"""The spec of a stream, with all defaults resolved: immutable, comparable, hashable by content.

`read.py` makes it from what a user sent; `canonical.py` writes it and derives its id.
Durations are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

SINK_KEYS = ("type", "name", "batch_records", "batch_bytes", "batch_wait_sec")
"""What a stream itself understands of a sink; a sink can't have settings of these names."""

LatePolicy = Literal["drop", "update", "side"]


@attrs.frozen(kw_only=True)
class SourceSpec:
    """One source of a stream: a family (`ccxt`), and how it is asked.

    Attributes:
        type: The connector's name, or the family's where none is installed for it.
        name: Unique in the stream; empty leaves it to the venue or the type.
        symbols: What to ask for; empty is the stream's own symbols.
        exchanges: Venues whose events count together.
        fallback: Venues that stand in, in order, while one of `exchanges` is down.
        interval_ms: Its own pace: how often it is polled.
        lateness_ms: Its own grace; None is the channel's.
        stale_ms: Silence after which it counts as stale; None is the channel's.
    """

    type: str
    name: str = ""
    symbols: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    exclude_exchanges: tuple[str, ...] = ()
    chain: str | None = None
    event_types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    query: str | None = None
    url: str | None = None
    mapping: Mapping[str, Any] | None = None
    interval_ms: int | None = None
    lateness_ms: int | None = None
    stale_ms: int | None = None
    simulate: bool | None = None


@attrs.frozen(kw_only=True)
class AlertSpec:
    """What is to be told, and how often.

    Attributes:
        when: The canonical text of a condition.
        name: What it is called; empty leaves that to `when`.
        symbol: Whose records are looked at; None for all, each by itself.
        for_ms: How long it must hold before it is told.
        cooldown_ms: How long after it was told it is not told again.
        recover: When it is over; None as soon as it no longer holds.
        no_data_ms: For how long it may be unknown before that is told; None never.
    """

    when: str
    name: str = ""
    symbol: str | None = None
    for_ms: int = 0
    cooldown_ms: int = 0
    recover: str | None = None
    no_data_ms: int | None = None


@attrs.frozen(kw_only=True)
class SinkEntry:
    """One place where a stream's records are carried to.

    Attributes:
        type: The sink's name, such as `webhook`.
        name: Unique in the stream; empty leaves it to the type.
        batch_records: So many records make a batch; None is the sink's own choice.
        batch_bytes: And so many bytes of them.
        batch_wait_ms: And so long waits the first of them for others.
        config: The sink's own settings as they were given: secrets by where they are kept.
    """

    type: str
    name: str = ""
    batch_records: int | None = None
    batch_bytes: int | None = None
    batch_wait_ms: int | None = None
    config: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class StreamSpec:
    """A stream: sources, symbols, window, fields.

    Attributes:
        symbols: One record each per window, in this order.
        interval_ms: The smallest window.
        timeframes: All window lengths as durations, the interval among them; behind them the
            sizes of bars that trades close (`100ticks`).
        window_ms: The length of windows that overlap: one ends with every interval.
        filter: Which records are sent: the canonical text of a condition.
        fields: Record fields to keep; None keeps those of all feeds.
        late: What happens to an event whose window has closed.
        fill: What a record of a window without a trade says.
        corrections_ms: With `late` `update`, for how long after their end windows may change.
        sinks: Where its records are carried to besides its clients, in the order of their names.
    """

    sources: tuple[SourceSpec, ...]
    symbols: tuple[str, ...]
    interval_ms: int
    timeframes: tuple[str, ...] = ()
    window_ms: int | None = None
    fields: tuple[str, ...] | None = None
    filter: str | None = None
    alerts: tuple[AlertSpec, ...] = ()
    derived: tuple[str, ...] = ()
    depth: int | None = None
    mode: str = "windows"
    late: LatePolicy = "drop"
    corrections_ms: int | None = None
    fill: Literal["null", "previous", "skip"] = "null"
    sinks: tuple[SinkEntry, ...] = ()
    simulate: bool = False


@attrs.frozen(kw_only=True)
class StreamOptions:
    """What a request says beside the spec: it changes how long a stream lives, not what it is."""

    ephemeral: bool = False
    duration_ms: int | None = None
    replay_ms: int | None = None
    label: str | None = None
