"""Decide what happens to an event whose window is closed.

    drop     it is in no window, but counted as late, and told
    side     the same, and it is handed to whoever asked for such events
    update   its window is sent again with it, as long as windows are corrected
             (`bond_core.windows.corrections`); after that, as with `drop`

With `drop` a larger window that is still open doesn't get it either, so that a minute is
always the sum of its seconds; with `update` it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import attrs

from bond_core.model.event import Event
from bond_core.model.record import Notice

if TYPE_CHECKING:
    from bond_core.windows.pane import PanePart
    from bond_core.windows.symbol_state import SymbolState


class Correctable(Protocol):
    """Takes late events in."""

    def part(self, state: SymbolState, start: int) -> PanePart | None:
        """Return where an event of a closed pane goes; None if it is too late for that."""
        ...


@attrs.define
class Late:
    """The late events of one source and symbol since a record.

    Attributes:
        count: How many.
        oldest_ns: The earliest of their times.
        newest_ns: The latest of their times.
        age_ns: How old the one was that took longest to come.
    """

    count: int = 0
    oldest_ns: int = 0
    newest_ns: int = 0
    age_ns: int = 0

    def add(self, event: Event) -> None:
        """Count an event."""
        self.oldest_ns = min(self.oldest_ns, event.ts) if self.count else event.ts
        self.newest_ns = max(self.newest_ns, event.ts) if self.count else event.ts
        self.age_ns = max(self.age_ns, event.recv_ts - event.ts)
        self.count += 1

    def notice(self, source: str) -> Notice:
        """Tell of them."""
        one = self.count == 1
        return Notice(
            code="late_dropped",
            source=source,
            from_ns=self.oldest_ns,
            to_ns=self.newest_ns,
            detail=(
                f"{self.count} event{'' if one else 's'} of {source} came after "
                f"{'its' if one else 'their'} window had closed and "
                f"{'is' if one else 'are'} in no record; "
                f"{'it was' if one else 'the oldest was'} {self.age_ns / 1e9:.3f} s old"
            ),
        )


def drop(event: Event, tallies: Iterable[Late]) -> None:
    """Count a late event in each of the tallies, and nowhere else."""
    for late in tallies:
        late.add(event)
