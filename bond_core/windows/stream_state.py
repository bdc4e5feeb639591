"""Keep everything that a stream's records are made from, and make them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import Notice, Record, SourceReport, Value
from bond_core.windows.compile import plan_kind
from bond_core.windows.fill import CLOSE, Filler
from bond_core.windows.finishing import Finishing, Window
from bond_core.windows.kept import Kept
from bond_core.windows.notices import Notices
from bond_core.windows.pane import UNSET, OpenWindows
from bond_core.windows.plan import StreamPlan
from bond_core.windows.program import Program, load
from bond_core.windows.sliding import Sliding
from bond_core.windows.source_state import SourceState
from bond_core.windows.symbol_state import SymbolState
from bond_core.windows.value import Failed

_NO_VENUE = frozenset({"post", "chain", "trend", "custom", "gap"})
"""Kinds whose events don't happen at a venue: their sources served no market."""

Closed = Mapping[tuple[str | None, str], Any]
"""One closed window's state by (symbol, kind), where it had an event."""

_Report = tuple[SourceReport | None, Notice | None]


@attrs.define(eq=False)
class StreamState:
    """Everything that a stream's records are made from.

    Attributes:
        sources: In the plan's order, those that came later behind them.
        open_windows: By symbol and kind; those of sources without symbols under None.
        notices: One for each timeframe.
        filler: What silent windows are filled with.
    """

    plan: StreamPlan
    failed: Failed
    notices: Sequence[Notices]
    sources: list[SourceState] = attrs.field(factory=list)
    programs: dict[str, Program] = attrs.field(factory=dict)
    open_windows: dict[tuple[str | None, str], OpenWindows] = attrs.field(factory=dict)
    filler: Filler = attrs.field(init=False)
    finishing: Finishing = attrs.field(init=False)
    _states: dict[str, list[SymbolState]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.filler = Filler(self.plan.fill)
        self.finishing = Finishing.of(self.plan, self.failed)
        self.finishing.keep_ns = self.plan.corrections_ns + self.plan.slide_ns
        for kind in dict.fromkeys(kind for kind, _ in self.plan.fields.values()):
            self.program(kind)

    def program(self, kind: str) -> Program:
        """Return the loop for a kind of event; it may be one that no field needs."""
        if kind not in self.programs:
            fields = {name: field for name, (k, field) in self.plan.fields.items() if k == kind}
            for name, by_kind in self.plan.instead.items():
                if kind in by_kind:
                    fields[name] = by_kind[kind]
            self.programs[kind] = load(plan_kind(kind, fields), self.failed)
        return self.programs[kind]

    def windows(self, symbol: str | None, kind: str) -> OpenWindows:
        """Return where events of a kind add up for a symbol, None for the whole stream."""
        if (symbol, kind) not in self.open_windows:
            larger = [None] * (len(self.plan.timeframes_ns) - 1)
            program = self.program(kind)
            kept = Kept(program, self.plan.timeframes_ns[1:]) if self.plan.keeps_panes else None
            sliding = None
            if kept is not None and (window_ns := self.plan.window_ns):
                turn = len(self.open_windows)
                sliding = Sliding(kept, self.plan.timeframes_ns[0], window_ns, turn)
            self.open_windows[symbol, kind] = OpenWindows(
                program=program, larger=larger, kept=kept, sliding=sliding
            )
        return self.open_windows[symbol, kind]

    def add(self, source: SourceState) -> None:
        """Take in a source."""
        self.sources.append(source)
        self._states.clear()

    def states(self, symbol: str) -> Sequence[SymbolState]:
        """Return the states, one a source, that a symbol's records report on."""
        if symbol not in self._states:
            found = (s.states.get(symbol) or s.states.get(None) for s in self.sources)
            self._states[symbol] = [state for state in found if state is not None]
        return self._states[symbol]

    def kind_of(self, symbol: str, field: str) -> str:
        """Return the kind of event that a field of a symbol's records is computed from."""
        best, _ = self.plan.fields[field]
        if field not in self.plan.instead:
            return best
        has = {state.source.plan.kind for state in self.states(symbol)}
        return next((k for k in (best, *self.plan.instead[field]) if k in has), best)

    def forget(self, done_ns: int) -> None:
        """Let go what no open window will ask for: old statuses, sources that left."""
        plan = self.plan
        oldest_ns = min(done_ns - done_ns % length for length in plan.timeframes_ns)
        # The next window that slides reaches back from the next pane; one may be corrected.
        oldest_ns -= plan.slide_ns + plan.corrections_ns
        for source in self.sources:
            for state in source.states.values():
                state.forget(oldest_ns)
        for windows in self.open_windows.values() if plan.keeps_panes else ():
            if windows.kept is not None:
                corrected_ns = done_ns - plan.corrections_ns
                last_ns = corrected_ns - plan.slide_ns - plan.timeframes_ns[0]
                windows.kept.forget(last_ns + 1, corrected_ns)
        if plan.key_ttl_ns is not None:
            self._evict(done_ns - plan.key_ttl_ns)
        gone = [s for s in self.sources if s.left_ns <= oldest_ns and s.is_blank]
        for source in gone:
            self.sources.remove(source)
            self._states.clear()

    def _evict(self, before_ns: int) -> None:
        """Let go what is known of symbols of which nothing came since a time."""
        for (symbol, _), windows in self.open_windows.items():
            if windows.unit is not UNSET and windows.is_idle and windows.seen_ns <= before_ns:
                windows.unit = UNSET
                if symbol is not None:
                    self.filler.forget(symbol)

    def tell(self, symbol: str | None, notice: Notice) -> None:
        """Show a notice in the next records of a symbol, or of all."""
        for notices in self.notices:
            notices.add(symbol, notice)

    def next_open(self, before_ns: int) -> int:
        """Return the start of the oldest open pane, or `before_ns` if that is earlier."""
        return min((min(m.open) for m in self.open_windows.values() if m.open), default=before_ns)

    def last_open(self) -> int | None:
        """Return the start of the newest open pane, None if no pane is open."""
        return max((max(m.open) for m in self.open_windows.values() if m.open), default=None)

    def close_pane(self, start_ns: int) -> Closed:
        """Close one pane of every symbol and kind."""
        counts: dict[int, int] = {}
        for source in self.sources:
            for state in source.states.values():
                if n := state.close(start_ns):
                    counts[id(state.windows)] = counts.get(id(state.windows), 0) + n
        closed = {}
        for key, windows in self.open_windows.items():
            if windows.open and (pane := windows.close(start_ns, counts.get(id(windows), 0))):
                closed[key] = pane
        if self.plan.window_ns:
            return self._slid(start_ns + self.plan.timeframes_ns[0])
        return closed

    def _slid(self, end_ns: int) -> Closed:
        """Put the windows together that slid to a time, of every symbol and kind."""
        closed = {}
        for key, windows in self.open_windows.items():
            if windows.sliding and (window := windows.sliding.window(end_ns)) is not None:
                closed[key] = window
        return closed

    def close_larger(self, timeframe: int, end_ns: int) -> Closed:
        """Close the window of a larger timeframe, of every symbol and kind."""
        closed = {}
        for key, windows in self.open_windows.items():
            if (window := windows.close_larger(timeframe - 1, end_ns)) is not None:
                closed[key] = window
        return closed

    def closed_again(self, timeframe: int, end_ns: int) -> Closed:
        """Put a window together from kept panes, of every symbol and kind."""
        closed = {}
        for key, windows in self.open_windows.items():
            if (kept := windows.kept) is None:
                continue
            if timeframe:
                window = kept.larger(timeframe - 1, end_ns)
            else:
                window = kept.window(end_ns - self.plan.length_ns(0), end_ns)
            if window is not None:
                closed[key] = window
        return closed

    def has_larger(self, timeframe: int, end_ns: int) -> bool:
        """Whether the window of a larger timeframe that is filling had an event."""
        return any(w.has_larger(timeframe - 1, end_ns) for w in self.open_windows.values())

    def records(
        self, timeframe: int, end_ns: int, closed: Closed, *, is_partial: bool
    ) -> list[Record]:
        """Say what was in a closed window of a timeframe: one record for each symbol."""
        told = self.notices[timeframe].take()
        window = _OneWindow.of(self, timeframe, end_ns, closed)
        records = []
        for symbol in self.plan.symbols:
            sources: dict[str, SourceReport] = {}
            notices = [*told.get(None, ()), *told.get(symbol, ())]
            for state in self.states(symbol):
                report, late = window.report(state)
                if late is not None:
                    notices.append(late)
                if report is not None:
                    sources[state.source.plan.name] = report
            record, heard = window.record(symbol, sources)
            record.partial, record.notices = is_partial, tuple(notices)
            if self.plan.fill == "previous":
                is_heard = CLOSE in record.values and self.kind_of(symbol, CLOSE) in heard
                self.filler.previous(timeframe, record, is_heard=is_heard)
            records.append(record)
        return records

    def record(
        self,
        timeframe: int,
        end_ns: int,
        symbol: str,
        sources: Mapping[str, SourceReport],
        closed: Closed,
    ) -> Record:
        """Say again what was in a closed window."""
        return _OneWindow.of(self, timeframe, end_ns, closed).record(symbol, sources)[0]

    def unit(self, symbol: str) -> str | None:
        """Return what a symbol's sizes count: its trades', or without a trade's feed, others'."""
        for kind in ("trade", "liquidation"):
            if (windows := self.open_windows.get((symbol, kind))) is not None:
                return None if windows.unit is UNSET else windows.unit
        return None


@attrs.define(eq=False)
class _OneWindow:
    """Works on one window of one timeframe; what all symbols share is computed once."""

    stream: StreamState
    timeframe: int
    start_ns: int
    end_ns: int
    closed: Closed
    _reports: dict[SymbolState, tuple[SourceReport | None, Notice | None]] = attrs.field(
        factory=dict
    )
    _shared: dict[str, dict[str, Value]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, stream: StreamState, timeframe: int, end_ns: int, closed: Closed) -> _OneWindow:
        """Return the window of a timeframe that ends at a time."""
        start_ns = end_ns - stream.plan.length_ns(timeframe)
        return cls(stream, timeframe, start_ns, end_ns, closed)

    def record(
        self, symbol: str, sources: Mapping[str, SourceReport]
    ) -> tuple[Record, Collection[str]]:
        """Return a symbol's record, and the kinds of events that were heard."""
        heard: set[str] = set()
        served: dict[str, None] = {}
        for state in self.stream.states(symbol):
            plan = state.source.plan
            if (report := sources.get(plan.name)) is None:
                continue
            if report.coverage:
                heard.add(plan.kind)
            if report.count and plan.venue and plan.kind not in _NO_VENUE:
                served[plan.venue] = None
        record = Record(
            symbol=symbol,
            timeframe_ns=self.end_ns - self.start_ns,
            window_start_ns=self.start_ns,
            window_end_ns=self.end_ns,
            values=self.values(symbol, heard),
            sources=sources,
            served=tuple(served),
            size_unit=self.stream.unit(symbol),
        )
        return record, heard

    def report(self, state: SymbolState) -> _Report:
        """Report on a source and its late events; None if it left before the window."""
        if state.symbol is not None:
            return state.report(self.timeframe, self.start_ns, self.end_ns)
        if state not in self._reports:
            self._reports[state] = state.report(self.timeframe, self.start_ns, self.end_ns)
        return self._reports[state]

    def values(self, symbol: str, heard: set[str]) -> dict[str, Value]:
        """Return all fields of a symbol's record; those of kinds not heard are unknown."""
        values: dict[str, Value] = dict.fromkeys(self.stream.plan.fields)
        for kind in heard:
            found = self._of_kind(symbol, kind)
            if self.stream.plan.instead:
                found = {f: v for f, v in found.items() if self.stream.kind_of(symbol, f) == kind}
            values |= found
        if self.stream.finishing.fields:
            self._finish(symbol, values)
        return values

    def _finish(self, symbol: str, values: dict[str, Value]) -> None:
        window = Window(
            symbol=symbol,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            step_ns=self.stream.plan.timeframes_ns[self.timeframe],
            values=values,
            states=self.stream.states(symbol),
            kind_of=functools.partial(self.stream.kind_of, symbol),
        )
        self.stream.finishing.finish(window)

    def _of_kind(self, symbol: str, kind: str) -> dict[str, Value]:
        program = self.stream.programs[kind]
        own, shared = self.closed.get((symbol, kind)), self.closed.get((None, kind))
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
