"""Hand on what a stream's sources bring, event by event, and tell how they do in between.

What a window engine is to a stream of windows this is to one in raw mode: it is told the same,
by the same calls, and gives items in place of records. An item is an event, as it was heard, or
a status item, which tells everything that a record's `sources` and `notices` would:

    at once           a gap, a repair, a source that is down: before the next event
    within a second   any other notice, and a source that is up
    every so often    the counts, also when nothing happened: the stream still lives

Nothing closes here. An event that is older than its source's watermark (its newest event less its
lateness, or the clock less lateness and idle time) might have come too late for a window: it is
marked, counted, and delivered all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.windows.lag import MAX_SAMPLES, median_ms
from bond_core.windows.plan import SourcePlan, StreamPlan
from bond_core.windows.source_state import Totals
from bond_core.wire.raw import Marks, SourceTold, event_tail, status_as_json, tail_of

_MS = 1_000_000

SOON_NS = NS
"""What is no hurry waits until the last status item is so old."""

MAX_SILENCE_NS = 15 * NS
"""A status item is sent at least so often, whatever the interval."""

MAX_NOTICES = 32
"""How many one status item tells; what is over is counted."""

_MOST_SYMBOLS = 32
_MUCH = 64
_BEST_FIRST: tuple[Status, ...] = ("live", "starting", "stale", "reconnecting", "failed")
_COUNTS = ("count", "late", "duplicates", "gaps", "rejected", "unrouted")
_MADE = ""  # no source's name
_DOWN = ("stale", "reconnecting", "failed")

RawItem = tuple[int, bytes]
"""The `ms` that its id shall have, and its JSON without the id."""


@attrs.frozen
class RawBatch:
    """What one turn of the stream made: it enters the log together.

    Attributes:
        items: In the order in which they were heard; their `ms` never fall.
    """

    items: Sequence[RawItem]


@attrs.define(eq=False)
class _Source:
    """One source: how it does, and what it counted since it was last told."""

    plan: SourcePlan
    totals: Totals
    marks: tuple[Marks, Marks]  # of what it was heard to say, and of what was fetched
    statuses: dict[str, tuple[Status, str | None]] = attrs.field(factory=dict)
    newest_ns: int = 0
    about: dict[str, Sequence[str] | None] = attrs.field(factory=dict)
    lags: list[int] = attrs.field(factory=list)
    count: int = 0
    late: int = 0
    duplicates: int = 0
    gaps: int = 0
    rejected: int = 0
    unrouted: int = 0
    has_left: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether it has left, and has nothing more to tell."""
        return self.has_left and not any(getattr(self, count) for count in _COUNTS)

    def told(self) -> SourceTold:
        """Return what a status item says of it, and count anew."""
        worst, reason = max(
            self.statuses.values(), key=lambda found: _BEST_FIRST.index(found[0]),
            default=("starting", None),
        )  # fmt: skip
        others = {
            symbol: status
            for symbol, (status, _) in self.statuses.items()
            if symbol and status != worst
        }
        told = SourceTold(
            status=worst, reason=reason, simulated=self.plan.simulated,
            symbols=dict(list(others.items())[:_MOST_SYMBOLS]),
            others=max(len(others) - _MOST_SYMBOLS, 0),
            count=self.count, lag_ms=median_ms(self.lags), late=self.late,
            duplicates=self.duplicates, gaps=self.gaps, rejected=self.rejected,
            unrouted=self.unrouted,
        )  # fmt: skip
        self.lags = []
        for count in _COUNTS:
            setattr(self, count, 0)
        return told


class RawEngine:
    """One stream's events.

    Args:
        plan: Its sources.
        stream_id: Whose items they are.
        now_ns: The clock: an item's id is never ahead of it.
        start_ns: When it begins.
        every_ns: How often its sources are told of.
        depth: Levels of each side of an order book; None for all.

    Attributes:
        totals: What became of every source's events, by source name; `corrected` counts those
            that were marked as late.
        field_errors: Nothing: no field is computed.
    """

    def __init__(
        self, plan: StreamPlan, *, stream_id: str, now_ns: Callable[[], int], start_ns: int,
        every_ns: int, depth: int | None = None,
    ) -> None:  # fmt: skip
        self.totals: dict[str, Totals] = {}
        self.field_errors: dict[str, int] = {}
        self._stream_id = stream_id
        self._clock_ns = now_ns
        self._every_ns = min(every_ns, MAX_SILENCE_NS)
        self._depth = depth
        self._now_ns = self._told_ns = start_ns
        self._sources: dict[str, _Source] = {}
        self._items: list[RawItem] = []
        self._notices: list[tuple[str | None, Notice]] = []
        self._over = 0
        self._is_due = True  # the first tells which sources there are
        self._is_urgent = self._is_finished = False
        for source in plan.sources:
            self._add(source)

    def on_events(self, name: str, events: Sequence[Event]) -> None:
        """Take in events of a source, in the order in which they were heard."""
        self._take(name, events, is_repaired=False)

    def on_fetched(self, name: str, events: Sequence[Event]) -> None:
        """Take in events that were fetched for a hole."""
        self._take(name, events, is_repaired=True)

    def on_heartbeat(self, name: str, ts: int) -> None:
        """Nothing waits for a source here."""

    def on_tick(self, now_ns: int) -> None:
        """Take in the time, and tell what is due."""
        if self.sees(now_ns):
            self.close_due()

    def sees(self, now_ns: int) -> bool:
        """Take in the time; whether there is something to tell."""
        self._now_ns = max(self._now_ns, now_ns)
        waits_ns = self._now_ns - self._told_ns
        return waits_ns >= self._every_ns or self._is_urgent or (
            self._is_due and waits_ns >= SOON_NS
        )  # fmt: skip

    def close_due(self) -> None:
        """Tell what `sees` found due."""
        self._tell()

    def on_status(
        self, name: str, symbol: str | None, status: Status, at_ns: int, reason: str | None = None
    ) -> None:
        """Take in that a source's status for a symbol (None: for all) is another now."""
        source = self._sources[name]
        symbols = tuple(source.plan.routes) if symbol is None else (symbol,)
        for each in symbols:
            if source.statuses.get(each) != (status, reason):
                source.statuses[each] = (status, reason)
                self._is_due = True
                self._is_urgent |= status in _DOWN

    def on_duplicates(self, name: str, symbol: str, n: int = 1) -> None:
        """Count events that the source had sent before."""
        self._sources[name].duplicates += n
        self.totals[name].duplicates += n

    def on_clamped(self, name: str, symbol: str, n: int = 1) -> None:
        """Count events whose time was in the future, and is when they were heard now."""
        self.totals[name].clamped += n

    def on_rejected(self, name: str, symbol: str, n: int = 1, code: str = "rejected") -> None:
        """Count events that made no sense, also as what they are told as."""
        self._sources[name].rejected += n
        self.totals[name].rejected += n
        if code == "wrong_unit":
            self.totals[name].wrong_unit += n

    def on_gap(self, name: str, symbol: str | None, notice: Notice) -> None:
        """Count a hole in what a source brought for a symbol (None: all), and tell of it."""
        self._sources[name].gaps += 1
        self.totals[name].gaps += 1
        self.notify(notice, symbol)
        self._is_urgent = True

    def on_repaired(self, name: str, symbol: str, repaired: Repaired) -> None:
        """Learn that what a source missed was fetched; it is told by `on_fetched` after."""
        self.notify(repaired.notice(name), symbol)
        self._is_urgent = True

    def notify(self, notice: Notice, symbol: str | None = None) -> None:
        """Tell a notice, which may be about one symbol, with the next status item."""
        self._is_due = True
        if len(self._notices) < MAX_NOTICES:
            self._notices.append((symbol or None, notice))
        else:
            self._over += 1

    def add_source(self, source: SourcePlan, at_ns: int) -> None:
        """Let a source step in."""
        self._add(source)
        self._is_due = True

    def remove_source(self, name: str, at_ns: int) -> None:
        """Let a source leave; what it counted is told once more."""
        self._sources[name].has_left = True
        self._is_due = True

    @property
    def is_finished(self) -> bool:
        """Whether its last status item is told."""
        return self._is_finished

    @property
    def has_closed(self) -> bool:
        """Whether there is so much to take that others should get a turn before."""
        return len(self._items) >= _MUCH or self._is_urgent

    def take(self) -> list[RawBatch]:
        """Return what was made since the last call."""
        if self._is_urgent:
            self._tell()
        if not self._items:
            return []
        items, self._items = self._items, []
        return [RawBatch(items)]

    def remembered(self) -> Iterable[tuple[Any, Any]]:
        """See Remembering: what was made and not taken yet, and what is yet to be told."""
        yield _MADE, [[ms, tail.decode()] for ms, tail in self._items]
        for name, source in self._sources.items():
            yield name, {count: getattr(source, count) for count in _COUNTS}

    def recall(self, key: Any, known: Any) -> None:
        """See Remembering."""
        if key == _MADE:
            self._items = [(int(ms), str(tail).encode()) for ms, tail in known]
        elif key in self._sources:  # what stood in before has yet to step in again
            for count in _COUNTS:
                setattr(self._sources[key], count, int(known[count]))

    def finish(self, now_ns: int) -> None:
        """End the stream, with a last status item."""
        self._is_finished = True
        self._now_ns = max(self._now_ns, now_ns)
        self._tell()

    def _add(self, plan: SourcePlan) -> None:
        if (known := self._sources.get(plan.name)) is not None:  # it had left, and is back
            known.has_left = False
            known.statuses.clear()
            return
        totals = self.totals.setdefault(plan.name, Totals())
        marks = Marks(source=plan.name, venue=plan.venue, is_simulated=plan.simulated)
        fetched = attrs.evolve(marks, is_repaired=True)
        source = self._sources[plan.name] = _Source(plan, totals, (marks, fetched))
        for asked, symbols in plan.routes.items():
            source.about[asked] = None if symbols == (asked,) else symbols
        if plan.scope == "stream":
            source.about = {}

    def _take(self, name: str, events: Sequence[Event], *, is_repaired: bool) -> None:
        if self._is_urgent:
            self._tell()
        source = self._sources[name]
        plan, about, items = source.plan, source.about, self._items
        is_of_all = plan.scope == "stream"
        marks = source.marks[is_repaired]
        lateness_ns, waits_ns = plan.lateness_ns, plan.lateness_ns + plan.idle_ns
        newest_ns, clock_ns, before = source.newest_ns, self._clock_ns(), len(items)
        unrouted = late = 0
        for event in events:
            symbol, ts = event.symbol, event.ts
            if not is_of_all and symbol not in about:
                unrouted += 1
                continue
            is_late = False
            if not is_repaired:
                newest_ns = max(ts, newest_ns)
                is_late = ts < max(newest_ns - lateness_ns, event.recv_ts - waits_ns)
            try:
                tail = event_tail(
                    self._stream_id, event, marks, is_late=is_late, symbols=about.get(symbol),
                    depth=self._depth,
                )  # fmt: skip
            except Exception as error:  # noqa: BLE001 -- whatever a plugin put into its event
                self._unwritable(name, symbol, error)
                continue
            late += is_late
            if event.recv_ts > self._now_ns:
                self._now_ns = min(event.recv_ts, max(clock_ns, self._now_ns))
            items.append((self._now_ns // _MS, tail))
        source.newest_ns = newest_ns
        self._count(source, events, len(items) - before, late, unrouted)

    def _count(
        self, source: _Source, events: Sequence[Event], delivered: int, late: int, unrouted: int
    ) -> None:
        source.count += delivered
        source.late += late
        source.unrouted += unrouted
        source.totals.counted += delivered
        source.totals.corrected += late
        source.totals.unrouted += unrouted
        if delivered and len(source.lags) < MAX_SAMPLES:
            source.lags.append(events[-1].recv_ts - events[-1].ts)

    def _unwritable(self, name: str, symbol: str, error: Exception) -> None:
        detail = f"{symbol or name}: an event can't be written as JSON: {type(error).__name__}"
        self.on_rejected(name, symbol)
        self.notify(Notice(code="rejected", source=name, detail=detail), symbol)

    def _tell(self) -> None:
        """Make a status item of all that there is to tell."""
        sources = {name: source.told() for name, source in self._present()}
        body = status_as_json(self._now_ns, sources, self._all_notices())
        self._items.append((self._now_ns // _MS, tail_of(self._stream_id, body)))
        self._told_ns = self._now_ns
        self._is_due = self._is_urgent = False

    def _present(self) -> Iterable[tuple[str, _Source]]:
        return [(name, each) for name, each in self._sources.items() if not each.is_blank]

    def _all_notices(self) -> Sequence[tuple[str | None, Notice]]:
        notices, self._notices = self._notices, []
        if self._over:
            detail = f"{self._over} more notices had no room in this item"
            notices.append((None, Notice(code="notices_dropped", detail=detail)))
            self._over = 0
        return notices
