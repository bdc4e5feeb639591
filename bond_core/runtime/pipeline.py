"""Run one stream: open this file first to see how an event becomes a record.

    feeds ──▶ SourceEar ──▶ inbox ──▶ WindowEngine ──▶ Screen ──▶ Publisher ──▶ EventLog
              one a source  in order  pure             filter,    ids, JSON
                                                       alerts

What was heard waits in the inbox for the stream's turn: a thousand streams that hear one trade,
or whose windows end at one boundary, take their turns one after the other, and everything else
in the process gets in between. The engine sees the clock as ticks on a fixed grid, so that a
run repeats exactly when its events and their receive times do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

import attrs

from bond_core.clock import Clock
from bond_core.errors import FencedError, LogUnavailableError
from bond_core.log.event_log import EventLog, Retention
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.runtime.binding import BoundSource, BoundStream
from bond_core.runtime.failover import Failover
from bond_core.runtime.feed import Feed
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.publisher import Publisher
from bond_core.runtime.screening import Screen
from bond_core.runtime.stages import Stages
from bond_core.windows.coverage import Coverage
from bond_core.windows.engine import ClosedWindow, WindowEngine


class Pipeline:
    """One running stream.

    Attributes:
        events_in: Events that reached the engine.
        windows_closed: Windows that the engine closed; each has a record per symbol.
        stages: How long its events, windows and records took.
        failure: Why it can't go on, or None.
    """

    def __init__(
        self, bound: BoundStream, *, stream_id: str, feeds: Feeds, log: EventLog,
        retention: Retention, clock: Clock, fence: int = 0,
    ) -> None:  # fmt: skip
        self.bound = bound
        self.stream_id = stream_id
        self.clock = clock
        self.started_ns = clock.now_ns()
        self.engine = WindowEngine(bound.plan, start_ns=self.started_ns)
        self.screen = Screen(bound.spec)
        self.publisher = Publisher(log, stream_id, retention, fence=fence)
        self.ears: dict[str, SourceEar] = {}
        self.events_in = 0
        self.windows_closed = 0
        self.stages = Stages()
        self.failure: str | None = None
        self._feeds = feeds
        self.failover = Failover(bound, self)
        self._inbox: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._stirred = asyncio.Event()
        self._changed = asyncio.Event()
        self._bug: Exception | None = None
        self._log = logging.getLogger("bond.stream")

    async def start(self) -> None:
        """Find the log and subscribe to everything. What can't be had at all raises here.

        Raises:
            BondError: A simulator is missing, or the log can't be reached.
        """
        try:
            await self.publisher.open()
            for source in self.bound.sources:
                await self.listen(source)
        except BaseException:
            self.let_go()
            raise

    async def run(self) -> None:
        """Run until cancelled, then let go of all feeds. Call after `start`.

        Raises:
            ExceptionGroup: Of a bug in the windows, or because somebody else writes the stream.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._work(), name=f"windows of {self.stream_id}")
                tasks.create_task(self.failover.run(), name=f"failover {self.stream_id}")
                with self._feeds.ticks.shown_to(self):
                    await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            self.let_go()

    async def settled(self) -> None:
        """Return when no source is starting any more, or the stream broke. After `start`."""
        while self.failure is None and any(
            status == "starting" for ear in self.ears.values() for status, _ in ear.status.values()
        ):
            self._changed.clear()
            await self._changed.wait()

    def let_go(self) -> None:
        """Unsubscribe from everything."""
        for name in tuple(self.ears):
            self.unlisten(name)

    async def flush(self) -> None:
        """Close what is open, as partial, and publish it. Call once, at the end."""
        self.take_in()
        self.engine.finish(self.clock.now_ns())
        windows = self.engine.take()
        self.windows_closed += len(windows)
        await self.publisher.publish(self.screen.screened(windows))

    async def listen(self, source: BoundSource) -> SourceEar:
        """Subscribe to all that a source asks for."""
        ear = self.ears.setdefault(source.plan.name, SourceEar(source, self))
        for symbol in source.asks:
            if symbol not in ear.feeds:
                ear.feeds[symbol] = await self._feeds.subscribe(
                    source.origin, source.channel.name, symbol, ear, stale_s=source.stale_s
                )
        return ear

    def unlisten(self, name: str) -> None:
        """Let go of a source's feeds."""
        ear = self.ears.pop(name, None)
        if ear is not None:
            for feed in ear.feeds.values():
                self._feeds.unsubscribe(ear.source.origin, feed, ear)

    async def renew(self, bound: BoundStream) -> None:
        """Listen anew to the sources whose settings are others in `bound`; to those only.

        Raises:
            BondError: A simulator is missing.
        """
        origins = {source.plan.name: source.origin for source in bound.all_sources()}

        def renewed(source: BoundSource) -> BoundSource:
            origin = origins.get(source.plan.name, source.origin)
            return attrs.evolve(source, origin=origin)

        self.bound = self.bound.with_sources(renewed)
        self.failover.renew(self.bound)
        for source in self.bound.all_sources():
            ear = self.ears.get(source.plan.name)
            if ear is not None and ear.source.origin != source.origin:
                self.unlisten(source.plan.name)
                await self.listen(source)

    def tell(self, told: Callable[..., None], *what: object) -> None:
        """Have the engine told, when it is this stream's turn."""
        self._inbox.append((told, what))
        self._stirred.set()

    def take_in(self) -> None:
        """Tell the engine all that waits for it, in order."""
        inbox = self._inbox
        try:
            while inbox and self._bug is None:
                told, what = inbox.popleft()
                told(*what)
        except Exception as error:  # noqa: BLE001 -- it ends this stream, and no other
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the stream: its engine broke, so what it would say from here on may be wrong."""
        if self._bug is None:
            self._bug = error
            self.failure = f"{type(error).__name__}: {error}"
            self._changed.set()
            self._stirred.set()

    def changed(self, source: BoundSource) -> None:
        """A source's state changed: see whether another must stand in, or need no longer."""
        self._changed.set()
        self.failover.consider(source.group)

    def tick(self, now_ns: int) -> None:
        """See Ticking. Most ticks close nothing, and need no turn."""
        if self._inbox:
            self.tell(self.engine.on_tick, now_ns)
            return
        try:
            is_due = self.engine.sees(now_ns)
        except Exception as error:  # noqa: BLE001 -- it ends this stream, and no other
            self.fail(error)
            return
        if is_due:
            self.tell(self.engine.close_due)

    async def _work(self) -> None:
        while True:
            await self._stirred.wait()
            async with self._feeds.turns as turns:
                self._stirred.clear()
                self.take_in()
                await turns.pause(was_long=self.engine.has_closed)
            if self._bug is not None:
                raise self._bug
            windows = self.engine.take()
            if windows:
                self._note_closed(windows)
                await self._append(windows)

    def _note_closed(self, windows: Sequence[ClosedWindow]) -> None:
        now_ns = self.clock.now_ns()
        for window in windows:
            if not window.is_revision:
                self.windows_closed += 1
                self.stages.window.saw(now_ns - window.window_end_ns)

    async def _append(self, windows: Sequence[ClosedWindow]) -> None:
        since_ns = self.clock.monotonic_ns()
        ends_ms = [w.window_end_ns // 1_000_000 for w in windows if not w.is_revision]
        for end_ms in ends_ms:  # a shared log may hand it to a reader before it answers us
            self.stages.mark(end_ms, since_ns)
        await self._append_until_done(self.screen.screened(windows))
        now_ns = self.clock.monotonic_ns()
        self.stages.append.saw(now_ns - since_ns)
        for end_ms in ends_ms:
            self.stages.mark(end_ms, now_ns)

    async def _append_until_done(self, windows: Sequence[ClosedWindow]) -> None:
        while True:
            try:
                return await self.publisher.publish(windows)
            except LogUnavailableError as error:
                self._log.warning("stream %s: %s; the append is repeated", self.stream_id, error)
                await self.clock.sleep(0.5)
                self.take_in()  # windows go on meanwhile
                closed = self.engine.take()  # the publisher has those before
                self._note_closed(closed)
                windows = self.screen.screened(closed)
            except FencedError as error:
                self.failure = error.detail
                raise


class SourceEar:
    """What one source tells one stream, handed to the engine under the source's name.

    It is a Listener, and so never raises: a bug in this stream's engine ends this stream, and
    neither the connector nor others who hear the same feed.
    """

    def __init__(self, source: BoundSource, pipeline: Pipeline) -> None:
        self.source = source
        self.feeds: dict[str, Feed] = {}
        self.status: dict[str, tuple[Status, str | None]] = {}
        self._live: dict[str, Coverage] = {}
        self._name = source.plan.name
        self._since_ns = pipeline.clock.now_ns()
        self._pipeline = pipeline
        self._engine = pipeline.engine

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        """See Listener."""
        pipeline = self._pipeline
        pipeline.events_in += len(events)
        newest = events[-1]
        pipeline.stages.source.saw(newest.recv_ts - newest.ts)
        pipeline.tell(self._engine.on_events, self._name, events)

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        """See Listener."""
        before = self.status.get(symbol, ("starting", None))[0]
        self.status[symbol] = (status, reason)
        # The feed may be older than this stream, which has heard nothing before it began.
        since_ns = max(at_ns, self._since_ns)
        self._live.setdefault(symbol, Coverage()).turn(status == "live", since_ns)
        self._pipeline.tell(self._engine.on_status, self._name, symbol, status, since_ns, reason)
        if status == "stale" and before != "stale":
            detail = f"{self._name}: {reason or 'nothing new'}"
            stale = Notice(code="stale", source=self._name, detail=detail, from_ns=at_ns)
            self._pipeline.tell(self._engine.notify, stale, symbol)
        self._pipeline.changed(self.source)

    def on_heartbeat(self, ts: int) -> None:
        """See Listener."""
        self._pipeline.tell(self._engine.on_heartbeat, self._name, ts)

    def on_duplicates(self, symbol: str, n: int) -> None:
        """See Listener."""
        self._pipeline.tell(self._engine.on_duplicates, self._name, symbol, n)

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        """See Listener."""
        self._pipeline.tell(self._engine.on_rejected, self._name, symbol, n)
        were = "event was" if n == 1 else "events were"
        detail = f"{symbol or self._name}: {n} {were} refused: {why}"
        refused = Notice(code="rejected", source=self._name, detail=detail)
        self._pipeline.tell(self._engine.notify, refused, symbol)

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
            self._pipeline.tell(self._engine.on_events, self._name, kept)

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
