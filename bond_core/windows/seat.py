"""Keep the account of one source and one symbol: what it brought, and whether it was heard.

Two things:

    Seat      one source and one symbol of the stream (or the whole stream)
    Account   what happened at a seat since its last record of a timeframe
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from bond_core.model.record import Notice, SourceReport, Status
from bond_core.windows import lag
from bond_core.windows.coverage import Coverage, share
from bond_core.windows.lateness import Late
from bond_core.windows.pane import Cell, Meter

if TYPE_CHECKING:
    from bond_core.windows.lane import Lane


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
