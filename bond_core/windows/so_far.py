"""Say what the newest window of a symbol adds up to so far: a look that changes nothing.

Who wants to show a bar that is being built needs no sums of its own: they are in the open panes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import Value
from bond_core.windows.engine import WindowEngine
from bond_core.windows.pane import OpenWindows
from bond_core.windows.symbol_state import SymbolState


@attrs.frozen
class SoFar:
    """A window `[start_ns, end_ns)` that is not closed, and its fields as of now."""

    start_ns: int
    end_ns: int
    values: Mapping[str, Value]


def so_far(engine: WindowEngine, symbol: str, timeframe: int, now_ns: int) -> SoFar | None:
    """Return a symbol's newest window: it holds `now_ns`, or a later event that came already.

    Args:
        engine: Whose it is.
        symbol: Of the stream.
        timeframe: Which of the plan's, by its place.
        now_ns: The time.

    Returns:
        None where the window has no event yet. Fields that are computed from other windows or
        from sources without symbols aren't there.

    Raises:
        ValueError: Its windows slide, or are sent again: their panes are kept elsewhere.
    """
    plan, stream = engine.parts.plan, engine.parts.stream
    if plan.slide_ns is not None or plan.late == "update":
        raise ValueError("windows that slide, or are sent again, can't be looked into")
    length_ns = plan.timeframes_ns[timeframe]
    kinds = {
        kind: stream.open_windows[symbol, kind]
        for kind in stream.programs
        if (symbol, kind) in stream.open_windows
    }
    opened = [start for windows in kinds.values() for start in windows.open]
    newest_ns = max(now_ns, engine.closed_until_ns, *opened)
    start_ns = newest_ns - newest_ns % length_ns
    is_filling = start_ns <= engine.closed_until_ns  # else what is filling is the one before
    values: dict[str, Value] = {}
    for kind, windows in kinds.items():
        window = windows.program.new_pane()
        if is_filling and (closed := windows.larger[timeframe]) is not None:
            windows.program.absorb(window, closed)
        states = [state for state in stream.states(symbol) if state.windows is windows]
        for start in sorted(each for each in windows.open if each >= start_ns):
            _absorb(window, windows, start, states)
        if window.n:
            found = windows.program.values(window)
            values |= {f: v for f, v in found.items() if stream.kind_of(symbol, f) == kind}
    return SoFar(start_ns, start_ns + length_ns, values) if values else None


def _absorb(
    window: Any, windows: OpenWindows, start_ns: int, states: Sequence[SymbolState]
) -> None:
    """Add an open pane to a window; it stays as it is."""
    pane = windows.open[start_ns]
    was, pane.n = pane.n, sum(s.parts[start_ns].n for s in states if start_ns in s.parts)
    windows.program.settle(pane)
    windows.program.absorb(window, pane)
    pane.n = was
