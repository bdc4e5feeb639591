"""Lead the events of one source to the panes they belong in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from bond_core.model.event import Event
from bond_core.model.record import Notice
from bond_core.windows.lateness import drop
from bond_core.windows.pane import Cell
from bond_core.windows.plan import SourcePlan
from bond_core.windows.program import Program
from bond_core.windows.seat import Cells, Seat
from bond_core.windows.watermark import NEVER, SourceWatermark

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
    """

    counted: int = 0
    late: int = 0
    duplicates: int = 0
    rejected: int = 0
    unrouted: int = 0
    gaps: int = 0

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
    """

    pane_ns: int
    done_ns: int
    max_open: int

    def floor(self, ts_ns: int) -> int:
        """Return the start of the pane that a time is in."""
        return ts_ns - ts_ns % self.pane_ns


@attrs.define(eq=False)
class Lane:
    """One source of a running stream: where its events go.

    The generated loop reads `cells`, `max_ts` and `fire_at`, and calls `find`,
    `admits_unit` and `fire`.

    Attributes:
        max_ts: The newest event's time, ns.
        fire_at: The event time from which an event of this source may close a window, ns.
        left_ns: When the source left the stream; what it brought before is still told.
    """

    plan: SourcePlan
    program: Program
    grid: Grid
    watermark: SourceWatermark
    totals: Totals
    tell: Tell
    progress: Callable[[], None]
    max_ts: int = -NEVER
    fire_at: int = NEVER
    left_ns: int = NEVER
    seats: dict[str | None, Seat] = attrs.field(factory=dict)
    cells: Cells = attrs.field(factory=Cells, init=False)
    fan: dict[str, tuple[Cells, ...]] = attrs.field(factory=dict, init=False)
    _told_units: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.cells.otherwise = Cell(start=0, end=0, pane=None, seat=None)

    @property
    def is_blank(self) -> bool:
        """Whether nothing of it is left to tell."""
        accounts = (account for seat in self.seats.values() for account in seat.accounts)
        has_cells = any(seat.cells for seat in self.seats.values())
        return not has_cells and all(account.is_blank for account in accounts)

    def sit(self, seat: Seat) -> None:
        """Take in a seat."""
        self.seats[seat.symbol] = seat

    def open(self) -> None:
        """Lay the ways from event symbols to the seats, once all seats are taken in."""
        if self.plan.scope == "stream":
            self.cells.otherwise = self.seats[None].current
            return
        routes = {
            symbol: [self.seats[target] for target in dict.fromkeys(targets)]
            for symbol, targets in self.plan.routes.items()
        }
        has_fan = any(len(seats) > 1 for seats in routes.values())
        for symbol, seats in routes.items():
            homes = [self._home() if has_fan else self.cells for _ in seats]
            for cells, seat in zip(homes, seats, strict=True):
                cells[symbol] = seat.current
                seat.homes.append((cells, symbol))
            if has_fan:
                self.fan[symbol] = tuple(homes)

    def _home(self) -> Cells:
        cells = Cells()
        cells.otherwise = self.cells.otherwise
        return cells

    def take(self, events: Sequence[Event]) -> None:
        """Add events to their panes, closing windows on the way."""
        if not self.fan:
            self.totals.counted += len(events)
            self.program.run(self, events)
            return
        nowhere = self.cells
        for event in events:
            # Few sources have such routes (posts, by asset), and few events: simple is enough.
            for way in self.fan.get(event.symbol, (nowhere,)):
                self.cells = way
                self.totals.counted += 1
                self.program.run(self, (event,))
        self.cells = nowhere

    def find(self, cell: Cell, event: Event) -> Cell | None:
        """Return the cell of an event that isn't in its symbol's current pane, or None.

        None means that it is counted as something else: late, rejected or unrouted.
        """
        seat = cell.seat
        if seat is None:
            self.totals.unrouted += 1
            self.totals.counted -= 1
            return None
        start = self.grid.floor(event.ts)
        if start < self.grid.done_ns:
            drop(event, (account.late for account in seat.accounts))
            self.totals.late += 1
            self.totals.counted -= 1
            return None
        found = seat.cells.get(start)
        if found is None:
            if len(seat.cells) >= self.grid.max_open:
                self.reject(seat)
                return None
            pane = seat.meter.pane(start)
            found = Cell(start=start, end=start + self.grid.pane_ns, pane=pane, seat=seat)
            seat.cells[start] = found
            if seat.is_closed or start > seat.current.start:
                seat.use(found)
        return found

    def admits_unit(self, cell: Cell, event: Event) -> bool:
        """Let an event through if its size counts what its pane's sizes count; else reject it."""
        seat = cell.seat
        unit: str | None = getattr(event, "size_unit", None)
        if seat is None or seat.meter.accepts_unit(cell.pane, unit):
            return True
        self.reject(seat)
        if not self._told_units:
            self._told_units = True
            kept = seat.meter.unit or "base units"
            detail = (
                f"{self.plan.name} sends sizes of {event.symbol} in {unit or 'base units'}, "
                f"which can't be summed with {kept}: those events are rejected"
            )
            self.tell(
                seat.symbol,
                Notice(code="mixed_size_units", source=self.plan.name, detail=detail),
            )
        return False

    def reject(self, seat: Seat) -> None:
        """Count an event that has no place."""
        for account in seat.accounts:
            account.rejected += 1
        self.totals.rejected += 1
        self.totals.counted -= 1

    def fire(self, ts_ns: int) -> None:
        """Let an event move the watermark; called once it may close a window."""
        self.max_ts = ts_ns
        self.progress()

    def seats_of(self, symbol: str | None) -> Sequence[Seat]:
        """Return the seats that an event symbol, or a symbol of the stream, stands for."""
        if symbol is None or self.plan.scope == "stream":
            return list(self.seats.values())
        targets = self.plan.routes.get(symbol, (symbol,))
        return [self.seats[target] for target in targets if target in self.seats]
