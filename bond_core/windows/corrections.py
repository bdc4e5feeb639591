"""Send closed windows again, with the events that came late: `late = "update"`.

A late event goes into its closed pane, which is kept for that, by the same loop as any
other. With the next tick, and before any other window closes, each window that had closed
with that pane is sent anew, whole: the same identity, one `rev` more. A larger window that
is still open simply includes it.

An event is too late once the watermark is `corrections_ns` past its pane's end, or where its
window was never sent (it is older than the stream, or was left out of a long silence).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import attrs

from bond_core.model.record import Notice, Record, SourceReport
from bond_core.windows.coverage import share
from bond_core.windows.fill import CLOSE, fill_with
from bond_core.windows.pane import OpenWindows, PanePart
from bond_core.windows.source_state import Grid
from bond_core.windows.stream_state import Closed, StreamState
from bond_core.windows.symbol_state import SymbolState

Place = tuple[int, int]
"""A window: its end, ns, and the place of its timeframe."""


@attrs.define(eq=False)
class Corrections:
    """What was sent and may still be corrected, and what came for it since.

    Attributes:
        watermark_ns: The stream's.
        records: The newest of each closed window, by symbol; one with `rev` -1 was not sent.
        parts: Late events, by their source and symbol, and the start of their pane.
    """

    stream: StreamState
    grid: Grid
    corrections_ns: int
    watermark_ns: int
    records: dict[Place, dict[str, Record]] = attrs.field(factory=dict)
    parts: dict[tuple[SymbolState, int], PanePart] = attrs.field(factory=dict)
    _panes: dict[tuple[OpenWindows, int], Any] = attrs.field(factory=dict, init=False)

    def part(self, state: SymbolState, start: int) -> PanePart | None:
        """See Correctable."""
        end_ns = start + self.grid.pane_ns
        if end_ns + self.corrections_ns <= self.watermark_ns or (end_ns, 0) not in self.records:
            return None
        found = self.parts.get((state, start))
        if found is None:
            # Sources of one kind share the pane, also one that had no event until now.
            pane = self._panes.get((state.windows, start))
            if pane is None:
                pane = self._panes[state.windows, start] = state.windows.late_pane(start)
            found = self.parts[state, start] = state.source.part(state, start, pane)
        return found

    def remember(
        self, timeframe: int, end_ns: int, records: Sequence[Record], sent: Collection[Record]
    ) -> None:
        """Keep what a closed window said."""
        were_sent = {id(record) for record in sent}
        self.records[end_ns, timeframe] = {
            record.symbol: record if id(record) in were_sent else attrs.evolve(record, rev=-1)
            for record in records
        }

    def forget(self, done_ns: int) -> None:
        """Let go what can't be corrected any more."""
        while self.records and next(iter(self.records))[0] + self.corrections_ns <= done_ns:
            del self.records[next(iter(self.records))]

    def take(self) -> list[tuple[int, list[Record]]]:
        """Return the corrected records since the last call, by their windows' ends, in order."""
        late: dict[Place, list[tuple[SymbolState, PanePart]]] = {}
        for (state, start), part in self.parts.items():
            if part.n:
                state.windows.correct(start, part.pane, part.n)
                state.source.totals.corrected += part.n
                state.slide(part)
                for place in self._windows_of(start):
                    if place in self.records:
                        late.setdefault(place, []).append((state, part))
                    elif place[0] > self.grid.done_ns and not self.stream.plan.window_ns:
                        state.tallies[place[1]].add(part)
        self.parts.clear()
        self._panes.clear()
        ends: dict[int, dict[tuple[int, str], Record]] = {}
        for place in sorted(late):
            for record in self._corrected(place, late[place]):
                ends.setdefault(place[0], {})[place[1], record.symbol] = record
        if self.stream.plan.fill == "previous":
            self._fill_after(ends)
        order = self.stream.plan.symbols.index
        return [
            (end_ns, [by[key] for key in sorted(by, key=lambda key: (key[0], order(key[1])))])
            for end_ns, by in sorted(ends.items())
        ]

    def _windows_of(self, start: int) -> Iterator[Place]:
        """Yield the windows that a pane is in."""
        plan, pane_ns = self.stream.plan, self.grid.pane_ns
        if plan.window_ns:
            for end_ns in range(start + pane_ns, start + plan.window_ns + 1, pane_ns):
                yield end_ns, 0
        else:
            for timeframe, length_ns in enumerate(plan.timeframes_ns):
                yield start - start % length_ns + length_ns, timeframe

    def _corrected(
        self, place: Place, late: Sequence[tuple[SymbolState, PanePart]]
    ) -> Iterator[Record]:
        end_ns, timeframe = place
        closed = self.stream.closed_again(timeframe, end_ns)
        for symbol in self.stream.plan.symbols:
            mine = [(state, part) for state, part in late if state.symbol in (None, symbol)]
            if mine:
                yield self._again(place, symbol, mine, closed)

    def _again(
        self,
        place: Place,
        symbol: str,
        late: Sequence[tuple[SymbolState, PanePart]],
        closed: Closed,
    ) -> Record:
        """Return a window's record with all that it has now."""
        end_ns, timeframe = place
        old = self.records[place][symbol]
        length_ns = end_ns - old.window_start_ns
        sources = dict(old.sources)
        notices = []
        for state, part in late:
            plan = state.source.plan
            report = sources.get(plan.name) or _unheard(state)
            count = (report.count or 0) + part.n
            live_ns = round(report.coverage * length_ns)
            covered = share(live_ns, length_ns, count=count)
            sources[plan.name] = attrs.evolve(report, count=count, coverage=covered)
            notices.append(_notice(plan.name, part))
        new = self.stream.record(timeframe, end_ns, symbol, sources, closed)
        new.rev, new.partial, new.notices = old.rev + 1, old.partial, tuple(notices)
        if new.values.get(CLOSE) is None and old.filled:
            fill_with(new, old.values.get(CLOSE))
        self.records[place][symbol] = new
        return new

    def _fill_after(self, ends: dict[int, dict[tuple[int, str], Record]]) -> None:
        """Fill again what was filled with a close that is another now."""
        corrected = [(end_ns, *key) for end_ns, by in ends.items() for key in by]
        for end_ns, timeframe, symbol in sorted(corrected):
            close = self.records[end_ns, timeframe][symbol].values.get(CLOSE)
            if close is None:
                continue
            for later_ns in sorted(e for e, t in self.records if t == timeframe and e > end_ns):
                record = self.records[later_ns, timeframe][symbol]
                if record.filled and record.values.get(CLOSE) != close:
                    again = attrs.evolve(record, rev=record.rev + 1, notices=())
                    fill_with(again, close)
                    self.records[later_ns, timeframe][symbol] = again
                    ends.setdefault(later_ns, {})[timeframe, symbol] = again
                elif not record.filled and record.values.get(CLOSE) is not None:
                    break
            else:
                self.stream.filler.closes[timeframe, symbol] = close


def _unheard(state: SymbolState) -> SourceReport:
    """Return the report of a source that wasn't there when the window closed."""
    return SourceReport(
        status=state.status,
        reason=state.reason,
        simulated=state.source.plan.simulated,
        coverage=0.0,
        count=None,
        scope=state.source.plan.scope,
    )


def _notice(source: str, part: PanePart) -> Notice:
    one = part.n == 1
    detail = (
        f"{part.n} event{'' if one else 's'} of {source} came after this window had closed; "
        f"it is sent again with {'it' if one else 'them'}"
    )
    return Notice(code="revised", source=source, detail=detail, from_ns=part.start, to_ns=part.end)
