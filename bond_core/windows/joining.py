"""Give a source that joins a stream its places there: one for each symbol that it is about."""

from __future__ import annotations

from bond_core.windows.source_state import SourceState
from bond_core.windows.stream_state import StreamState
from bond_core.windows.symbol_state import SymbolState, Tally


def give_states(source: SourceState, stream: StreamState, *, room: int) -> int:
    """Make a source's states, and lay the ways to them; return how many found no room.

    Args:
        source: As yet without any.
        stream: Where it joins.
        room: For how many states there is room.
    """
    plan, frames = source.plan, stream.plan
    targets = {target: None for targets in plan.routes.values() for target in targets}
    keys = (None,) if plan.scope == "stream" else tuple(targets)
    for symbol in keys[:room]:
        source.states[symbol] = SymbolState(
            source=source, symbol=symbol, windows=stream.windows(symbol, plan.kind),
            tallies=[Tally() for _ in range(frames.frames)],
            timeframes=len(frames.timeframes_ns),
        )  # fmt: skip
    source.open()
    return len(keys[room:])
