"""Keep everything that a stream's records are made from, and make them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import BarName, Notice, Record, SourceReport, Value
from bond_core.windows.bars import Bars, Filling
from bond_core.windows.compile import plan_kind
from bond_core.windows.fill import CLOSE, Filler, fill_with
from bond_core.windows.finishing import Finishing, Place, Window
from bond_core.windows.kept import KeptPanes
from bond_core.windows.lateness import revised_reports, revision_notice
from bond_core.windows.notices import Notices
from bond_core.windows.pane import UNSET, OpenWindows
from bond_core.windows.plan import StreamPlan
from bond_core.windows.program import Program, load
from bond_core.windows.source_state import SourceState
from bond_core.windows.symbol_state import SymbolState
from bond_core.windows.value import Failed

_NO_VENUE = frozenset({"post", "news", "chain", "trend", "custom", "gap"})
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
        sent: The records that may be sent again, by timeframe, window's end and symbol.
        notices: One for each timeframe.
        start_ns: The stream's start.
        bars: One for each size.
        filler: What silent windows are filled with.
    """

    plan: StreamPlan
    failed: Failed
    notices: Sequence[Notices]
    start_ns: int
    sources: list[SourceState] = attrs.field(factory=list)
    programs: dict[str, Program] = attrs.field(factory=dict)
    open_windows: dict[tuple[str | None, str], OpenWindows] = attrs.field(factory=dict)
    sent: dict[tuple[int, int], dict[str, Record]] = attrs.field(factory=dict)
    finishing: Finishing = attrs.field(init=False)
    bars: Sequence[Bars] = attrs.field(init=False)
    filler: Filler = attrs.field(init=False)
    _states: dict[str, list[SymbolState]] = attrs.field(factory=dict)
    _venues: list[tuple[str, str]] = attrs.field(factory=list)  # by source, where it has one
    _kinds: dict[str, str] = attrs.field(factory=dict)  # by source, also of those that left

    def __attrs_post_init__(self) -> None:
        self.finishing = Finishing.of(self.plan, self.failed)
        self.filler = Filler(self.plan.fill)
        first = len(self.plan.timeframes_ns)
        self.bars = [
            Bars(plan=bar, frame=place, start_ns=self.start_ns, stream=self)
            for place, bar in enumerate(self.plan.bars, start=first)
        ]
        for kind in dict.fromkeys(kind for kind, _ in self.plan.fields.values()):
            self.program(kind)

    def program(self, kind: str) -> Program:
        """Return the loop for a kind of event; it may be one that no field needs."""
        if kind not in self.programs:
            fields = {name: field for name, (k, field) in self.plan.fields.items() if k == kind}
            for name, by_kind in self.plan.instead.items():
                if kind in by_kind:
                    fields[name] = by_kind[kind]
            keeps = bool(self.bars)
            self.programs[kind] = load(plan_kind(kind, fields, keeps=keeps), self.failed)
            for bars in self.bars:
                bars.programs[kind] = load(plan_kind(kind, fields), self.failed)
        return self.programs[kind]

    def windows(self, symbol: str | None, kind: str) -> OpenWindows:
        """Return where events of a kind add up for a symbol, None for the whole stream."""
        if (symbol, kind) not in self.open_windows:
            program, plan = self.program(kind), self.plan
            kept = None
            if plan.slide_ns is not None or plan.late == "update":
                slides = plan.slide_ns is not None
                kept = KeptPanes(program, slides, () if slides else [ns for _, ns in plan.larger])
            larger = [None] * len(plan.timeframes_ns)
            merged = [place for place, _ in plan.larger]
            windows = OpenWindows(program, larger, merged, kept=kept)
            self.open_windows[symbol, kind] = windows
        return self.open_windows[symbol, kind]

    def add(self, source: SourceState) -> None:
        """Take in a source."""
        self.sources.append(source)
        self._kinds[source.plan.name] = source.plan.kind
        self._states.clear()
        if source.plan.venue and source.plan.kind not in _NO_VENUE:
            self._venues.append((source.plan.name, source.plan.venue))

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
        revised_ns = done_ns - plan.revised_ns
        if plan.slide_ns is None:
            merged_ns = revised_ns
            oldest_ns = min(revised_ns - revised_ns % length for length in plan.timeframes_ns)
        else:  # the next window begins so far back
            merged_ns = oldest_ns = revised_ns - (plan.timeframes_ns[0] - plan.slide_ns)
        for bars in self.bars:
            oldest_ns = min(oldest_ns, bars.oldest_ns(oldest_ns))
        for source in self.sources:
            for state in source.states.values():
                state.coverage.forget(oldest_ns)
        if plan.late == "update" or plan.slide_ns is not None:
            self._forget_kept(revised_ns, merged_ns)
        if plan.key_ttl_ns is not None:
            self._evict(done_ns - plan.key_ttl_ns)
        gone = [s for s in self.sources if s.left_ns <= oldest_ns and s.is_blank]
        for source in gone:
            self.sources.remove(source)
            self._states.clear()
            self._venues = [each for each in self._venues if each[0] != source.plan.name]

    def _forget_kept(self, revised_ns: int, merged_ns: int) -> None:
        """Let go closed panes: of those older than `revised_ns`, what may still be sent again."""
        for source in self.sources:
            for state in source.states.values():
                state.forget(revised_ns)
        for windows in self.open_windows.values():
            if windows.kept is not None:
                windows.kept.forget(merged_ns)
        for key in [key for key in self.sent if key[1] <= revised_ns]:
            del self.sent[key]

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
        for bars in self.bars:
            bars.tell(symbol, notice)

    def next_open(self, before_ns: int) -> int:
        """Return the start of the oldest open pane, or `before_ns` if that is earlier."""
        return min((min(m.open) for m in self.open_windows.values() if m.open), default=before_ns)

    def last_open(self) -> int | None:
        """Return the start of the newest open pane, None if no pane is open."""
        return max((max(m.open) for m in self.open_windows.values() if m.open), default=None)

    def fill_bars(self, start_ns: int) -> list[Record]:
        """Let bars take what a pane heard that is about to close; return those it fills.

        They are in the order of their ends, those of one end by size and then by symbol.
        """
        filled: list[Record] = []
        heard = {
            symbol: [
                (state, event)
                for state in self.states(symbol)
                if (part := state.parts.get(start_ns)) is not None
                for event in part.heard or ()
            ]
            for symbol in self.plan.symbols
        }
        for bars in self.bars:
            for symbol in self.plan.symbols:
                filled += bars.take(symbol, heard[symbol]) if heard[symbol] else ()
        return sorted(filled, key=lambda record: record.window_end_ns)

    def last_bars(self, end_ns: int) -> list[Record]:
        """Return the bars that are filling: the stream ends."""
        return [r for bars in self.bars for s in self.plan.symbols for r in bars.finish(s, end_ns)]

    def close_pane(self, start_ns: int) -> Closed:
        """Close one pane of every symbol and kind."""
        counts: dict[int, int] = {}
        for source in self.sources:
            for state in source.states.values():
                if n := state.close(start_ns, keeps=self.plan.late == "update"):
                    counts[id(state.windows)] = counts.get(id(state.windows), 0) + n
        closed = {}
        for key, windows in self.open_windows.items():
            if windows.open and (pane := windows.close(start_ns, counts.get(id(windows), 0))):
                closed[key] = pane
        return closed

    def close_larger(self, timeframe: int, end_ns: int) -> Closed:
        """Close the window of a larger timeframe, of every symbol and kind."""
        start_ns = end_ns - self.plan.timeframes_ns[timeframe]
        closed = {}
        for key, windows in self.open_windows.items():
            if (window := windows.close_larger(timeframe, start_ns, end_ns)) is not None:
                closed[key] = window
        return closed

    def has_larger(self, timeframe: int, end_ns: int) -> bool:
        """Whether the window of a larger timeframe that is filling had an event."""
        start_ns = end_ns - self.plan.timeframes_ns[timeframe]
        return any(w.has_larger(timeframe, start_ns, end_ns) for w in self.open_windows.values())

    def close_again(self, start_ns: int) -> dict[SymbolState, int]:
        """Take late events into a closed pane; return how many each source brought.

        A source of which more is known, though it brought nothing, is among them.
        """
        counts: dict[int, int] = {}
        late = {}
        for source in self.sources:
            for state in source.states.values():
                if (part := state.kept.get(start_ns)) is not None:
                    counts[id(state.windows)] = counts.get(id(state.windows), 0) + part.n
                    if n := part.n - part.told:
                        late[state] = n
                    part.told = part.n
                if start_ns in state.mended:
                    state.mended.discard(start_ns)
                    late.setdefault(state, 0)
        for windows in self.open_windows.values():
            if windows.kept is not None and id(windows) in counts:
                pane = windows.kept.pane(start_ns)
                pane.n = counts[id(windows)]
                windows.program.settle(pane)
        return late

    def records(
        self, timeframe: int, end_ns: int, closed: Closed, *, is_partial: bool
    ) -> list[Record]:
        """Say what was in a closed window of a timeframe: one record for each symbol."""
        told = self.notices[timeframe].take()
        window = self._window(timeframe, end_ns, closed)
        records = []
        for symbol in self.plan.symbols:
            notices = [*told.get(None, ()), *told.get(symbol, ())]
            record, heard = self._record(window, symbol, notices)
            record.partial = is_partial
            records.append(record)
            is_heard = CLOSE in self.plan.fields and self.kind_of(symbol, CLOSE) in heard
            self.filler.previous(timeframe, records[-1], is_heard=is_heard)
        sent = self.filler.sent(timeframe, records)
        if self.plan.late == "update":
            were_sent = {id(record) for record in sent}
            # Of what was skipped nothing was sent: its first record will be rev 0.
            self.sent[timeframe, end_ns] = {
                r.symbol: r if id(r) in were_sent else attrs.evolve(r, rev=-1) for r in records
            }
        return sent

    def bar(
        self, bars: Bars, symbol: str, bar: Filling, end_ns: int, told: Sequence[Notice]
    ) -> Record:
        """Say what was in a bar of a symbol."""
        closed: Closed = {(symbol, kind): pane for kind, pane in bar.panes.items()}
        place = Place(bars.plan.name, bar.number, step=1)
        window = _OneWindow(self, bars.frame, place, bar.start_ns, end_ns, closed)
        record, _ = self._record(window, symbol, list(told))
        record.bar = BarName(bars.plan.name, bar.number)
        return record

    def _window(self, timeframe: int, end_ns: int, closed: Closed) -> _OneWindow:
        length_ns, step_ns = self.plan.timeframes_ns[timeframe], self.plan.step_ns(timeframe)
        start_ns = end_ns - length_ns
        place = Place(length_ns, start_ns, step=step_ns, keep=self.plan.revised_ns)
        return _OneWindow(self, timeframe, place, start_ns, end_ns, closed)

    def _record(
        self, window: _OneWindow, symbol: str, notices: list[Notice]
    ) -> tuple[Record, set[str]]:
        """Return a symbol's record of a window, and the kinds of event that were heard."""
        sources: dict[str, SourceReport] = {}
        heard: set[str] = set()
        for state in self.states(symbol):
            report, late = window.report(state)
            if late is not None:
                notices.append(late)
            if report is None:
                continue
            plan = state.source.plan
            sources[plan.name] = report
            if report.coverage:
                heard.add(plan.kind)
        record = Record(
            symbol=symbol,
            timeframe_ns=window.end_ns - window.start_ns,
            window_start_ns=window.start_ns,
            window_end_ns=window.end_ns,
            values=window.values(symbol, heard),
            sources=sources,
            notices=tuple(notices),
            served=self._served(sources),
            size_unit=self._unit(symbol),
        )
        return record, heard

    def revisions(
        self, timeframe: int, end_ns: int, late: Mapping[SymbolState, int]
    ) -> list[Record]:
        """Say again what was in a window that got late events: a record for each such symbol.

        Args:
            timeframe: Whose window.
            end_ns: Where the window ends.
            late: By source and symbol, how many events came late.
        """
        sent = self.sent.get((timeframe, end_ns), {})
        start_ns = end_ns - self.plan.timeframes_ns[timeframe]
        closed: Closed = {
            key: pane
            for key, windows in self.open_windows.items()
            if windows.kept is not None
            if (pane := windows.kept.window(start_ns, end_ns)) is not None
        }
        window = self._window(timeframe, end_ns, closed)
        records: list[Record] = []
        for symbol in self.plan.symbols:
            its = {state: late[state] for state in self.states(symbol) if state in late}
            if its and symbol in sent:
                was = sent[symbol].values.get(CLOSE)
                sources = revised_reports(sent[symbol].sources, its, start_ns, end_ns)
                heard = {self._kinds[name] for name, each in sources.items() if each.coverage}
                sent[symbol] = attrs.evolve(
                    sent[symbol],
                    values=window.values(symbol, heard),
                    sources=sources,
                    rev=sent[symbol].rev + 1,
                    notices=(revision_notice(its),),
                    served=self._served(sources),
                    size_unit=self._unit(symbol),
                )
                self._fill_again(timeframe, end_ns, sent[symbol], was=was)
                records.append(sent[symbol])
        return records

    def _fill_again(self, timeframe: int, end_ns: int, record: Record, *, was: Value) -> None:
        """Fill a record that is sent again as before; the windows to come, with its new close."""
        close = record.values.get(CLOSE)
        if record.filled and close is None:
            fill_with(record, was)
            return
        record.filled = False
        later = (
            r[record.symbol] for (t, e), r in self.sent.items() if t == timeframe and e > end_ns
        )
        if close is not None and all(r.filled or r.values.get(CLOSE) is None for r in later):
            self.filler.closes[timeframe, record.symbol] = close

    def _served(self, sources: Mapping[str, SourceReport]) -> tuple[str, ...]:
        """Return the venues that events of a window came from, in the sources' order."""
        venues = self._venues
        found = [venue for name, venue in venues if name in sources and sources[name].count]
        return tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))

    def _unit(self, symbol: str) -> str | None:
        """Return what a symbol's sizes count: its trades', or without a trade's feed, others'."""
        for kind in ("trade", "liquidation", "book", "candle"):
            if (windows := self.open_windows.get((symbol, kind))) is not None:
                return None if windows.unit is UNSET else windows.unit
        return None


@attrs.define(eq=False)
class _OneWindow:
    """Works on one window of one timeframe; what all symbols share is computed once."""

    stream: StreamState
    frame: int
    place: Place
    start_ns: int
    end_ns: int
    closed: Closed
    _reports: dict[SymbolState, tuple[SourceReport | None, Notice | None]] = attrs.field(
        factory=dict
    )
    _shared: dict[str, dict[str, Value]] = attrs.field(factory=dict)

    def report(self, state: SymbolState) -> _Report:
        """Report on a source and its late events; None if it left before the window."""
        if state.symbol is not None:
            return state.report(self.frame, self.start_ns, self.end_ns)
        if state not in self._reports:
            self._reports[state] = state.report(self.frame, self.start_ns, self.end_ns)
        return self._reports[state]

    def values(self, symbol: str, heard: set[str]) -> dict[str, Value]:
        """Return all fields of a symbol's record; those of kinds not heard are unknown."""
        values: dict[str, Value] = dict.fromkeys(self.stream.plan.fields)
        for kind in heard:  # nearly always one
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
            place=self.place,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
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
