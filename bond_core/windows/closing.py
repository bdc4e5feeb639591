"""Close windows and say what was in them: one record for each symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import Notice, Record, SourceReport, Value
from bond_core.windows.compile import plan_kind
from bond_core.windows.lane import Lane, Seat
from bond_core.windows.notices import Notices
from bond_core.windows.pane import UNSET, Meter
from bond_core.windows.plan import StreamPlan
from bond_core.windows.program import Failed, Program, load

_NO_VENUE = frozenset({"post", "chain", "trend", "custom", "gap"})
"""Kinds whose events don't happen at a venue: their sources served no market."""

Windows = Mapping[tuple[str | None, str], Any]
"""The closed window of each meter that had an event, by (symbol, kind)."""


@attrs.frozen
class ClosedWindow:
    """All records of one boundary; they are published together.

    Attributes:
        records: By timeframe, the smallest first, and then in the plan's order of symbols.
    """

    window_end_ns: int
    records: tuple[Record, ...]


@attrs.define(eq=False)
class Books:
    """Everything that a stream's records are made from.

    Attributes:
        lanes: In the plan's order, those that came later behind them.
        meters: By symbol and kind; those of sources without symbols under None.
        notices: One for each timeframe.
    """

    plan: StreamPlan
    failed: Failed
    notices: Sequence[Notices]
    lanes: list[Lane] = attrs.field(factory=list)
    programs: dict[str, Program] = attrs.field(factory=dict)
    meters: dict[tuple[str | None, str], Meter] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for kind in dict.fromkeys(kind for kind, _ in self.plan.fields.values()):
            self.program(kind)

    def program(self, kind: str) -> Program:
        """Return the loop for a kind of event; it may be one that no field needs."""
        if kind not in self.programs:
            fields = {name: field for name, (k, field) in self.plan.fields.items() if k == kind}
            self.programs[kind] = load(plan_kind(kind, fields), self.failed)
        return self.programs[kind]

    def meter(self, symbol: str | None, kind: str) -> Meter:
        """Return where events of a kind add up for a symbol, None for the whole stream."""
        if (symbol, kind) not in self.meters:
            larger = [None] * (len(self.plan.timeframes_ns) - 1)
            self.meters[symbol, kind] = Meter(program=self.program(kind), larger=larger)
        return self.meters[symbol, kind]

    def forget(self, done_ns: int) -> None:
        """Let go what no open window will ask for: old statuses, sources that left."""
        oldest_ns = min(done_ns - done_ns % length for length in self.plan.timeframes_ns)
        for lane in self.lanes:
            for seat in lane.seats.values():
                seat.coverage.forget(oldest_ns)
        gone = [lane for lane in self.lanes if lane.left_ns <= oldest_ns and lane.is_blank]
        for lane in gone:
            self.lanes.remove(lane)

    def tell(self, symbol: str | None, notice: Notice) -> None:
        """Show a notice in the next records of a symbol, or of all."""
        for notices in self.notices:
            notices.add(symbol, notice)

    def next_open(self, before_ns: int) -> int:
        """Return the start of the oldest open pane, or `before_ns` if that is earlier."""
        return min((min(m.open) for m in self.meters.values() if m.open), default=before_ns)

    def last_open(self) -> int | None:
        """Return the start of the newest open pane, None if no pane is open."""
        return max((max(m.open) for m in self.meters.values() if m.open), default=None)

    def close_pane(self, start_ns: int) -> Windows:
        """Close one pane of every symbol and kind."""
        counts: dict[int, int] = {}
        for lane in self.lanes:
            for seat in lane.seats.values():
                if n := seat.close(start_ns):
                    counts[id(seat.meter)] = counts.get(id(seat.meter), 0) + n
        closed = {}
        for key, meter in self.meters.items():
            if meter.open and (pane := meter.close(start_ns, counts.get(id(meter), 0))):
                closed[key] = pane
        return closed

    def close_larger(self, timeframe: int) -> Windows:
        """Close the window of a larger timeframe, of every symbol and kind."""
        closed = {}
        for key, meter in self.meters.items():
            if (window := meter.close_larger(timeframe - 1)) is not None:
                closed[key] = window
        return closed

    def has_larger(self, timeframe: int) -> bool:
        """Whether the window of a larger timeframe that is filling had an event."""
        return any(meter.larger[timeframe - 1] is not None for meter in self.meters.values())

    def records(
        self, timeframe: int, end_ns: int, windows: Windows, *, is_partial: bool
    ) -> list[Record]:
        """Say what was in a closed window of a timeframe: one record for each symbol."""
        length_ns = self.plan.timeframes_ns[timeframe]
        start_ns = end_ns - length_ns
        told = self.notices[timeframe].take()
        desk = _Desk(self, timeframe, start_ns, end_ns, windows)
        records = []
        for symbol in self.plan.symbols:
            seats = [seat for seat in map(_seat_of(symbol), self.lanes) if seat is not None]
            reports = {seat: desk.report(seat) for seat in seats}
            shown = {seat: r for seat, r in reports.items() if r is not None}
            heard = {seat.lane.plan.kind for seat, r in shown.items() if r.coverage}
            notices = [*told.get(None, ()), *told.get(symbol, ())]
            notices += [late for seat in seats if (late := desk.late.get(seat))]
            records.append(
                Record(
                    symbol=symbol,
                    timeframe_ns=length_ns,
                    window_start_ns=start_ns,
                    window_end_ns=end_ns,
                    values=desk.values(symbol, heard),
                    sources={seat.lane.plan.name: r for seat, r in shown.items()},
                    partial=is_partial,
                    notices=tuple(notices),
                    served=_served(shown),
                    size_unit=self._unit(symbol),
                )
            )
        return records

    def _unit(self, symbol: str) -> str | None:
        for kind in self.programs:
            meter = self.meters.get((symbol, kind))
            if meter is not None and meter.unit is not UNSET and meter.unit is not None:
                return meter.unit
        return None


def _seat_of(symbol: str) -> Any:
    return lambda lane: lane.seats.get(symbol) or lane.seats.get(None)


def _served(reports: Mapping[Seat, SourceReport]) -> tuple[str, ...]:
    plans = (seat.lane.plan for seat, report in reports.items() if report.count)
    venues = (plan.venue for plan in plans if plan.kind not in _NO_VENUE and plan.venue)
    return tuple(dict.fromkeys(venues))


@attrs.define(eq=False)
class _Desk:
    """Works on one window of one timeframe; what all symbols share is computed once."""

    books: Books
    timeframe: int
    start_ns: int
    end_ns: int
    windows: Windows
    late: dict[Seat, Notice] = attrs.field(factory=dict)
    _reports: dict[Seat, SourceReport | None] = attrs.field(factory=dict)
    _shared: dict[str, dict[str, Value]] = attrs.field(factory=dict)

    def report(self, seat: Seat) -> SourceReport | None:
        """Report on a seat; None for one that left and had no part in the window."""
        if seat.symbol is None and seat in self._reports:
            return self._reports[seat]
        if late := seat.late_notice(self.timeframe):
            self.late[seat] = late
        is_gone = seat.lane.left_ns < self.end_ns
        is_blank = is_gone and seat.accounts[self.timeframe].is_blank
        report: SourceReport | None = seat.report(self.timeframe, self.start_ns, self.end_ns)
        if is_blank and report is not None and not report.coverage:
            report = None
        if seat.symbol is None:
            self._reports[seat] = report
        return report

    def values(self, symbol: str, heard: set[str]) -> dict[str, Value]:
        """Return all fields of a symbol's record; those of kinds not heard are unknown."""
        by_kind = {kind: self._of_kind(symbol, kind) for kind in heard}
        return {
            name: by_kind[kind][name] if kind in by_kind else None
            for name, (kind, _) in self.books.plan.fields.items()
        }

    def _of_kind(self, symbol: str, kind: str) -> dict[str, Value]:
        program = self.books.programs[kind]
        own, shared = self.windows.get((symbol, kind)), self.windows.get((None, kind))
        if own is not None and shared is not None:
            both = program.new_pane()
            program.absorb(both, own)
            program.absorb(both, shared)
            return program.values(both)
        if own is not None:
            return program.values(own)
        if kind not in self._shared:
            # Of no event, or of the stream's: the same for every symbol.
            self._shared[kind] = program.values(program.new_pane() if shared is None else shared)
        return self._shared[kind]
