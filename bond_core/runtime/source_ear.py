"""Hear one source for one stream, and tell the stream's engine in its turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from bond_core.clock import NS
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.runtime.binding import BoundSource
from bond_core.runtime.feed import Feed
from bond_core.runtime.ingest import WRONG_UNIT
from bond_core.windows.coverage import Coverage

if TYPE_CHECKING:
    from bond_core.runtime.pipeline import Pipeline

_REPEATS_NS = 600 * NS
"""So long after a restart a source may bring again what was heard before it."""


class SourceEar:
    """What one source tells one stream, handed to the engine under the source's name.

    It is a Listener, and so never raises: a bug in this stream's engine ends this stream, and
    neither the connector nor others who hear the same feed.

    Attributes:
        heard_before: By symbol, ids that count already, where the feed can't know it.
        brings_since: By symbol, since when the source brings what it was not heard of, ns.
    """

    def __init__(self, source: BoundSource, pipeline: Pipeline) -> None:
        self.source = source
        self.feeds: dict[str, Feed] = {}
        self.status: dict[str, tuple[Status, str | None]] = {}
        self.heard_before: dict[str, frozenset[str]] = {}
        self.brings_since: dict[str, int] = {}
        self._live: dict[str, Coverage] = {}
        self._name = source.plan.name
        self._since_ns = pipeline.clock.now_ns()
        self._pipeline = pipeline
        self._engine = pipeline.engine

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        """See Listener."""
        pipeline = self._pipeline
        if self.heard_before:
            events = self._unheard(symbol, events)
            if not events:
                return
        pipeline.events_in += len(events)
        newest = events[-1]
        if pipeline.resuming.behind:
            pipeline.resuming.reached(self._name, newest.ts)
        pipeline.stages.source.saw(newest.recv_ts - newest.ts)
        pipeline.tell(self._engine.on_events, self._name, events)

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        """See Listener."""
        before = self.status.get(symbol, ("starting", None))[0]
        self.status[symbol] = (status, reason)
        # The feed may be older than this stream, which has heard nothing before it began.
        since_ns = max(at_ns, self._since_ns)
        if status == "live" and self.brings_since:
            since_ns = self.brings_since.pop(symbol, since_ns)
        elif status in ("stale", "failed"):
            self._pipeline.resuming.behind.discard(self._name)
        self._live.setdefault(symbol, Coverage()).turn(status == "live", since_ns)
        self._pipeline.tell(self._engine.on_status, self._name, symbol, status, since_ns, reason)
        if status == "stale" and before != "stale":
            detail = f"{self._name}: {reason or 'nothing new'}"
            stale = Notice(code="stale", source=self._name, detail=detail, from_ns=at_ns)
            self._pipeline.tell(self._engine.notify, stale, symbol)
        self._pipeline.changed(self.source)

    def on_heartbeat(self, ts: int) -> None:
        """See Listener."""
        self._pipeline.resuming.reached(self._name, ts)
        self._pipeline.tell(self._engine.on_heartbeat, self._name, ts)

    def on_duplicates(self, symbol: str, n: int) -> None:
        """See Listener."""
        self._pipeline.tell(self._engine.on_duplicates, self._name, symbol, n)

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        """See Listener."""
        of = None if not symbol and symbol not in self.feeds else symbol
        refused = refusal(self._name, symbol, n, why)
        self._pipeline.tell(self._engine.on_rejected, self._name, of, n, refused.code)
        self._pipeline.tell(self._engine.notify, refused, of)

    def on_clamped(self, symbol: str, n: int) -> None:
        """See Listener."""
        self._pipeline.tell(self._engine.on_clamped, self._name, symbol, n)
        self._pipeline.tell(self._engine.notify, clamping(self._name, symbol, n), symbol)

    def on_gap(self, symbol: str, notice: Notice) -> None:
        """See Listener."""
        gap = attrs.evolve(notice, source=self._name)
        self._pipeline.tell(self._engine.on_gap, self._name, symbol, gap)

    def on_notice(self, symbol: str, notice: Notice) -> None:
        """See Listener."""
        told = attrs.evolve(notice, source=self._name)
        self._pipeline.tell(self._engine.notify, told, symbol)

    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None:
        """See Listener.

        What happened before this stream began to listen, or while another venue stood in for
        this one, is left out: the one isn't asked for, the other would be counted twice.
        """
        if repaired.until_ns <= self._since_ns:
            return
        repaired = attrs.evolve(repaired, from_ns=max(repaired.from_ns, self._since_ns))
        mine = [event for event in events if event.ts >= self._since_ns]
        stood_in = self._pipeline.failover.stood_in(self.source.group)
        kept = [e for e in mine if self._is_mine(symbol, e.ts, stood_in)]
        if left := [e.ts for e in mine if not self._is_mine(symbol, e.ts, stood_in)]:
            names = ", ".join(dict.fromkeys(ear.source.plan.name for ear in stood_in))
            detail = f"{repaired.detail}; {len(left)} are left out: {names} stood in then"
            repaired = attrs.evolve(repaired, detail=detail, missing=(min(left), max(left) + 1))
        repaired = attrs.evolve(repaired, events=len(kept))
        self._pipeline.tell(self._engine.on_repaired, self._name, symbol, repaired)
        if kept:
            self._pipeline.events_in += len(kept)
            self._pipeline.tell(self._engine.on_fetched, self._name, kept)

    def _is_mine(self, symbol: str, ts_ns: int, stood_in: Sequence[SourceEar]) -> bool:
        """Whether this source is to bring what happened then, and not one that stood in."""
        return self.was_live(symbol, ts_ns) or not any(e.was_live(symbol, ts_ns) for e in stood_in)

    def was_live(self, symbol: str, ts_ns: int) -> bool:
        """Whether it heard a symbol at a time."""
        live = self._live.get(symbol)
        return live is not None and live.live_ns(ts_ns, ts_ns + 1) > 0

    def left(self, at_ns: int) -> None:
        """It hears nothing any more."""
        for live in self._live.values():
            live.turn(is_live=False, at_ns=at_ns)

    def _unheard(self, symbol: str, events: Sequence[Event]) -> Sequence[Event]:
        """Leave out, and count, what the stream had heard before it was written down."""
        before = self.heard_before.get(symbol, frozenset())
        fresh = [event for event in events if event.id not in before]
        if self._pipeline.clock.now_ns() - self._since_ns > _REPEATS_NS:
            self.heard_before.clear()
        if len(fresh) < len(events):
            self.on_duplicates(symbol, len(events) - len(fresh))
        return fresh


def refusal(name: str, symbol: str, n: int, why: str) -> Notice:
    """Return what is told of a source's events that made no sense."""
    code = "wrong_unit" if why in WRONG_UNIT else "rejected"
    were = "event was" if n == 1 else "events were"
    detail = f"{symbol or name}: {n} {were} refused: {why}"
    return Notice(code=code, source=name, detail=detail)


def clamping(name: str, symbol: str, n: int) -> Notice:
    """Return what is told of a source's events whose time lay in the future."""
    counts = "event counts" if n == 1 else "events count"
    detail = f"{symbol or name}: {n} {counts} when heard: the time lies in the future"
    return Notice(code="clamped", source=name, detail=detail)
