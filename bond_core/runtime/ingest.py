"""The source edge: stamp what was heard, refuse what makes no sense, drop what was heard before.

Every event passes here once, before any window sees it. Nothing is dropped uncounted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from bond_core.model.event import Event, Liquidation, Quote, Trade

MAX_FUTURE_NS = 5_000_000_000
"""How far an event's time may lie after its receipt: a venue's clock may be ahead, not wrong."""


def stamp(event: Event, now_ns: int, *, by_receipt: bool) -> None:
    """Give the event its receive time, and its event time where the source has no clock."""
    # Frozen for type checkers only; see bond_core.model.event.
    if not event.recv_ts:
        event.recv_ts = now_ns  # type: ignore[misc]  # the one place that may
    if by_receipt:
        event.ts = event.recv_ts  # type: ignore[misc]  # as above


def fault_of(event: Event) -> str | None:
    """Return why the event makes no sense, or None if it does."""
    if event.ts.__class__ is not int:
        return "its time is not a whole number of nanoseconds"
    if event.ts > event.recv_ts + MAX_FUTURE_NS:
        return "its time lies in the future"
    check = _CHECKS.get(event.kind)
    return check(event) if check else None


def _sized_fault(event: Trade | Liquidation) -> str | None:
    # A NaN fails every comparison, so the plain ranges refuse it too.
    if not 0 < event.price < inf:
        return f"its price is {event.price!r}"
    if not 0 <= event.size < inf:
        return f"its size is {event.size!r}"
    return None


def _quote_fault(event: Quote) -> str | None:
    for name in ("bid", "ask", "last"):
        value = getattr(event, name)
        if value is not None and not 0 < value < inf:
            return f"its {name} is {value!r}"
    if event.bid is None and event.ask is None and event.last is None:
        return "it has neither bid, ask nor last price"
    return None


_CHECKS: Mapping[str, Callable[..., str | None]] = {
    "trade": _sized_fault,
    "liquidation": _sized_fault,
    "quote": _quote_fault,
}


class SeenIds:
    """Remembers the newest ids of one feed, at least `size` of them, in bounded memory.

    Two generations: when the younger is full it becomes the elder. Looking up costs two set
    probes, and nothing is ever evicted one by one.
    """

    __slots__ = ("_elder", "_size", "_younger")

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._younger: set[str] = set()
        self._elder: set[str] = set()

    def is_repeat(self, event_id: str) -> bool:
        """Whether the id was seen before; from now on it was."""
        if event_id in self._younger or event_id in self._elder:
            return True
        if len(self._younger) >= self._size:
            self._elder, self._younger = self._younger, set()
        self._younger.add(event_id)
        return False
