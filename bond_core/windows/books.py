"""Keep everything that a stream's records are made from, and make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import Notice, Record, SourceReport, Value
from bond_core.windows.compile import plan_kind
from bond_core.windows.lane import Lane
from bond_core.windows.notices import Notices
from bond_core.windows.pane import UNSET, Meter
from bond_core.windows.plan import StreamPlan
from bond_core.windows.program import Failed, Program, load
from bond_core.windows.seat import Seat

_NO_VENUE = frozenset({"post", "chain", "trend", "custom", "gap"})
"""Kinds whose events don't happen at a venue: their sources served no market."""

Windows = Mapping[tuple[str | None, str], Any]
"""The closed window of each meter that had an event, by (symbol, kind)."""


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
    _seats: dict[str, list[Seat]] = attrs.field(factory=dict)

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

    def add(self, lane: Lane) -> None:
        """Take in a source."""
        self.lanes.append(lane)
        self._seats.clear()

    def seats(self, symbol: str) -> Sequence[Seat]:
        """Return the sources' seats that a symbol's records report on."""
        if symbol not in self._seats:
            found = (lane.seats.get(symbol) or lane.seats.get(None) for lane in self.lanes)
            self._seats[symbol] = [seat for seat in found if seat is not None]
        return self._seats[symbol]

    def forget(self, done_ns: int) -> None:
        """Let go what no open window will ask for: old statuses, sources that left."""
        oldest_ns = min(done_ns - done_ns % length for length in self.plan.timeframes_ns)
        for lane in self.lanes:
            for seat in lane.seats.values():
                seat.coverage.forget(oldest_ns)
        gone = [lane for lane in self.lanes if lane.left_ns <= oldest_ns and lane.is_blank]
        for lane in gone:
            self.lanes.remove(lane)
            self._seats.clear()

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
        told = self.notices[timeframe].take()
        desk = _Desk(self, timeframe, end_ns - length_ns, end_ns, windows)
        records = []
        for symbol in self.plan.symbols:
            sources: dict[str, SourceReport] = {}
            heard: set[str] = set()
            served: dict[str, None] = {}
            notices = [*told.get(None, ()), *told.get(symbol, ())]
            for seat in self.seats(symbol):
                report, late = desk.report(seat)
                if late is not None:
                    notices.append(late)
                if report is None:
                    continue
                source = seat.lane.plan
                sources[source.name] = report
                if report.coverage:
                    heard.add(source.kind)
                if report.count and source.venue and source.kind not in _NO_VENUE:
                    served[source.venue] = None
            records.append(
                Record(
                    symbol=symbol,
                    timeframe_ns=length_ns,
                    window_start_ns=end_ns - length_ns,
                    window_end_ns=end_ns,
                    values=desk.values(symbol, heard),
                    sources=sources,
                    partial=is_partial,
                    notices=tuple(notices),
                    served=tuple(served),
                    size_unit=self._unit(symbol),
                )
            )
        return records

    def _unit(self, symbol: str) -> str | None:
        """Return what a symbol's sizes count: its trades', or without a trade's feed, others'."""
        for kind in ("trade", "liquidation"):
            if (meter := self.meters.get((symbol, kind))) is not None:
                return None if meter.unit is UNSET else meter.unit
        return None


@attrs.define(eq=False)
class _Desk:
    """Works on one window of one timeframe; what all symbols share is computed once."""

    books: Books
    timeframe: int
    start_ns: int
    end_ns: int
    windows: Windows
    _reports: dict[Seat, tuple[SourceReport | None, Notice | None]] = attrs.field(factory=dict)
    _shared: dict[str, dict[str, Value]] = attrs.field(factory=dict)

    def report(self, seat: Seat) -> tuple[SourceReport | None, Notice | None]:
        """Report on a seat and its late events; None for one that left before the window."""
        if seat.symbol is not None:
            return seat.report(self.timeframe, self.start_ns, self.end_ns)
        if seat not in self._reports:
            self._reports[seat] = seat.report(self.timeframe, self.start_ns, self.end_ns)
        return self._reports[seat]

    def values(self, symbol: str, heard: set[str]) -> dict[str, Value]:
        """Return all fields of a symbol's record; those of kinds not heard are unknown."""
        values: dict[str, Value] = dict.fromkeys(self.books.plan.fields)
        for kind in heard:
            values |= self._of_kind(symbol, kind)
        return values

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
