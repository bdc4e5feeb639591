"""Work out what one closed window says of each symbol: its fields, and how its sources did."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from bond_core.model.record import Notice, SourceReport, Value
from bond_core.windows.finishing import Place, Window
from bond_core.windows.symbol_state import SymbolState

if TYPE_CHECKING:
    from bond_core.windows.stream_state import StreamState

Closed = Mapping[str, Mapping[str | None, Any]]
"""One closed window's state by kind and symbol, where it had an event."""

_Report = tuple[SourceReport | None, Notice | None]


@attrs.define(eq=False)
class OneWindow:
    """One window of one timeframe, or one bar; what all symbols share is computed once."""

    stream: StreamState
    frame: int
    place: Place
    start_ns: int
    end_ns: int
    closed: Closed
    _reports: dict[SymbolState, _Report] = attrs.field(factory=dict)
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
        if self.stream.whole in heard:
            return self._of_kind(symbol, self.stream.whole)
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
        program, closed = self.stream.programs[kind], self.closed.get(kind, {})
        own, shared = closed.get(symbol), closed.get(None)
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
