"""Lead the events of one source to the panes they belong in, and keep its account.

Three things, from the large to the small:

    Lane      one source: its watermark, and for each event symbol the cell in use
    Seat      one source and one symbol of the stream (or the whole stream)
    Account   what happened at a seat since its last record of a timeframe
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from bond_core.model.event import Event
from bond_core.model.record import Notice, SourceReport, Status
from bond_core.windows import lag
from bond_core.windows.coverage import Coverage, share
from bond_core.windows.lateness import Late, drop
from bond_core.windows.pane import Cell, Meter
from bond_core.windows.plan import SourcePlan
from bond_core.windows.program import Program
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
class Account:
    """What happened at a seat since its last record of one timeframe."""

    count: int = 0
    lag_step: int = 1
    lags: list[int] = attrs.field(factory=list)
    late: Late = attrs.field(factory=Late)
    duplicates: int = 0
    rejected: int = 0
    gaps: int = 0

    def add(self, cell: Cell) -> None:
        """Take in what a closed pane counted."""
        self.count += cell.n
        self.lag_step, self.lags = lag.join(self.lag_step, self.lags, cell.mask + 1, cell.lags)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.count or self.late.count or self.duplicates or self.rejected or self.gaps)


@attrs.define(eq=False)
class Seat:
    """One source and one symbol of the stream.

    Attributes:
        symbol: None where the source belongs to no symbol.
        meter: Where its events add up, with those of other sources of the kind.
        accounts: One for each timeframe.
        cells: Its open panes by start, ns.
        current: The newest of them: what the lane finds first.
        homes: Where the lane finds it: a map and a key each.
    """

    lane: Lane
    symbol: str | None
    meter: Meter
    accounts: list[Account]
    homes: list[tuple[Cells, str]] = attrs.field(factory=list)
    status: Status = "starting"
    reason: str | None = None
    coverage: Coverage = attrs.field(factory=Coverage)
    cells: dict[int, Cell] = attrs.field(factory=dict)
    _none: Cell = attrs.field(init=False)
    current: Cell = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._none = self.current = Cell(start=0, end=0, pane=None, seat=self)

    @property
    def is_closed(self) -> bool:
        """Whether none of its panes is open."""
        return self.current is self._none

    def use(self, cell: Cell) -> None:
        """Make a cell the one that the lane finds first."""
        self.current = cell
        for cells, symbol in self.homes:
            cells[symbol] = cell
        if self.symbol is None:
            self.lane.cells.otherwise = cell

    def close(self, start_ns: int) -> int:
        """Take a pane's cell out and put it to the accounts; returns its number of events."""
        cell = self.cells.pop(start_ns, None)
        if cell is None:
            return 0
        if cell is self.current:
            self.use(self.cells[max(self.cells)] if self.cells else self._none)
        for account in self.accounts:
            account.add(cell)
        return cell.n

    def turn(self, status: Status, at_ns: int, reason: str | None) -> None:
        """Take in what was said of the source's status."""
        self.status, self.reason = status, reason
        self.coverage.turn(status == "live", at_ns)

    def report(
        self, timeframe: int, start_ns: int, end_ns: int
    ) -> tuple[SourceReport | None, Notice | None]:
        """Close the account of a window: say what is in it, and tell of late events.

        There is nothing to say of a source that had left before the window.
        """
        account = self.accounts[timeframe]
        lane = self.lane
        live_ns = self.coverage.live_ns(start_ns, end_ns)
        coverage = share(live_ns, end_ns - start_ns, count=account.count)
        if lane.left_ns < end_ns and not coverage and account.is_blank:
            return None, None
        late = account.late
        report = SourceReport(
            status=self.status,
            reason=self.reason,
            simulated=lane.plan.simulated,
            coverage=coverage,
            count=account.count if coverage else None,
            lag_ms=lag.median_ms(account.lags),
            late=late.count,
            duplicates=account.duplicates,
            rejected=account.rejected,
            gaps=account.gaps,
            scope=lane.plan.scope,
        )
        if not account.is_blank:
            self.accounts[timeframe] = Account()
        return report, late.notice(lane.plan.name) if late.count else None


class Cells(dict[str, Cell]):
    """The cells in use by event symbol; any other symbol has `otherwise`."""

    otherwise: Cell

    def __missing__(self, symbol: str) -> Cell:
        return self.otherwise


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


@attrs.define(eq=False)
class Lane:
    """One source of a running stream: where its events go.

    The generated loop reads `cells`, `max_ts` and `fire_at`, and calls `find`,
    `is_same_unit` and `fire`.

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
        start = event.ts - event.ts % self.grid.pane_ns
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

    def is_same_unit(self, cell: Cell, event: Event) -> bool:
        """Say whether an event's size counts what its pane's sizes count; reject it if not."""
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
