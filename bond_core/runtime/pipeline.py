"""Run one stream: open this file first to see how an event becomes a record.

    feeds ──▶ SourceEar ──▶ inbox ──▶ WindowEngine ──▶ Screen ──▶ Publisher ──▶ EventLog
              one a source  in order  pure             filter,    ids, JSON
                                                       alerts

In raw mode a RawEngine hands the events on as they are, and a RawPublisher writes them.

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
from bond_core.runtime.binding import BoundSource, BoundStream
from bond_core.runtime.checkpoints import Checkpoints, Heard, Remembering, written
from bond_core.runtime.failover import Failover
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.making import Step, has_ended, making_of, mark_ms
from bond_core.runtime.quiet import Quiet
from bond_core.runtime.raw_engine import RawEngine
from bond_core.runtime.raw_publisher import RawPublisher
from bond_core.runtime.resuming import Resuming
from bond_core.runtime.screening import Screen
from bond_core.runtime.source_ear import SourceEar
from bond_core.runtime.stages import Stages
from bond_core.runtime.tape.told import Tape
from bond_core.windows.engine import ClosedWindow, WindowEngine

_AT_ONCE = 8_192
"""So many bytes of a snapshot are written before everything else gets a turn."""

NOT_OWNER = "not_owner"
"""Code of a LogUnavailableError that is no fault: another owner writes, and this one stands by."""


class Pipeline:
    """One running stream.

    Attributes:
        events_in: Events that reached the engine.
        windows_closed: Windows that the engine closed; each has a record per symbol.
        stages: How long its events, windows and records took.
        failure: Why it can't go on, or None.
        remembering: By name, what is to go on after a restart beside its engine.
    """

    def __init__(  # noqa: PLR0913 -- what a stream needs, and what may stand beside it
        self, bound: BoundStream, *, stream_id: str, feeds: Feeds, log: EventLog,
        retention: Retention, clock: Clock, takes_over: bool = False,
        checkpoints: Checkpoints | None = None, tape: Tape | None = None,
    ) -> None:  # fmt: skip
        self.bound = bound
        self.stream_id = stream_id
        self.clock = clock
        self.started_ns = clock.now_ns()
        self.engine, self.publisher = making_of(
            bound, stream_id=stream_id, log=log, retention=retention, clock=clock,
            started_ns=self.started_ns, takes_over=takes_over,
        )  # fmt: skip
        self.screen = Screen(bound.spec)
        self.ears: dict[str, SourceEar] = {}
        self.events_in = 0
        self.windows_closed = 0
        self.stages = Stages()
        self.failure: str | None = None
        self.remembering: dict[str, Remembering] = {"filter and alerts": self.screen}
        if isinstance(self.engine, RawEngine) and isinstance(self.publisher, RawPublisher):
            self.remembering |= {"events heard": self.engine, "what waits": self.publisher}
        self.resuming = Resuming(self)
        self.log = logging.getLogger("bond.stream")
        self._checkpoints = checkpoints
        self._tape = tape
        self._left: tuple[int, list[Heard]] | None = None  # when it let go of all feeds
        self._still = asyncio.Lock()  # who has it may rely on the engine: nobody tells it more
        self._feeds = feeds
        self.failover = Failover(bound, self)
        self._quiet = Quiet(self.engine)
        self._inbox: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._stirred = asyncio.Event()
        self._changed = asyncio.Event()
        self._bug: Exception | None = None

    async def start(self) -> None:
        """Find the log and subscribe to everything. What can't be had at all raises here.

        If there is a snapshot of the stream, it goes on from there.

        Raises:
            BondError: A simulator is missing, or the log can't be reached.
        """
        try:
            if self._checkpoints is not None:
                await self.resuming.load(self._checkpoints)
                if (until_ns := self.resuming.published_ns()) is not None:
                    self.publisher.goes_on(until_ns)
            await self.publisher.open()
            for source in self.bound.sources:
                await self.listen(source)
            self.resuming.begin()
            self._quiet = Quiet(self.engine)  # which may be that of a snapshot
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
                if self._checkpoints is not None:
                    keeping = self._keep(self._checkpoints.every_s)
                    tasks.create_task(keeping, name=f"snapshots of {self.stream_id}")
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
        if self.ears:
            self._left = self.clock.now_ns(), self._heard()
        for name in tuple(self.ears):
            self.unlisten(name)

    async def flush(self) -> None:
        """Close what is open, as partial, and publish it. Call once, at the end."""
        self.take_in()
        self._finish(self.clock.now_ns())
        steps = self._take()
        self.windows_closed += sum(isinstance(step, ClosedWindow) for step in steps)
        await self.publisher.publish(self._screened(steps))

    async def hand_over(self) -> None:
        """Publish what has ended, so that the next owner begins with the window now open.

        Call once, at the end. The open one isn't published: it will be, by the next owner.
        """
        now_ns = self.clock.now_ns()
        self.take_in()
        self._finish(now_ns)
        ended = [step for step in self._take() if has_ended(step, now_ns)]
        self._note_closed(ended)
        await self.publisher.publish(self._screened(ended))

    def _finish(self, now_ns: int) -> None:
        self._note(self.engine.finish, now_ns)
        self.engine.finish(now_ns)

    def _take(self) -> Sequence[Step]:
        steps = self.engine.take()
        if steps:
            self._note(self.engine.take)
        return steps

    def _note(self, told: Callable[..., object], *what: object) -> None:
        """Write on the tape, if there is one, what the engine is told."""
        if self._tape is not None:
            self._tape.noted.append((told, what))

    async def listen(self, source: BoundSource) -> SourceEar:
        """Subscribe to all that a source asks for."""
        ear = self.ears.setdefault(source.plan.name, SourceEar(source, self))
        for symbol in source.asks:
            if symbol not in ear.feeds:
                ear.feeds[symbol] = feed = await self._feeds.subscribe(
                    source.origin, source.channel.name, symbol, ear, stale_s=source.stale_s
                )
                self.resuming.subscribed(ear, feed)
        return ear

    async def save(self) -> None:
        """Write down where the stream stands, if that is asked for.

        In small steps, with everything else in between; the windows wait meanwhile. What can't
        be written is logged, and the snapshot before stays.
        """
        if self._checkpoints is None:
            return
        try:
            lines = await self._written()
            if lines and self._bug is None:
                await self._checkpoints.save(self.stream_id, lines)
        except Exception as error:  # noqa: BLE001 -- nothing about a snapshot is worth the stream
            detail = f"{type(error).__name__}: {error}"
            self.log.warning("stream %s can't be written down: %s", self.stream_id, detail)

    async def _written(self) -> list[bytes]:
        lines: list[bytes] = []
        fresh = 0
        async with self._still:
            self.take_in()
            at_ns, heard = self._left or (self.clock.now_ns(), self._heard())
            waiting = (*self.resuming.waiting, *self.publisher.waiting)
            windows = self.engine if isinstance(self.engine, WindowEngine) else None
            for line in written(self.stream_id, at_ns, heard, windows, waiting, self.remembering):
                lines.append(line)
                fresh += len(line)
                if fresh >= _AT_ONCE:
                    fresh = 0
                    await asyncio.sleep(0)
        return lines

    def _heard(self) -> list[Heard]:
        return [
            Heard(name, symbol, feed.last_id, [each for each in feed.newest if each])
            for name, ear in self.ears.items()
            for symbol, feed in ear.feeds.items()
        ]

    async def _keep(self, every_s: float) -> None:
        while True:
            await self.clock.sleep(every_s)
            await self.save()

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
        self._put(self._quiet.end(), told, what)

    def tell_events(self, name: str, events: Sequence[Event]) -> None:
        """Have the engine told of a source's events, when it is this stream's turn."""
        self._put(self._quiet.heard(), self.engine.on_events, (name, events))

    def _put(
        self, left_out_ns: int | None, told: Callable[..., None], what: tuple[object, ...]
    ) -> None:
        """Leave in the inbox what is told, behind the newest tick that was left out."""
        if left_out_ns is not None:
            self._inbox.append((self.engine.on_tick, (left_out_ns,)))
        self._inbox.append((told, what))
        self._stirred.set()

    def take_in(self) -> None:
        """Tell the engine all that waits for it, in order."""
        inbox = self._inbox
        try:
            while inbox and self._bug is None:
                told, what = inbox.popleft()
                self._note(told, *what)
                told(*what)
            self._quiet.took_in()
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
        quiet = self._quiet
        if now_ns < quiet.until_ns:
            quiet.left_out_ns = now_ns
            return
        if self.resuming.holds_back(now_ns):
            return
        quiet.end()  # what was left out is older than this
        if self._inbox or self._still.locked():
            self.tell(self.engine.on_tick, now_ns)
            return
        self._note(self.engine.sees, now_ns)
        try:
            is_due = self.engine.sees(now_ns)
        except Exception as error:  # noqa: BLE001 -- it ends this stream, and no other
            self.fail(error)
            return
        if is_due:
            self.tell(self.engine.close_due)
        else:
            quiet.begin()

    async def _work(self) -> None:
        await self._append_until_done(self.resuming.take_waiting())
        while True:
            await self._stirred.wait()
            async with self._still, self._feeds.turns as turns:
                self._stirred.clear()
                self.take_in()
                await turns.pause(was_long=self.engine.has_closed)
            if self._bug is not None:
                raise self._bug
            await self.publish_closed()

    async def publish_closed(self) -> None:
        """Publish what the engine has made since."""
        steps = self._take()
        if steps:
            self._note_closed(steps)
            await self._append(steps)

    def _note_closed(self, steps: Sequence[Step]) -> None:
        now_ns = self.clock.now_ns()
        for step in steps:
            if isinstance(step, ClosedWindow) and not step.is_revision:
                self.windows_closed += 1
                self.stages.window.saw(now_ns - step.window_end_ns)

    def _screened(self, steps: Sequence[Step]) -> Sequence[Step]:
        windows = [step for step in steps if isinstance(step, ClosedWindow)]
        return self.screen.screened(windows) if windows else steps

    async def _append(self, steps: Sequence[Step]) -> None:
        since_ns = self.clock.monotonic_ns()
        ends_ms = [end_ms for step in steps if (end_ms := mark_ms(step)) is not None]
        for end_ms in ends_ms:  # a shared log may hand it to a reader before it answers us
            self.stages.mark(end_ms, since_ns)
        await self._append_until_done(self._screened(steps))
        now_ns = self.clock.monotonic_ns()
        self.stages.append.saw(now_ns - since_ns)
        for end_ms in ends_ms:
            self.stages.mark(end_ms, now_ns)

    async def _append_until_done(self, steps: Sequence[Step]) -> None:
        while True:
            try:
                return await self.publisher.publish(steps)
            except LogUnavailableError as error:
                level = logging.DEBUG if error.code == NOT_OWNER else logging.WARNING
                self.log.log(level, "stream %s: %s; the append is repeated", self.stream_id, error)
                await self.clock.sleep(0.5)
                async with self._still:
                    self.take_in()  # windows go on meanwhile
                more = self._take()  # the publisher has those before
                self._note_closed(more)
                steps = self._screened(more)
            except FencedError as error:
                self.failure = error.detail
                raise
