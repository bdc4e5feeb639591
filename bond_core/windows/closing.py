"""Close panes one after the other, and with each the larger windows that end there.

Three stretches of time are walked differently: before the stream's start only panes that
had an event are closed; from there on all are; and in a silence that one step of the
watermark leaves behind (a suspended machine, a wild timestamp), the first hundred and the
last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from bond_core.model.record import Notice, Record
from bond_core.windows.corrections import Corrections
from bond_core.windows.source_state import Grid
from bond_core.windows.stream_state import Closed, StreamState

MAX_FILL = 100
"""How many silent windows one step of the watermark sends before it leaves the rest out."""


@attrs.frozen
class ClosedWindow:
    """All records of one boundary; they are published together.

    Attributes:
        records: By timeframe, the smallest first, and then in the plan's order of symbols.
        is_correction: Whether it was sent before, and is sent again with late events.
    """

    window_end_ns: int
    records: tuple[Record, ...]
    is_correction: bool = False


@attrs.define(eq=False)
class Closer:
    """Closes what is to be closed, in order.

    Attributes:
        grid: Where the panes are; its `done_ns` is moved here and nowhere else.
        start_ns: The stream's start.
        closed: What was closed and not taken yet.
        corrections: What late events correct; None where they correct nothing.
        is_last: Whether the stream has ended: all that closes from now on is partial.
    """

    grid: Grid
    stream: StreamState
    start_ns: int = attrs.field(kw_only=True)
    max_fill: int = attrs.field(kw_only=True)
    closed: list[ClosedWindow] = attrs.field(factory=list)
    corrections: Corrections | None = None
    is_last: bool = False

    def correct(self) -> None:
        """Send windows again that got late events."""
        if self.corrections is not None and self.corrections.parts:
            for end_ns, records in self.corrections.take():
                self.closed.append(ClosedWindow(end_ns, tuple(records), is_correction=True))

    def close_until(self, target_ns: int) -> None:
        """Close everything before a boundary of panes."""
        grid = self.grid
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
        self.correct()
        self.is_last = True
        target_ns = self.grid.floor(now_ns + self.grid.pane_ns - 1)
        if (last_ns := self.stream.last_open()) is not None:
            target_ns = max(target_ns, last_ns + self.grid.pane_ns)
        self.close_until(target_ns)
        has_begun = self.grid.done_ns > self.grid.floor(self.start_ns)
        self._send_larger(
            (timeframe, length_ns)
            for timeframe, length_ns in self._larger()
            if self.grid.done_ns % length_ns
            and (has_begun or self.stream.has_larger(timeframe, self._end(length_ns)))
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
        done_ns = self.grid.done_ns
        self._send_larger(
            (timeframe, length_ns)
            for timeframe, length_ns in self._larger()
            if self.stream.has_larger(timeframe, self._end(length_ns))
            and done_ns - done_ns % length_ns + length_ns <= to_ns
        )
        self.grid.done_ns = max(done_ns, to_ns)

    def _close_pane(self) -> None:
        """Close the oldest pane, and the larger windows that end with it."""
        self.correct()  # what came before this pane closes is in the windows that close with it
        start_ns = self.grid.done_ns
        end_ns = self.grid.done_ns = start_ns + self.grid.pane_ns
        panes = self.stream.close_pane(start_ns)
        records = self._records(0, end_ns, panes)
        for timeframe, length_ns in self._larger():
            if end_ns % length_ns == 0:
                records += self._close_larger(timeframe, end_ns)
        self._send(end_ns, records)
        self.stream.forget(end_ns)
        if self.corrections is not None:
            self.corrections.forget(end_ns)

    def _larger(self) -> Sequence[tuple[int, int]]:
        """Return the place and length of each timeframe but the smallest."""
        return list(enumerate(self.stream.plan.timeframes_ns))[1:]

    def _send_larger(self, timeframes: Iterable[tuple[int, int]]) -> None:
        """Close windows of larger timeframes that are filling, at their ends."""
        ends: dict[int, list[int]] = {}
        for timeframe, length_ns in timeframes:
            end_ns = self._end(length_ns)
            ends.setdefault(end_ns, []).append(timeframe)
        for end_ns in sorted(ends):
            records: list[Record] = []
            for timeframe in ends[end_ns]:
                records += self._close_larger(timeframe, end_ns)
            self._send(end_ns, records)

    def _end(self, length_ns: int) -> int:
        """Return where the window that is filling ends."""
        return self.grid.done_ns - self.grid.done_ns % length_ns + length_ns

    def _close_larger(self, timeframe: int, end_ns: int) -> list[Record]:
        return self._records(timeframe, end_ns, self.stream.close_larger(timeframe, end_ns))

    def _send(self, end_ns: int, records: Sequence[Record]) -> None:
        if records:
            self.closed.append(ClosedWindow(end_ns, tuple(records)))

    def _records(self, timeframe: int, end_ns: int, closed: Closed) -> list[Record]:
        begins_before = end_ns - self.stream.plan.length_ns(timeframe) < self.start_ns
        is_partial = begins_before or self.is_last
        records = self.stream.records(timeframe, end_ns, closed, is_partial=is_partial)
        sent = self.stream.filler.sent(timeframe, records)
        if self.corrections is not None:
            self.corrections.remember(timeframe, end_ns, records, sent)
        return sent
