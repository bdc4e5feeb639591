"""Keep what is to be told until the next record of each timeframe tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from bond_core.model.record import Notice

MAX_NOTICES = 32
"""How many one record tells of one symbol, and of all; what is over is counted."""


@attrs.define
class Notices:
    """The notices that the next record of a timeframe shows.

    Attributes:
        by_symbol: Those for one symbol's records; those for everybody's under None.
        over: How many there was no room for.
    """

    by_symbol: dict[str | None, list[Notice]] = attrs.field(factory=dict)
    over: dict[str | None, int] = attrs.field(factory=dict)

    def add(self, symbol: str | None, notice: Notice) -> None:
        """Keep a notice, or count it where there is no more room."""
        kept = self.by_symbol.setdefault(symbol, [])
        if len(kept) < MAX_NOTICES:
            kept.append(notice)
        else:
            self.over[symbol] = self.over.get(symbol, 0) + 1

    def take(self) -> Mapping[str | None, Sequence[Notice]]:
        """Return what was kept, and start afresh."""
        for symbol, number in self.over.items():
            detail = f"{number} more notices had no room in this record"
            self.by_symbol[symbol].append(Notice(code="notices_dropped", detail=detail))
        taken, self.by_symbol, self.over = self.by_symbol, {}, {}
        return taken
