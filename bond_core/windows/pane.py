"""Keep what one kind of event adds up to for one symbol, window by window.

A stream's state is made of three things:

    OpenWindows   one symbol and kind: its open panes, and the larger windows that they go into
    Pane          what one pane adds up to: a class that `bond_core.windows.render` writes
    PanePart      one source's part in a pane: how many events, and how long they took to come
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from bond_core.windows.kept import KeptPanes
from bond_core.windows.lag import MAX_SAMPLES
from bond_core.windows.program import Program
from bond_core.windows.watermark import NEVER

if TYPE_CHECKING:
    from bond_core.windows.symbol_state import SymbolState


class NoPane:
    """What stands for a pane where none is open: no event is the newest of it."""

    newest = NEVER


NO_PANE = NoPane()


def no_part(state: SymbolState | None) -> PanePart:
    """Return the part that the loop finds where none is open."""
    return PanePart(start=0, end=0, pane=NO_PANE, state=state, lags=_NONE)


_NONE: list[int] = []  # shared: nothing is ever added to a part that isn't open

UNSET = "(no trade yet)"
"""The unit of sizes before the first trade has said it; compared by identity."""


@attrs.define(eq=False)
class PanePart:
    """One source's part in one pane of one symbol. The loop's first stop for every event.

    Attributes:
        start: Of the pane, ns.
        end: Of the pane, ns, excluded.
        until: The event time from which an event leaves the pane or may close a window, ns.
        pane: The state that the events go into.
        state: Whose it is; None where events of that symbol have no place in the stream.
        n: Events counted.
        lags: Receive time less event time, ns, of every (`mask` + 1)th event.
        mask: One less than a power of two.
        full: The number of events from which on `lags` is to be thinned.
        told: Events that a record has told of.
        own: The part of `pane` that is this source's alone; None where no field needs it.
        heard: Its events, where bars are made of them.
    """

    start: int
    end: int
    pane: Any
    state: SymbolState | None
    n: int = 0
    lags: list[int] = attrs.field(factory=list)
    mask: int = 0
    full: int = MAX_SAMPLES
    told: int = 0
    own: Any = None
    heard: list[Any] | None = None
    until: int = attrs.field(default=attrs.Factory(lambda part: part.end, takes_self=True))

    def thin(self) -> None:
        """Keep every second delay, and sample half as often from here on."""
        self.lags = self.lags[1::2]
        self.mask = 2 * self.mask + 1
        self.full *= 2


@attrs.define(eq=False)
class OpenWindows:
    """What one kind of event adds up to for one symbol.

    Attributes:
        open: Open panes by start, ns; only those that had an event.
        larger: For each timeframe the window that is filling, None while it is empty, or where
            panes are the windows.
        merged: The places of those that panes are merged into.
        kept: Closed panes, where windows are sent again or overlap; then `larger` stays empty.
        unit: What sizes count, once a trade has said it; None for base units.
        seen_ns: The start of the newest pane that closed with an event.
    """

    program: Program
    larger: list[Any]
    merged: Sequence[int]
    open: dict[int, Any] = attrs.field(factory=dict)
    kept: KeptPanes | None = None
    unit: str | None = UNSET
    seen_ns: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether no window holds anything of it."""
        is_kept = self.kept is not None and bool(self.kept.panes or self.kept.merged)
        return not (self.open or is_kept or any(w is not None for w in self.larger))

    def pane(self, start_ns: int) -> Any:
        """Return an open pane, a new one if need be."""
        pane = self.open.get(start_ns)
        if pane is None:
            pane = self.open[start_ns] = self.program.new_pane()
            pane.unit = self.unit
        return pane

    def accepts_unit(self, pane: Any, unit: str | None) -> bool:
        """Say whether sizes in a unit can be summed here; the first trade fixes it.

        The loop asks only when the unit isn't the very object the pane has.
        """
        if self.unit is UNSET:
            self.unit = unit
        if unit != self.unit:
            return False
        pane.unit = unit
        return True

    def close(self, start_ns: int, n: int) -> Any:
        """Take a pane out, with its number of events; None if it had none.

        It is in the larger windows from here on.
        """
        pane = self.open.pop(start_ns, None)
        if pane is None:
            return None
        pane.n = n
        self.seen_ns = start_ns
        self.program.settle(pane)
        if self.kept is not None:
            self.kept.add(start_ns, pane)
            return pane
        for place in self.merged:
            window = self.larger[place]
            into = self.program.new_pane() if window is None else window
            self.program.absorb(into, pane)
            self.larger[place] = into
        return pane

    def has_larger(self, place: int, start_ns: int, end_ns: int) -> bool:
        """Whether the window of a larger timeframe that is filling had an event."""
        if self.kept is not None:
            return self.kept.window(start_ns, end_ns) is not None
        return self.larger[place] is not None

    def close_larger(self, place: int, start_ns: int, end_ns: int) -> Any:
        """Take the window of a larger timeframe out; None if it had no event."""
        if self.kept is not None:
            of_panes = self.kept.next_window if self.kept.slides else self.kept.window
            return of_panes(start_ns, end_ns)
        window, self.larger[place] = self.larger[place], None
        return window
