"""Run one connector on a cassette, by the runtime's own supervisor, under a clock of its own."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import attrs

from bond_core.clock import NS, settle
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.plugin.context import Context, Subscription
from bond_core.plugin.factories import load_class
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.supervisor import Supervisor
from bond_core.testing.cassette import Cassette
from bond_core.testing.virtual_clock import VirtualClock

STEP_S = 1.0
"""How far the clock is moved between two looks at what has come of it."""

STOP_WITHIN_S = 1.0
"""How long a connector may take to end. Real seconds, for it may hang where no clock reaches."""

_THREAD_STEP_S = 0.1
_THREAD_PAUSE_S = 0.004
"""A thread has real time to do what it does: 25 seconds of the clock take one."""

_JOB_WITHIN_S = 10.0


@attrs.define(eq=False)
class Stage:
    """A connector that runs, and what it told. Use as an async context manager.

    Attributes:
        spec: The connector's.
        config: Its settings.
        source: What it listens to.
        clock: Its clock.
        subscriptions: What is wanted of it.
        emitted: What it emitted, by channel, before anybody looked at it.
        heard: The events that made sense and were not heard before.
        rejected: How many were refused, by reason.
        statuses: What each subscription was told, with its reason.
        ends: How each of its runs ended: `cancelled`, `returned`, or the error's text.
        complaints: What the event loop was told that nobody else took.
        left: Tasks that were left after its end.
        stopped_s: How long its end took, real seconds.
    """

    spec: ConnectorSpec
    config: Any
    source: Cassette
    clock: VirtualClock
    subscriptions: Sequence[Subscription]
    emitted: list[tuple[str, Event]] = attrs.field(factory=list)
    heard: list[Event] = attrs.field(factory=list)
    rejected: dict[str, int] = attrs.field(factory=dict)
    statuses: dict[Subscription, list[tuple[Status, str | None]]] = attrs.field(factory=dict)
    ends: list[str] = attrs.field(factory=list)
    complaints: list[str] = attrs.field(factory=list)
    left: list[str] = attrs.field(factory=list)
    stopped_s: float = 0.0
    supervisor: Supervisor = attrs.field(init=False)
    _task: asyncio.Task[None] | None = None
    _before: set[asyncio.Task[Any]] = attrs.field(factory=set)
    _jobs: set[asyncio.Future[Any]] = attrs.field(factory=set)

    async def __aenter__(self) -> Self:
        """Want everything, and start."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, said: self.complaints.append(str(said["message"])))
        self._count_jobs(loop)
        self._before = asyncio.all_tasks()
        self.supervisor = _Watched(self)
        for each in self.subscriptions:
            feed = self.supervisor.feed(each.channel, each.symbol)
            feed.attach(_Ear(self, each), None)
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, and see what it left."""
        await self.stop()

    def start(self) -> None:
        """Run the connector; again on the same object, where it ran before."""
        self.supervisor.reset()
        self._task = asyncio.create_task(self.supervisor.run())

    async def stop(self) -> None:
        """Cancel the connector, as the runtime does, and look for what it leaves."""
        task, self._task = self._task, None
        if task is None:
            return
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        task.cancel()
        await asyncio.wait({task}, timeout=2 * STOP_WITHIN_S)
        self.stopped_s = loop.time() - began_s
        if task.done() and not task.cancelled() and task.exception() is not None:
            self.complaints.append(repr(task.exception()))
        await settle()
        left = asyncio.all_tasks() - self._before - {asyncio.current_task()}
        self.left = [_name(each) for each in left if not each.done()]

    @property
    def is_threaded(self) -> bool:
        """Whether it works in a thread, to which real time must be given."""
        return self.spec.capabilities.runs_in == "thread"

    @property
    def has_failed(self) -> bool:
        """Whether it has ended for good."""
        return all(told[-1][0] == "failed" for told in self.statuses.values())

    @property
    def is_live(self) -> bool:
        """Whether all that is wanted is live, or could not be had from the first."""
        return all(told[-1][0] == "live" for told in self.statuses.values())

    def told(self, status: Status) -> list[str | None]:
        """Return the reasons of each time that a subscription was told to be in a state."""
        return [why for told in self.statuses.values() for state, why in told if state == status]

    async def until(self, is_so: Callable[[], bool], *, within_s: float = 90.0) -> bool:
        """Let time pass until it is so; whether it is. Not longer than `within_s` of the clock."""
        ends_ns = self.clock.monotonic_ns() + round(within_s * NS)
        while True:
            await self.breathe()
            if is_so():
                return True
            is_over = self._task is None or self._task.done()
            if self.clock.monotonic_ns() >= ends_ns or is_over:
                return False
            await self.clock.advance(_THREAD_STEP_S if self.is_threaded else STEP_S)

    async def until_said(self, n: int) -> bool:
        """Let time pass until all was said; of a library: until so many events were heard."""
        every_s = getattr(self.config, "every_s", 0.0) or 0.0
        return await self.until(
            lambda: len(self.heard) >= n if self.source.lent.made else self.source.is_played_out,
            within_s=max(90.0, every_s * 4 * (n + 1)),
        )

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass."""
        await self.until(lambda: False, within_s=seconds)

    async def breathe(self) -> None:
        """Let everything happen that can without time passing, in other threads too."""
        await settle()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _JOB_WITHIN_S
        while self._jobs and loop.time() < until_s:
            await asyncio.wait(self._jobs, timeout=0.05)
            await settle()
        if self.is_threaded:
            await asyncio.sleep(_THREAD_PAUSE_S)

    def _count_jobs(self, loop: Any) -> None:
        """Know of calls that `asyncio.to_thread` made: no clock says when they are over."""
        plain = loop.run_in_executor

        def counted(executor: Any, func: Callable[..., Any], *args: Any) -> Any:
            job = plain(executor, func, *args)
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
            return job

        loop.run_in_executor = counted


class _Watched(Supervisor):
    """A supervisor that notes what its connector emits, and how its runs end."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(
            stage.spec, stage.config, name=stage.spec.name, clock=stage.clock,
            chance=random.Random(1),  # noqa: S311 -- jitter
            simulated_at=None, way_out=stage.source,
        )  # fmt: skip
        self._stage = stage
        self._connector = _Noted(load_class(stage.spec.factory)(config=stage.config), stage.ends)

    def emit(self, channel: str, events: Iterable[Event]) -> None:
        """See Context."""
        heard = list(events)
        # Copies: the runtime writes into what it is handed when it was heard.
        self._stage.emitted += [(channel, copy.copy(event)) for event in heard]
        super().emit(channel, heard)


class _Noted:
    """A connector whose ends are noted."""

    def __init__(self, connector: Any, ends: list[str]) -> None:
        self._connector = connector
        self._ends = ends

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    async def run(self, ctx: Context) -> None:
        """See Connector."""
        try:
            await self._connector.run(ctx)
        except asyncio.CancelledError:
            self._ends.append("cancelled")
            raise
        except BaseException as error:
            self._ends.append(f"{type(error).__name__}: {error}")
            raise
        self._ends.append("returned")


class _Ear:
    """Tells a stage what one subscription hears."""

    def __init__(self, stage: Stage, subscription: Subscription) -> None:
        self._stage = stage
        self._statuses: list[tuple[Status, str | None]] = []
        stage.statuses[subscription] = self._statuses

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        """See Listener."""
        self._stage.heard += events

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        """See Listener."""
        self._statuses.append((status, reason))

    def on_heartbeat(self, ts: int) -> None:
        """See Listener."""

    def on_duplicates(self, symbol: str, n: int) -> None:
        """See Listener."""

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        """See Listener."""
        self._stage.rejected[why] = self._stage.rejected.get(why, 0) + n

    def on_clamped(self, symbol: str, n: int) -> None:
        """See Listener: here nothing is clamped."""

    def on_gap(self, symbol: str, notice: Notice) -> None:
        """See Listener."""

    def on_notice(self, symbol: str, notice: Notice) -> None:
        """See Listener: no check looks at what a market says of itself."""

    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None:
        """See Listener: no check looks at what was fetched for a hole."""


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", None) or task.get_name()
