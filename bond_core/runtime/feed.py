"""A feed: one channel of one symbol at one source, shared by every stream that wants it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Literal, Protocol

from bond_core.model.event import Event, Gap
from bond_core.model.record import Notice, Repaired, Status
from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import Channel
from bond_core.runtime.holes import Holes
from bond_core.runtime.ingest import FUTURE, SeenIds, fault_of, newest_of_plain_trades, stamp

Future = Literal["reject", "clamp"]
"""What happens to an event whose time lies in the future: it is refused, or counts when heard."""

REMEMBERED = 1_000
"""So many of the newest ids of a feed are kept over a restart."""


class Listener(Protocol):
    """One stream's ear at a feed. Called synchronously, in order; must not raise."""

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        """Take events that made sense and were not heard before."""

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        """Take a change of the feed's state."""

    def on_heartbeat(self, ts: int) -> None:
        """Take the source's word that nothing older than `ts` will come."""

    def on_duplicates(self, symbol: str, n: int) -> None:
        """Count events that were heard before."""

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        """Count events that made no sense."""

    def on_clamped(self, symbol: str, n: int) -> None:
        """Count events whose time lay in the future, and which count when they were heard."""

    def on_gap(self, symbol: str, notice: Notice) -> None:
        """Learn of a hole."""

    def on_notice(self, symbol: str, notice: Notice) -> None:
        """Learn of anything else."""

    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None:
        """Take what was fetched for a hole, in order of time, and learn what is still missing."""


class Feed:
    """Counts, dedups and hands on what its source says about one subscription.

    Attributes:
        status: The present state.
        reason: Why, where there is something to say.
        since_ns: Since when it is in this state, ns.
        last_id: The id of the newest event heard.
        listeners: Who hears, and after how many seconds of silence it wants to be told.
        newest: The ids of the newest events heard; None where one has none.
        holes: What is missing, where that can be known or mended.
    """

    def __init__(
        self, subscription: Subscription, channel: Channel, *, at_ns: int,
        future: Future = "reject", holes: Holes | None = None,
    ) -> None:  # fmt: skip
        self.subscription = subscription
        self.status: Status = "starting"
        self.reason: str | None = None
        self.since_ns = at_ns
        self.last_id: str | None = None
        self.listeners: dict[Listener, float | None] = {}
        self.newest: deque[str | None] = deque(maxlen=REMEMBERED)
        self.holes = holes
        self._kind = channel.kind
        self._by_receipt = channel.time == "receive"
        self._may_be_plain = channel.kind == "trade" and not self._by_receipt
        self._clamps = future == "clamp"
        self._seen = SeenIds()

    @property
    def symbol(self) -> str:
        """The symbol it is about; empty if it belongs to none."""
        return self.subscription.symbol

    def stale_after_s(self, default: float | None) -> float | None:
        """Return the silence after which it is stale: the strictest its listeners ask for."""
        asked = [default if s is None else s for s in self.listeners.values()] or [default]
        return min((s for s in asked if s is not None), default=None)

    def attach(self, listener: Listener, stale_s: float | None) -> None:
        """Let a listener hear; it is told the present state at once."""
        self.listeners[listener] = stale_s
        listener.on_status(self.symbol, self.status, self.since_ns, self.reason)

    def detach(self, listener: Listener) -> None:
        """Let a listener hear no more."""
        self.listeners.pop(listener, None)

    def resume(self, cursor: str | None, ids: Iterable[str]) -> bool:
        """Stand where a feed stood before a restart; not once something was heard: then False."""
        if self.newest:
            return False
        self.last_id = cursor
        self.newest.extend(ids)
        for event_id in self.newest:
            self._seen.is_repeat(event_id or "")
        return True

    def hear(self, events: Sequence[Event], now_ns: int) -> int | None:
        """Check events and hand them on; return the newest event time among them, or None."""
        if self._may_be_plain and events:
            newest_ns = newest_of_plain_trades(events, now_ns)
            if newest_ns is not None and self._seen.take_new(ids := [e.id for e in events]):
                self._hand_on(events, ids)
                return newest_ns
        return self._hear_each(events, now_ns)

    def _hear_each(self, events: Sequence[Event], now_ns: int) -> int | None:
        """Do the same where something may be wrong with one of them, or was heard before."""
        faults: Counter[str] = Counter()
        sound, clamped = self._sound_of(events, now_ns, faults)
        kept = self._seen.new_of(sound)
        if kept:
            self._hand_on(kept, [event.id for event in kept])
        for listener in tuple(self.listeners):
            if repeats := len(sound) - len(kept):
                listener.on_duplicates(self.symbol, repeats)
            if clamped:
                listener.on_clamped(self.symbol, clamped)
            for why, n in faults.items():
                listener.on_rejected(self.symbol, n, why)
        return max([event.ts for event in kept], default=None)

    def _hand_on(self, kept: Sequence[Event], ids: Sequence[str | None]) -> None:
        """Hand on events that are sound and new."""
        self.last_id = ids[-1] or self.last_id
        self.newest.extend(ids)
        if self.holes is not None:
            self.holes.heard(kept)
        for listener in tuple(self.listeners):
            listener.on_events(self.symbol, kept)

    def _sound_of(
        self, events: Sequence[Event], now_ns: int, faults: Counter[str]
    ) -> tuple[list[Event], int]:
        """Return the events that make sense, and how many were clamped; tell of gaps.

        Why the others make none is counted in `faults`.
        """
        sound: list[Event] = []
        clamped = 0
        kind, by_receipt = self._kind, self._by_receipt
        for event in events:
            if event.kind != kind and isinstance(event, Gap):
                self.gap(_notice(event))
                continue
            if by_receipt or not event.recv_ts:
                stamp(event, now_ns, by_receipt=by_receipt)
            fault = fault_of(event) if event.kind == kind else self._other_kind(event)
            if fault is FUTURE and self._clamps:
                stamp(event, now_ns, by_receipt=True)
                fault = fault_of(event)
                clamped += fault is None
            if fault is None:
                sound.append(event)
            else:
                faults[fault] += 1
        return sound, clamped

    def turn(self, status: Status, at_ns: int, reason: str | None = None) -> bool:
        """Change the state and tell it; whether it did change."""
        if (status, reason) == (self.status, self.reason):
            return False
        if status != self.status:  # another reason for the same state is no new beginning
            self.since_ns = at_ns
        self.status, self.reason = status, reason
        if self.holes is not None and status != "live":
            self.holes.lost()
        for listener in tuple(self.listeners):
            listener.on_status(self.symbol, status, at_ns, reason)
        return True

    def forgive(self) -> None:
        """It is live, and what it missed is nothing to tell of."""
        if self.holes is not None:
            self.holes.forgive()

    def heartbeat(self, ts: int) -> None:
        """Hand on that nothing older than `ts` will come."""
        for listener in tuple(self.listeners):
            listener.on_heartbeat(ts)

    def gap(self, notice: Notice) -> None:
        """Hand on that something may be missing, unless it is known that nothing is."""
        from_ns, to_ns, holes = notice.from_ns, notice.to_ns, self.holes
        if holes is None or from_ns is None or to_ns is None or holes.gap(from_ns, to_ns):
            self.tell_gap(notice)

    def tell_gap(self, notice: Notice) -> None:
        """Hand on that something is missing."""
        for listener in tuple(self.listeners):
            listener.on_gap(self.symbol, notice)

    def tell(self, notice: Notice) -> None:
        """Hand on what else the source says."""
        for listener in tuple(self.listeners):
            listener.on_notice(self.symbol, notice)

    def news_of(self, events: Sequence[Event], now_ns: int) -> list[Event]:
        """Return those events that make sense and were not heard before, in order of time.

        They were asked for, so those that were heard are no repeats of the source's.
        """
        faults: Counter[str] = Counter()
        sound, clamped = self._sound_of(events, now_ns, faults)
        if unknown := sum(event.id is None for event in sound):
            faults["it has no id, so it may have been heard before it was fetched"] = unknown
        for listener in tuple(self.listeners):
            if clamped:
                listener.on_clamped(self.symbol, clamped)
            for why, n in faults.items():
                listener.on_rejected(self.symbol, n, why)
        known = [event for event in sound if event.id is not None]
        return self._seen.new_of(sorted(known, key=_order))

    def repaired(self, events: Sequence[Event], repaired: Repaired) -> None:
        """Hand on what was fetched for a hole."""
        for listener in tuple(self.listeners):
            listener.on_repaired(self.symbol, events, repaired)

    def _other_kind(self, event: Event) -> str:
        return f"it is a {event.kind}, and {self.subscription.channel} brings {self._kind}s"


_order = attrgetter("ts", "seq")


def _notice(gap: Gap) -> Notice:
    detail = gap.detail or "the source says that events may be missing"
    return Notice(code="gap", detail=detail, from_ns=gap.from_ts, to_ns=gap.to_ts)
