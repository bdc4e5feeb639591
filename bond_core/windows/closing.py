"""Close panes one after the other, and with each the larger windows that end there.

Three stretches of time are walked differently: before the stream's start only panes that
had an event are closed; from there on all are; and in a silence that one step of the
watermark leaves behind (a suspended machine, a wild timestamp), the first hundred and the
last.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from bond_core.model.record import Notice, Record
from bond_core.windows.one_window import Closed
from bond_core.windows.recording import records_of, revisions_of
from bond_core.windows.source_state import Grid
from bond_core.windows.stream_state import StreamState
from bond_core.windows.symbol_state import SymbolState

MAX_FILL = 100
"""How many silent windows one step of the watermark sends before it leaves the rest out."""


@attrs.frozen
class ClosedWindow:
    """All records of one boundary; they are published together.

    Attributes:
        records: By timeframe, the smallest first, and then in the plan's order of symbols.
        is_revision: Whether they were sent before, and are sent again.
    """

    window_end_ns: int
    records: tuple[Record, ...]
    is_revision: bool = False


@attrs.define(eq=False)
class Closer:
    """Closes what is to be closed, in order.

    Attributes:
        grid: Where the panes are; its `done_ns` is moved here and nowhere else.
        start_ns: The stream's start.
        closed: What was closed and not taken yet.
        is_last: Whether the stream has ended: all that closes from now on is partial.
    """

    grid: Grid
    stream: StreamState
    start_ns: int = attrs.field(kw_only=True)
    max_fill: int = attrs.field(kw_only=True)
    closed: list[ClosedWindow] = attrs.field(factory=list)
    is_last: bool = False

    def revise(self) -> None:
        """Send again every window that got late events, once for all of them."""
        revised, self.grid.revised = self.grid.revised, set()
        late_by_end: dict[tuple[int, int], dict[SymbolState, int]] = {}
        for start_ns in sorted(revised):
            late = self.stream.close_again(start_ns)
            self._count_in_open(start_ns, late)
            for timeframe, end_ns in self._windows_of(start_ns):
                found = late_by_end.setdefault((end_ns, timeframe), {})
                for state, n in late.items():
                    found[state] = found.get(state, 0) + n
        ends = sorted(late_by_end)
        for end_ns, of_one_end in itertools.groupby(ends, key=operator.itemgetter(0)):
            records: list[Record] = []
            for key in of_one_end:
                records += revisions_of(self.stream, key[1], end_ns, late_by_end[key])
            if records:
                self.closed.append(ClosedWindow(end_ns, tuple(records), is_revision=True))

    def _count_in_open(self, start_ns: int, late: Mapping[SymbolState, int]) -> None:
        """Count late events in the larger windows that are still open: they simply have them."""
        plan = self.stream.plan
        for timeframe, length_ns in plan.larger if plan.slide_ns is None else ():
            if start_ns - start_ns % length_ns + length_ns > self.grid.done_ns:
                for state, n in late.items():
                    state.tallies[timeframe].count += n

    def _windows_of(self, start_ns: int) -> Iterator[tuple[int, int]]:
        """Yield the timeframe and end of each window that holds a pane and was sent."""
        plan = self.stream.plan
        for timeframe, length_ns in enumerate(plan.timeframes_ns):
            step_ns = plan.step_ns(timeframe)
            first_ns = start_ns - start_ns % step_ns + step_ns
            for end_ns in range(first_ns, start_ns + length_ns + 1, step_ns):
                if (timeframe, end_ns) in self.stream.sent:
                    yield timeframe, end_ns

    def close_until(self, target_ns: int) -> None:
        """Close everything before a boundary of panes."""
        grid = self.grid
        if grid.revised and grid.done_ns < target_ns:
            self.revise()  # as long as all that is to be sent again is kept
        first_ns = grid.floor(self.start_ns)
        while grid.done_ns < target_ns:
            if grid.done_ns < first_ns:
                self._leap(min(self.stream.next_open(target_ns), target_ns, first_ns))
            elif (target_ns - grid.done_ns) // grid.pane_ns > self.max_fill:
                self._fill(min(self.stream.next_open(target_ns), target_ns))
            if grid.done_ns < target_ns:
                self._close_pane()

    def finish(self, now_ns: int) -> None:
        """Close every window that has begun by now, or has an event."""
        self.revise()
        self.is_last = True
        target_ns = self.grid.floor(now_ns + self.grid.pane_ns - 1)
        if (last_ns := self.stream.last_open()) is not None:
            target_ns = max(target_ns, last_ns + self.grid.pane_ns)
        self.close_until(target_ns)
        self._send_bars(self.stream.last_bars(now_ns))
        has_begun = self.grid.done_ns > self.grid.floor(self.start_ns)
        self._send_larger(
            (timeframe, end_ns)
            for timeframe, end_ns in self._filling()
            if has_begun or self.stream.has_larger(timeframe, end_ns)
        )

    def _fill(self, until_ns: int) -> None:
        """Close the first of many silent panes, tell of those left out, stop before the last."""
        if (until_ns - self.grid.done_ns) // self.grid.pane_ns <= self.max_fill:
            return
        for _ in range(self.max_fill):
            self._close_pane()
        from_ns, to_ns = self.grid.done_ns, until_ns - self.grid.pane_ns
        if number := (to_ns - from_ns) // self.grid.pane_ns:
            self._leap(to_ns)
            detail = f"nothing was heard for a long time: {number} windows are left out"
            self.stream.tell(None, Notice(code="gap", detail=detail, from_ns=from_ns, to_ns=to_ns))

    def _leap(self, to_ns: int) -> None:
        """Leave out panes without events; larger windows that had some are sent."""
        self._send_larger(
            (timeframe, end_ns)
            for timeframe, end_ns in self._filling()
            if end_ns <= to_ns and self.stream.has_larger(timeframe, end_ns)
        )
        self.grid.done_ns = max(self.grid.done_ns, to_ns)

    def _close_pane(self) -> None:
        """Close the oldest pane, and the larger windows that end with it."""
        start_ns = self.grid.done_ns
        end_ns = self.grid.done_ns = start_ns + self.grid.pane_ns
        plan = self.stream.plan
        self._send_bars(self.stream.fill_bars(start_ns) if plan.bars else ())
        panes = self.stream.close_pane(start_ns)
        records: list[Record] = []
        for timeframe, length_ns in enumerate(plan.timeframes_ns):
            if length_ns == plan.pane_ns:
                records += self._records(timeframe, end_ns, panes)
            elif end_ns % plan.step_ns(timeframe) == 0:
                records += self._close_larger(timeframe, end_ns)
        self._send(end_ns, records)
        if plan.late == "update":
            self.grid.sent.add(start_ns)
            oldest_ns = end_ns - plan.revised_ns
            self.grid.sent = {start for start in self.grid.sent if start >= oldest_ns}
        self.stream.forget(end_ns)

    def _filling(self) -> Iterator[tuple[int, int]]:
        """Yield the timeframe and end of each larger window that has begun and is not over.

        A sliding window has none: each pane that closes ends one.
        """
        done_ns, plan = self.grid.done_ns, self.stream.plan
        for timeframe, length_ns in plan.larger if plan.slide_ns is None else ():
            if done_ns % length_ns:
                yield timeframe, done_ns - done_ns % length_ns + length_ns

    def _send_larger(self, windows: Iterable[tuple[int, int]]) -> None:
        """Close larger windows that are filling, at their ends."""
        ends: dict[int, list[int]] = {}
        for timeframe, end_ns in windows:
            ends.setdefault(end_ns, []).append(timeframe)
        for end_ns in sorted(ends):
            records: list[Record] = []
            for timeframe in ends[end_ns]:
                records += self._close_larger(timeframe, end_ns)
            self._send(end_ns, records)

    def _send_bars(self, bars: Iterable[Record]) -> None:
        """Send the bars of each end together."""
        by_end = itertools.groupby(bars, key=operator.attrgetter("window_end_ns"))
        for end_ns, of_one_end in by_end:
            self._send(end_ns, list(of_one_end))

    def _send(self, end_ns: int, records: Sequence[Record]) -> None:
        if records:  # all of them may have been skipped
            self.closed.append(ClosedWindow(end_ns, tuple(records)))

    def _close_larger(self, timeframe: int, end_ns: int) -> list[Record]:
        return self._records(timeframe, end_ns, self.stream.close_larger(timeframe, end_ns))

    def _records(self, timeframe: int, end_ns: int, closed: Closed) -> list[Record]:
        from_ns = end_ns - self.stream.plan.timeframes_ns[timeframe]
        is_partial = self.is_last or from_ns < self.start_ns
        is_partial = is_partial or self.stream.has_missed(from_ns, end_ns)
        return records_of(self.stream, timeframe, end_ns, closed, is_partial=is_partial)
