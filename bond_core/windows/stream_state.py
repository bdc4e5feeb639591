"""Keep everything that a stream's records are made from, as `recording` makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import Notice, Record
from bond_core.windows.bars import Bars
from bond_core.windows.compile import plan_kind
from bond_core.windows.fill import Filler
from bond_core.windows.finishing import Finishing
from bond_core.windows.kept import KeptPanes
from bond_core.windows.notices import Notices
from bond_core.windows.one_window import Closed
from bond_core.windows.pane import UNSET, OpenWindows
from bond_core.windows.plan import StreamPlan
from bond_core.windows.program import Program, load
from bond_core.windows.source_state import SourceState
from bond_core.windows.symbol_state import SymbolState
from bond_core.windows.value import Failed

_NO_VENUE = frozenset({"post", "news", "chain", "trend", "custom", "gap"})
"""Kinds whose events don't happen at a venue: their sources served no market."""


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
        kinds: By source, also of those that left, the kind of its events.
        whole: The kind of event that alone gives a record's values as they are; None where
            several do, or they are finished by more than its loop.
        missing: From when to when the stream didn't run, and nobody brings what happened then.
        venues: By source, where it has one.
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
    whole: str | None = attrs.field(init=False)
    _states: dict[str, list[SymbolState]] = attrs.field(factory=dict)
    kinds: dict[str, str] = attrs.field(factory=dict)
    missing: list[tuple[int, int]] = attrs.field(factory=list)
    venues: list[tuple[str, str]] = attrs.field(factory=list)

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
        is_plain = not self.plan.instead and not self.finishing.fields
        alike = [k for k, p in self.programs.items() if p.fields == list(self.plan.fields)]
        self.whole = alike[0] if is_plain and alike else None

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
        self.put_sources([*self.sources, source], {source.plan.name: source.plan.kind})

    def put_sources(self, sources: Iterable[SourceState], kinds: Mapping[str, str]) -> None:
        """Have these sources, and know their kinds, and those of others that left."""
        self.sources[:] = sources
        self.kinds.update(kinds)
        plans = [source.plan for source in self.sources]
        self.venues = [(p.name, p.venue) for p in plans if p.venue and p.kind not in _NO_VENUE]
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

    def has_missed(self, from_ns: int, to_ns: int) -> bool:
        """Whether the stream didn't run in a part of a window, and nobody brings it."""
        return any(since_ns < to_ns and until_ns > from_ns for since_ns, until_ns in self.missing)

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
        self.missing = [span for span in self.missing if span[1] > oldest_ns]
        for source in self.sources:
            for state in source.states.values():
                state.coverage.forget(oldest_ns)
        if plan.late == "update" or plan.slide_ns is not None:
            self._forget_kept(revised_ns, merged_ns)
        if plan.key_ttl_ns is not None:
            self._evict(done_ns - plan.key_ttl_ns)
        stays = [s for s in self.sources if s.left_ns > oldest_ns or not s.is_blank]
        if len(stays) < len(self.sources):
            self.put_sources(stays, {})

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
        return self._closed(lambda w: w.close(start_ns, counts.get(id(w), 0)) if w.open else None)

    def close_larger(self, timeframe: int, end_ns: int) -> Closed:
        """Close the window of a larger timeframe, of every symbol and kind."""
        start_ns = end_ns - self.plan.timeframes_ns[timeframe]
        return self._closed(lambda w: w.close_larger(timeframe, start_ns, end_ns))

    def closed_before(self, start_ns: int, end_ns: int) -> Closed:
        """Return a window that was closed already, of every symbol and kind that had an event."""
        return self._closed(lambda w: w.kept.window(start_ns, end_ns) if w.kept else None)

    def _closed(self, of: Callable[[OpenWindows], Any]) -> Closed:
        """Return a window of every symbol and kind that had an event; `of` gives each, or None."""
        closed: dict[str, dict[str | None, Any]] = {}
        for (symbol, kind), windows in self.open_windows.items():
            if (window := of(windows)) is not None:
                closed.setdefault(kind, {})[symbol] = window
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
                    state.mended -= {start_ns}
                    late.setdefault(state, 0)
        for windows in self.open_windows.values():
            if windows.kept is not None and id(windows) in counts:
                pane = windows.kept.pane(start_ns)
                pane.n = counts[id(windows)]
                windows.program.settle(pane)
        return late
