"""Lead the events of one source to the panes they belong in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from bond_core.model.event import Event
from bond_core.model.record import Notice
from bond_core.windows.lateness import drop
from bond_core.windows.pane import PanePart, no_part
from bond_core.windows.plan import SourcePlan
from bond_core.windows.program import Program
from bond_core.windows.symbol_state import SymbolState
from bond_core.windows.watermark import NEVER, SourceWatermark

Aside = Callable[[str, Event], None]
"""Takes a late event that goes into no window, and the name of its source."""


def leave(name: str, event: Event) -> None:
    """Leave a late event."""


Tell = Callable[[str | None, Notice], None]
"""Takes a notice, and the symbol whose records show it (None for all)."""


@attrs.define
class Totals:
    """What became of everything that a source brought, since the stream's start.

    An event that is routed to several symbols counts once for each.

    Attributes:
        counted: In a window, closed or open.
        late: Their window had closed.
        duplicates: The source had sent them before.
        rejected: They made no sense.
        unrouted: Their symbol is not this stream's.
        gaps: Holes that were noticed; not events.
        refused_keys: Symbols there was no room for; not events.
        corrected: Of those in a window, how many came after it had been sent; it was sent again.
        clamped: Of those in a window, how many are where they were heard, as their own time lay
            in the future.
        wrong_unit: Of those rejected, how many had their time in another unit.
    """

    counted: int = 0
    late: int = 0
    duplicates: int = 0
    rejected: int = 0
    unrouted: int = 0
    gaps: int = 0
    refused_keys: int = 0
    corrected: int = 0
    clamped: int = 0
    wrong_unit: int = 0

    @property
    def events(self) -> int:
        """All of them."""
        return self.counted + self.late + self.duplicates + self.rejected + self.unrouted


@attrs.define
class Grid:
    """Where the panes of a stream are, and how far they are closed.

    Attributes:
        pane_ns: Length of a pane.
        done_ns: Everything before is closed; a boundary of panes.
        max_open: How many panes of one symbol may be open at once.
        sent: Starts of closed panes whose windows were sent and may be sent again.
        revised: Those of them that got late events since.
    """

    pane_ns: int
    done_ns: int
    max_open: int
    sent: set[int] = attrs.field(factory=set)
    revised: set[int] = attrs.field(factory=set)

    def floor(self, ts_ns: int) -> int:
        """Return the start of the pane that a time is in."""
        return ts_ns - ts_ns % self.pane_ns


@attrs.define(eq=False)
class SourceState:
    """One source of a running stream: what it is for each symbol, and where its events go.

    The generated loop reads `parts`, `max_ts` and `fire_at`, and calls `find`,
    `admits_unit` and `fire`; `PanePart.until` follows `fire_at`.

    Attributes:
        max_ts: The newest event's time, ns.
        fire_at: The event time from which an event of this source may close a window, ns.
        left_ns: When the source left the stream; what it brought before is still told.
        states: By symbol of the stream; a source that belongs to no symbol has one, under None.
        parts: By event symbol, the part of the newest pane: what the loop finds first.
        otherwise: The part for any other symbol.
        fan: Where an event symbol counts for several symbols (a post of an asset), the parts
            of each, by event symbol; empty where none does.
        told_units: Whether it was told that sizes of another unit are rejected.
    """

    plan: SourcePlan
    program: Program
    grid: Grid
    watermark: SourceWatermark
    totals: Totals
    tell: Tell
    progress: Callable[[], None]
    aside: Aside = leave
    max_ts: int = -NEVER
    fire_at: int = NEVER
    left_ns: int = NEVER
    states: dict[str | None, SymbolState] = attrs.field(factory=dict)
    parts: dict[str, PanePart] = attrs.field(factory=dict, init=False)
    otherwise: PanePart = attrs.field(init=False)
    fan: dict[str, tuple[dict[str, PanePart], ...]] = attrs.field(factory=dict, init=False)
    told_units: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.otherwise = no_part(None)

    @property
    def is_blank(self) -> bool:
        """Whether nothing of it is left to tell."""
        tallies = (tally for state in self.states.values() for tally in state.tallies)
        has_parts = any(state.parts or state.kept for state in self.states.values())
        return not has_parts and all(tally.is_blank for tally in tallies)

    @property
    def has_failed(self) -> bool:
        """Whether it is known to bring nothing more, for any symbol, unless it is asked anew."""
        return all(state.status == "failed" for state in self.states.values())

    def open(self) -> None:
        """Lay the ways from event symbols to their parts, once all states are there."""
        if self.plan.scope == "stream":
            if None in self.states:
                self.otherwise = self.states[None].current
            return
        routes = {
            symbol: [self.states[t] for t in dict.fromkeys(targets) if t in self.states]
            for symbol, targets in self.plan.routes.items()
        }
        has_fan = any(len(states) > 1 for states in routes.values())
        for symbol, states in routes.items():
            homes: list[dict[str, PanePart]] = [{} if has_fan else self.parts for _ in states]
            for parts, state in zip(homes, states, strict=True):
                parts[symbol] = state.current
                state.homes.append((parts, symbol))
            if has_fan:
                self.fan[symbol] = tuple(homes)

    def take(self, events: Sequence[Event]) -> None:
        """Add events to their panes, closing windows on the way."""
        if not self.fan:
            self.totals.counted += len(events)
            self.program.run(self, events)
            return
        nowhere = self.parts
        for event in events:
            # Few sources have such routes (posts, by asset), and few events: simple is enough.
            for way in self.fan.get(event.symbol, (nowhere,)):
                self.parts = way
                self.totals.counted += 1
                self.program.run(self, (event,))
        self.parts = nowhere

    def find(self, part: PanePart, event: Event) -> PanePart | None:
        """Return the part of an event that isn't in its symbol's current pane, or None.

        None means that it is counted as something else: late, rejected or unrouted.
        """
        state = part.state
        if state is None:
            self.totals.unrouted += 1
            self.totals.counted -= 1
            return None
        start = self.grid.floor(event.ts)
        if start < self.grid.done_ns:
            return self._find_closed(state, event, start)
        found = state.parts.get(start)
        if found is None:
            if len(state.parts) >= self.grid.max_open:
                self.reject(state)
                return None
            found = state.parts[start] = self._part(state, state.windows.pane(start), start)
            if state.is_closed or start > state.current.start:
                state.use(found)
        return found

    def _find_closed(self, state: SymbolState, event: Event, start: int) -> PanePart | None:
        """Return the part of an event whose pane is closed, if that may still change."""
        kept = state.windows.kept
        if kept is None or start not in self.grid.sent:
            drop(event, (tally.late for tally in state.tallies))
            self.totals.late += 1
            self.totals.counted -= 1
            self.aside(self.plan.name, event)
            return None
        found = state.kept.get(start)
        if found is None:
            found = state.kept[start] = self._part(state, kept.pane(start), start)
        self.grid.revised.add(start)
        for tally in state.tallies[state.timeframes :]:
            tally.late.add(event)  # a bar is not sent again
        self.totals.corrected += 1
        return found

    def _part(self, state: SymbolState, pane: Any, start: int) -> PanePart:
        program, end, until = self.program, start + self.grid.pane_ns, self.fire_at
        own = None if program.own is None else program.own_pane(pane, self.plan.name)
        heard: list[Any] | None = [] if program.plan.keeps else None
        until = min(until, end)
        return PanePart(
            start=start, end=end, until=until, pane=pane, state=state, own=own, heard=heard
        )

    def admits_unit(self, part: PanePart, event: Event) -> bool:
        """Let an event through if its size counts what its pane's sizes count; else reject it."""
        state = part.state
        unit: str | None = getattr(event, "size_unit", None)
        if state is None or state.windows.accepts_unit(part.pane, unit):
            return True
        self.reject(state)
        if not self.told_units:
            self.told_units = True
            kept = state.windows.unit or "base units"
            detail = (
                f"{self.plan.name} sends sizes of {event.symbol} in {unit or 'base units'}, "
                f"which can't be summed with {kept}: those events are rejected"
            )
            self.tell(
                state.symbol,
                Notice(code="mixed_size_units", source=self.plan.name, detail=detail),
            )
        return False

    def reject(self, state: SymbolState) -> None:
        """Count an event that has no place."""
        for tally in state.tallies:
            tally.rejected += 1
        self.totals.rejected += 1
        self.totals.counted -= 1

    def fire_from(self, ts_ns: int) -> None:
        """Have events from this time on looked at for whether they close a window."""
        if ts_ns != self.fire_at:
            self.fire_at = ts_ns
            for state in self.states.values():
                for part in state.parts.values():
                    part.until = min(part.end, ts_ns)

    def fire(self, ts_ns: int) -> None:
        """Let an event move the watermark; called once it may close a window."""
        self.max_ts = ts_ns
        self.progress()

    def states_of(self, symbol: str | None) -> Sequence[SymbolState]:
        """Return the states that an event symbol, or a symbol of the stream, stands for."""
        if symbol is None or self.plan.scope == "stream":
            return list(self.states.values())
        targets = self.plan.routes.get(symbol, (symbol,))
        return [self.states[target] for target in targets if target in self.states]
