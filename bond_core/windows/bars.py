"""Close windows by trades: after so many of them, so much volume, or so much value.

A bar takes events in the order of their time, not of their arrival, so it is filled when a
pane closes, from what the pane heard. A trade that is more than a bar has room for is split:
each bar holds exactly its size, and nothing of a trade is lost. What other kinds of event
brought belongs to the bar that was filling at its time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from bond_core.model.event import Trade
from bond_core.model.record import Notice, Record
from bond_core.windows.notices import Notices
from bond_core.windows.pane import PanePart
from bond_core.windows.plan import BarPlan
from bond_core.windows.program import Program
from bond_core.windows.recording import record_of_bar
from bond_core.windows.symbol_state import SymbolState
from bond_core.windows.watermark import NEVER

if TYPE_CHECKING:
    from bond_core.windows.stream_state import StreamState

MAX_SPLIT = 100
"""Into as many bars a trade is split; the last of them takes what is left, and says so."""

_NEARLY = 1e-9
"""The part of a bar's size by which a sum of floats may miss it."""

Heard = tuple[SymbolState, Any]
"""An event, and the source that brought it."""


class Lane:
    """What the loop asks of a source, where every event goes into one window."""

    max_ts = NEVER
    fire_at = NEVER

    def __init__(self, part: PanePart, symbol: str) -> None:
        self.parts = {symbol: part}
        self.otherwise = part

    def admits_unit(self, part: PanePart, event: Trade) -> bool:
        """Let it pass: its pane has looked at it."""
        return True


@attrs.define(eq=False)
class Filling:
    """The bar of one symbol that is filling.

    Attributes:
        start_ns: The end of the one before it.
        number: How many there were before it.
        room: What it still has room for.
        panes: What its events add up to, by kind.
        parts: Its sources' parts.
    """

    start_ns: int
    room: float
    number: int = 0
    panes: dict[str, Any] = attrs.field(factory=dict)
    parts: dict[SymbolState, PanePart] = attrs.field(factory=dict)

    def add(self, program: Program, state: SymbolState, events: Sequence[Any]) -> None:
        """Take in events of one source."""
        part = self.parts.get(state)
        if part is None:
            plan = state.source.plan
            pane = self.panes.get(plan.kind)
            if pane is None:
                pane = self.panes[plan.kind] = program.new_pane()
                pane.unit = state.windows.unit
            own = program.own_pane(pane, plan.name)
            part = PanePart(start=-NEVER, end=NEVER, pane=pane, state=state, own=own)
            self.parts[state] = part
        program.run(Lane(part, events[0].symbol), events)

    def settle(self, programs: dict[str, Program]) -> None:
        """Compute what needs all of its events."""
        for kind, pane in self.panes.items():
            pane.n = sum(p.n for s, p in self.parts.items() if s.source.plan.kind == kind)
            programs[kind].settle(pane)


@attrs.define(eq=False)
class Bars:
    """The bars of one size that a stream is filling, of all its symbols.

    Attributes:
        plan: Their size.
        frame: Their place among the stream's windows.
        start_ns: The stream's start.
        programs: The loops, by kind of event.
        filling: By symbol.
        notices: By symbol, what its next bar tells.
    """

    plan: BarPlan
    frame: int
    start_ns: int
    stream: StreamState
    programs: dict[str, Program] = attrs.field(factory=dict)
    filling: dict[str, Filling] = attrs.field(factory=dict)
    notices: dict[str, Notices] = attrs.field(factory=dict)

    def oldest_ns(self, before_ns: int) -> int:
        """Return where the oldest bar began that is filling, or `before_ns` if that is earlier."""
        return min((bar.start_ns for bar in self.filling.values()), default=before_ns)

    def tell(self, symbol: str | None, notice: Notice) -> None:
        """Show a notice in the next bar of a symbol, or of all."""
        for each in self.stream.plan.symbols if symbol is None else (symbol,):
            self.notices.setdefault(each, Notices()).add(None, notice)

    def take(self, symbol: str, heard: Sequence[Heard]) -> Iterator[Record]:
        """Take in what a symbol's closed pane heard; yield the bars that this fills, in order."""
        trades = sorted(
            (one for one in heard if one[1].kind == Trade.kind), key=lambda one: _order(one[1])
        )
        others = sorted(
            (one for one in heard if one[1].kind != Trade.kind), key=lambda one: one[1].ts
        )
        first_ns = min((one[1].ts for one in heard), default=self.start_ns)
        bar = self._bar(symbol, first_ns)
        piece: list[Heard] = []
        taken = 0
        for trade, is_full in self._split(symbol, trades):
            piece.append(trade)
            if is_full:
                at_ns = trade[1].ts
                until = taken
                while until < len(others) and others[until][1].ts <= at_ns:
                    until += 1
                self._add(bar, [*piece, *others[taken:until]])
                yield self._close(symbol, at_ns)
                bar, piece, taken = self.filling[symbol], [], until
        self._add(bar, [*piece, *others[taken:]])

    def finish(self, symbol: str, end_ns: int) -> Iterator[Record]:
        """Yield the bar that is filling, if it has an event: the stream ends."""
        bar = self.filling.get(symbol)
        if bar is not None and bar.parts:
            record = self._close(symbol, max(end_ns, bar.start_ns))
            record.partial = True
            yield record

    def _bar(self, symbol: str, first_ns: int) -> Filling:
        if symbol not in self.filling:
            start_ns = min(first_ns, self.start_ns)
            self.filling[symbol] = Filling(start_ns=start_ns, room=self.plan.size)
        return self.filling[symbol]

    def _split(self, symbol: str, trades: Iterable[Heard]) -> Iterator[tuple[Heard, bool]]:
        """Yield trades, split where they fill a bar, and whether each fills one.

        What is left of a trade after a full bar goes on in the next, which is there by then.
        """
        for state, trade in trades:
            weight = self._weight(trade)
            left = trade
            for n in itertools.count(1):
                bar = self.filling[symbol]
                if weight < bar.room - _NEARLY * self.plan.size:
                    bar.room -= weight
                    yield (state, left), False
                    break
                over = weight - bar.room
                if over <= _NEARLY * self.plan.size:
                    yield (state, left), True
                    break
                if n == MAX_SPLIT:
                    self.tell(symbol, _too_large(self.plan, trade))
                    yield (state, left), True
                    break
                rest = left.size * (over / weight)
                yield (state, attrs.evolve(left, size=left.size - rest)), True
                left, weight = attrs.evolve(left, size=rest), over

    def _weight(self, trade: Trade) -> float:
        if self.plan.measure == "ticks":
            return 1.0
        if self.plan.measure == "volume" or trade.size_unit is not None:
            return trade.size  # contracts of an inverse market are worth what they say
        return (trade.price or 0.0) * trade.size

    def _add(self, bar: Filling, heard: Iterable[Heard]) -> None:
        by_source: dict[SymbolState, list[Any]] = {}
        for state, event in heard:
            by_source.setdefault(state, []).append(event)
        for state, events in by_source.items():
            bar.add(self.programs[state.source.plan.kind], state, events)

    def _close(self, symbol: str, end_ns: int) -> Record:
        bar = self.filling[symbol]
        bar.settle(self.programs)
        for state, part in bar.parts.items():
            state.tallies[self.frame].add(part)
        told = self.notices.pop(symbol, Notices()).take().get(None, ())
        record = record_of_bar(self.stream, self, symbol, bar, end_ns, told)
        self.filling[symbol] = Filling(start_ns=end_ns, room=self.plan.size, number=bar.number + 1)
        return record


def _order(trade: Trade) -> tuple[int, int]:
    return trade.ts, trade.seq


def _too_large(plan: BarPlan, trade: Trade) -> Notice:
    detail = (
        f"one trade of {trade.size:g} {trade.symbol} would fill more than {MAX_SPLIT} bars of "
        f"{plan.name}; the last of them holds what is left of it"
    )
    return Notice(code="bar_overfull", detail=detail, from_ns=trade.ts, to_ns=trade.ts)
