"""Say what a stream computes: the plan that the window loop is generated from.

An aggregator's field is one of these, the cheapest first:

    Metric   mergeable partials (Count Sum Min Max First Last) and a function that finishes them
    Reduce   a function over the columns of one pane, called when the pane closes
    Fold     a state that sees every event: zero, add, merge, result

or is made of one of them once a window's panes are merged:

    Change   from this window's value and the last known one before
    Rolling  from the values of the last windows
    ByVenue  from what each source brought by itself

Expressions such as `price * size` are checked against a small grammar when the plan is
compiled; they come from installed code only, never from a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from bond_core.model.record import Value


@attrs.frozen
class Count:
    """How many events; with `where`, those for which the comparison holds."""

    where: str | None = None


@attrs.frozen
class Sum:
    """Sum of an expression; 0 over no events."""

    of: str
    where: str | None = None


@attrs.frozen
class Min:
    """Smallest value of an expression; None over no events."""

    of: str
    where: str | None = None


@attrs.frozen
class Max:
    """Largest value of an expression; None over no events."""

    of: str
    where: str | None = None


@attrs.frozen
class First:
    """Value of the event with the smallest `(ts, seq)`; of equals, the first to arrive."""

    of: str
    where: str | None = None


@attrs.frozen
class Last:
    """Value of the event with the largest `(ts, seq)`; of equals, the last to arrive."""

    of: str
    where: str | None = None


Gives = Literal["number", "text"]

Partial = Count | Sum | Min | Max | First | Last


@attrs.frozen
class Metric:
    """A field made of partials.

    Attributes:
        partials: By a name of the author's choosing. Equal partials are computed once.
        finish: Called once per window with the partials' values as keywords; returns the
            field's value, None for unknown. Left out, the only partial is the value.
        gives: What the value is; anything else counts as the author's mistake.
    """

    partials: Mapping[str, Partial]
    finish: Callable[..., Value] | None = None
    gives: Gives = "number"


@attrs.frozen
class Reduce:
    """A field computed when a pane closes, from the columns of its events in `(ts, seq)` order.

    Attributes:
        columns: Expressions; each becomes a list with a value per event.
        reduce: Called with those lists; returns a partial of any type. Plain data (numbers,
            texts, lists) can be kept over a restart.
        merge: Joins the partials of two neighbouring panes, the earlier first.
        finish: Turns a partial into the field's value.
        empty: The value over no events, where that is known: 0 of a number of things.
        gives: What the value is; anything else counts as the author's mistake.
        dump: Makes plain data of a partial that isn't, to be kept over a restart.
        load: Makes the partial of those data again.

    Fields with equal columns and the same `reduce`, `merge`, `dump` and `load` share a partial.
    """

    columns: Sequence[str]
    reduce: Callable[..., Any]
    merge: Callable[[Any, Any], Any]
    finish: Callable[[Any], Value]
    empty: Value = None
    gives: Gives = "number"
    dump: Callable[[Any], Any] | None = None
    load: Callable[[Any], Any] | None = None


@attrs.frozen
class Fold:
    """A field whose state sees every event.

    Attributes:
        zero: Returns a fresh state.
        add: Called with the state and an event; returns the new state.
        merge: Joins two states, the earlier pane's first.
        result: Turns a state into the field's value; must not change it.
        gives: What the value is; anything else counts as the author's mistake.
        dump: Makes plain data of a state that isn't, to be kept over a restart.
        load: Makes the state of those data again.
    """

    zero: Callable[[], Any]
    add: Callable[[Any, Any], Any]
    merge: Callable[[Any, Any], Any]
    result: Callable[[Any], Value]
    gives: Gives = "number"
    dump: Callable[[Any], Any] | None = None
    load: Callable[[Any], Any] | None = None


@attrs.frozen
class Change:
    """A field computed from a window's value and the newest known one of an earlier window.

    Windows whose value is unknown are unknown here too, and passed over by the next.

    Attributes:
        of: The value in one window.
        finish: Called with the window's value and the earlier one, both known.
    """

    of: Metric
    finish: Callable[[Any, Any], Value]


@attrs.frozen
class Rolling:
    """A field computed from the last windows of its timeframe, this one included.

    It is unknown until the stream has had so many windows, and while none of them has a value.

    Attributes:
        of: The value in one window.
        windows: How many windows, empty ones included.
        finish: Called with the known values, the oldest first; there is one at least.
    """

    of: Metric
    windows: int
    finish: Callable[[Sequence[Any]], Value]


@attrs.frozen(kw_only=True)
class VenueWindow:
    """What one source brought for one symbol in one window.

    Attributes:
        venue: Its venue.
        value: What `ByVenue.of` makes of its events; None where it had none.
        before: What it made of the source's newest earlier window with events; None where the
            source wasn't heard without a break since.
        is_live: Whether it was live at the window's end: not stale, not gone.
        was_heard: Whether it was heard in any part of the window.
    """

    venue: str
    value: Any
    before: Any
    is_live: bool
    was_heard: bool
    start_ns: int
    end_ns: int


@attrs.frozen
class ByVenue:
    """A field computed from what each source of the kind brought by itself.

    Attributes:
        of: What is kept of each source's events: plain data (numbers, texts, lists).
        finish: Called with the sources in the spec's order, silent ones too.
        gives: What the value is; `shares` are numbers (or None) by venue, `levels` are those
            of an order book.
    """

    of: Metric | Reduce
    finish: Callable[[Sequence[VenueWindow]], Value]
    gives: Literal["number", "text", "shares", "levels"] = "number"


Pane = Metric | Reduce | Fold
"""What a pane's events add up to."""

LatePolicy = Literal["drop", "update", "side"]
Fill = Literal["null", "previous", "skip"]

FieldPlan = Metric | Reduce | Fold | Change | Rolling | ByVenue


@attrs.frozen
class BarPlan:
    """Windows that are closed by trades, not by time.

    Attributes:
        name: What records call it: `100ticks`.
        measure: What fills a bar: trades, their sizes, or price times size.
        size: How much of it a bar holds.
    """

    name: str
    measure: Literal["ticks", "volume", "value"]
    size: float


@attrs.frozen(kw_only=True)
class SourcePlan:
    """One source of a stream as the engine sees it.

    Attributes:
        name: Unique in the stream; the key under `sources` in every record.
        kind: The kind of its events.
        lateness_ns: How far behind its newest event another may still come in time.
        idle_ns: How long it may be silent before the clock overtakes it.
        gates: Whether windows wait for it.
        simulated: Whether its events are made up.
        scope: `symbol`, or `stream`: its values repeat in every symbol's record.
        routes: The stream's symbols that an event symbol counts for (an asset's posts count
            for each of its markets). An event with any other symbol is not this stream's.
        venue: What `raw_data.sources` calls it.
    """

    name: str
    kind: str
    lateness_ns: int
    idle_ns: int
    routes: Mapping[str, tuple[str, ...]]
    venue: str
    gates: bool = True
    simulated: bool = False
    scope: Literal["symbol", "stream"] = "symbol"


@attrs.frozen(kw_only=True)
class StreamPlan:
    """Everything the engine needs to know of a stream.

    Attributes:
        symbols: One record each per window, in this order.
        timeframes_ns: Window lengths, the smallest first; each a multiple of the smallest.
        slide_ns: Where windows overlap: one ends every `slide_ns`, and there is one length, a
            multiple of it. None where they lie side by side.
        late: What happens to an event whose window has closed: it is left out (`drop`), handed
            to the engine's `aside` (`side`), or its windows are sent again (`update`).
        corrections_ns: For how long after their end windows are sent again.
        fill: What a record of a window without a trade says.
        bars: Windows that trades close, beside those of time.
        release_ns: With bars: how often what was heard is handed to them; the smallest timeframe
            is a multiple of it. None for as often as that one closes.
        key_ttl_ns: How long what is known of a silent symbol is kept; None for ever.
        fields: For each record field the kind of event it is computed from, and how.
        sources: Those known at the start; more may be added (a fallback steps in).
        instead: By field, further kinds it can be computed from, the best first: for symbols
            that no source of the first kind is for (a price from samples, without trades).
    """

    symbols: tuple[str, ...]
    timeframes_ns: tuple[int, ...]
    fields: Mapping[str, tuple[str, FieldPlan]]
    sources: tuple[SourcePlan, ...]
    instead: Mapping[str, Mapping[str, FieldPlan]] = attrs.field(factory=dict)
    slide_ns: int | None = None
    late: LatePolicy = "drop"
    corrections_ns: int = 0
    fill: Fill = "null"
    bars: tuple[BarPlan, ...] = ()
    release_ns: int | None = None
    key_ttl_ns: int | None = None

    @property
    def pane_ns(self) -> int:
        """The length of what events go into: windows are merged of panes."""
        return self.slide_ns or self.release_ns or self.timeframes_ns[0]

    @property
    def revised_ns(self) -> int:
        """For how long after its end a pane may change, in whole panes."""
        return -(-self.corrections_ns // self.pane_ns) * self.pane_ns

    @property
    def frames(self) -> int:
        """How many windows an event goes into: one of each timeframe, then one of each bar."""
        return len(self.timeframes_ns) + len(self.bars)

    def step_ns(self, timeframe: int) -> int:
        """How far the windows of a timeframe are apart."""
        return self.slide_ns or self.timeframes_ns[timeframe]

    @property
    def larger(self) -> Sequence[tuple[int, int]]:
        """The place and length of each timeframe whose windows are merged of panes."""
        return [(i, ns) for i, ns in enumerate(self.timeframes_ns) if ns > self.pane_ns]
