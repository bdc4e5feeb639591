"""Compile requests and run streams in this process; which ones, somebody else decides.

    sentence or spec ─compile─▶ Compiled ─begin─▶ Stream (a running Pipeline) ─▶ EventLog

`Bond` in `local.py` decides for itself; in `fleet` the processes that share a Redis do.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from contextvars import Context
from typing import Any

import attrs

from bond_core.clock import Clock, SystemClock
from bond_core.errors import BondError, LogError
from bond_core.log.event_log import EventLog, Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.tail import Tail
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, Plugins
from bond_core.plugin.egress import Egress
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.binding import Defaults, bind
from bond_core.runtime.checkpoints import Checkpoints
from bond_core.runtime.contained import cause_of
from bond_core.runtime.deliveries import FLUSH_WITHIN_S, Deliveries
from bond_core.runtime.delivery import SinkHost
from bond_core.runtime.feed import Future
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.outside import WaysOut
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.places import MemoryPlaces, Places
from bond_core.runtime.simulators import Simulators
from bond_core.runtime.tape.told import Tape
from bond_server.compiling import Compiled, compile_request
from bond_server.language.vocabulary import Vocabulary, vocabulary_of
from bond_server.registry.row import Row
from bond_server.streams import AnyStream, Stream
from bond_server.telemetry.context import STREAM_ID
from bond_server.telemetry.ledger import Ledger
from bond_server.telemetry.tracing import NO_TRACING, TracedLog, Tracing

DELETE_WITHIN_S = 1.0
"""How long deleting a stream waits for its sinks: who asks for another waits meanwhile."""


class Engine:
    """Runs streams. `async with` what is made of it; leaving stops everything.

    Args:
        clock: The only clock.
        catalog: What is installed; None loads it.
        log: Where records go; None keeps them in memory.
        defaults: What is assumed where a spec leaves it open.
        retention: How much of each stream is kept.
        seed: Seeds jitter and simulated markets; None draws one.
        simulator_options: By a simulator's `package.module:Class`, what to hand it.
        egress: Guards the URLs that specs bring; None lets them name any public host.
        tracing: Where spans go; nowhere, unless said.
        plugins: What loads the catalogue, and looks again at each `rescan`.
        places: How far sinks have come; None remembers it as long as the process lasts.
        checkpoints: Where snapshots of running streams are kept, so that they go on after a
            restart; None keeps none.
        future: What happens to events whose time lies in the future: they are refused, or
            (`clamp`) count when they were heard.
        tape: Notes what the engine of its one stream is told; None for no notes.
        ways_out: Makes what stands between connectors and the world; None is nothing.
        backoff: The pauses before a connector is started anew, and how often it is.

    Attributes:
        running: The streams that run here, by id.
    """

    def __init__(  # noqa: PLR0913 -- all that the whole of Bond can be handed
        self, *, clock: Clock | None = None, catalog: Catalog | None = None,
        log: EventLog | None = None, defaults: Defaults | None = None,
        retention: Retention | None = None, seed: int | None = None,
        simulator_options: Mapping[str, Mapping[str, object]] | None = None,
        egress: Egress | None = None, tracing: Tracing = NO_TRACING,
        plugins: Plugins | None = None, places: Places | None = None,
        checkpoints: Checkpoints | None = None, future: Future = "reject",
        tape: Tape | None = None, ways_out: WaysOut | None = None,
        backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        self.clock: Clock = clock or SystemClock()
        self.plugins = plugins or (None if catalog else Plugins())
        self.catalog = catalog or (Catalog.loaded(self.plugins) if self.plugins else Catalog(()))
        self.tracing = tracing
        self.log: EventLog = log or MemoryLog()
        if tracing is not NO_TRACING:
            self.log = TracedLog(self.log, tracing)
        egress = egress or Egress()
        self.defaults = attrs.evolve(defaults or Defaults(), egress=egress.policy)
        self.retention = retention or Retention()
        self.checkpoints = checkpoints
        self._tape = tape
        self.simulators = Simulators(
            clock=self.clock, seed=1 if seed is None else seed, options=simulator_options
        )
        self.feeds = Feeds(
            clock=self.clock,
            chance=random.Random(seed),  # noqa: S311 -- jitter, no secrets
            simulators=self.simulators,
            egress=egress,
            future=future,
            ways_out=ways_out,
            backoff=backoff,
        )
        self.sinks = SinkHost(
            clock=self.clock,
            chance=random.Random(seed),  # noqa: S311 -- as above
            egress=egress,
            policy=self.defaults.sinks,
            places=places or MemoryPlaces(),
        )
        self.vocabulary: Vocabulary = vocabulary_of(self.catalog)
        self.running: dict[str, Stream] = {}
        self.tasks = asyncio.TaskGroup()
        self._leaving: set[Stream] = set()
        self._gone = Ledger()
        self._changing = asyncio.Lock()  # one stream at a time begins or ends
        self._stack = AsyncExitStack()
        self._logger = logging.getLogger("bond.local")

    async def open(self) -> None:
        """Get ready; nothing is listened to yet."""
        await self._stack.enter_async_context(self.simulators)
        await self._stack.enter_async_context(self.feeds)
        await self._stack.enter_async_context(self.tasks)

    async def close(self) -> None:
        """Stop every stream, feed and simulator."""
        # All at once: each may have sinks that take their time.
        await asyncio.gather(*map(self._leave, self.running.values()))
        await self._stack.aclose()

    async def _leave(self, stream: Stream) -> None:
        """Stop a stream, which may go on after a restart."""
        await self.stop_task(stream)
        if self.checkpoints is not None and stream.state() not in ("complete", "failed"):
            await stream.pipeline.save()
        await self._stop(stream, FLUSH_WITHIN_S)

    async def rescan(self) -> tuple[PluginRow, ...]:
        """Look again for plugins: new ones can be asked for from now on, and return all rows.

        Streams that run go on; of their sources those start anew whose settings are others
        now, in the environment. Does nothing to a catalogue that was handed in.

        Raises:
            SetupError: The choice of plugins can't be read, or names one that isn't there.
        """
        if self.plugins is not None:
            async with self._changing:  # plugins load one at a time
                self.catalog = await asyncio.to_thread(Catalog.loaded, self.plugins)
                self.vocabulary = vocabulary_of(self.catalog)
                for stream in tuple(self.running.values()):
                    await self._renew(stream)
        return self.catalog.rows

    async def _renew(self, stream: Stream) -> None:
        """Have a stream's sources use the settings that they would get if it began now."""
        if stream.state() in ("complete", "failed"):
            return
        try:
            await stream.pipeline.renew(bind(stream.compiled.spec, self.catalog, self.defaults))
        except BondError as error:
            self._logger.warning("stream %s goes on as it is: %s", stream.stream_id, error.detail)

    def compile(self, request: Mapping[str, Any]) -> Compiled:
        """Turn `{"natural_language": ...}` or `{"spec": ...}` into what would run.

        Raises:
            RequestError: It makes no sense; SetupError: it can't be had here.
        """
        with self.tracing.span("compile"):
            return compile_request(request, self.catalog, self.vocabulary, self.defaults)

    def all_streams(self) -> list[AnyStream]:
        """Return everybody's streams: for sums over them, which name none."""
        return list(self.running.values())

    def tails(self) -> list[Tail]:
        """Return what is kept here of streams' logs."""
        return [stream.tail for stream in self.all_streams()]

    def ails(self) -> str | None:
        """Return what is wrong with this process, None while nothing is."""
        return None

    def ledger(self) -> Ledger:
        """Return what all streams did since the start, those that are gone included."""
        still_here = (*self.running.values(), *self._leaving)
        return self._gone.with_those(stream.pipeline for stream in still_here)

    async def begin(
        self, row: Row, compiled: Compiled, *, log: EventLog | None = None,
        takes_over: bool = False, is_heard: bool = True,
    ) -> Stream:  # fmt: skip
        """Run a stream.

        Args:
            row: What is kept of it.
            compiled: What it is.
            log: Where its records go, if not where all go.
            takes_over: Whether it ran before, here or elsewhere.
            is_heard: Whether its tail has readers here, and its sinks begin at once.
        """
        log, stream_id = log or self.log, row.stream_id
        await log.open_stream(stream_id, self.retention)
        pipeline = self._pipeline(compiled, stream_id, log, takes_over=takes_over)
        tail = Tail(log, stream_id, self.retention)
        sinks = compiled.bound.sinks
        is_read = is_heard or bool(sinks)
        if is_read:
            await tail.load()
        deliveries = Deliveries(sinks, stream_id=stream_id, tail=tail, host=self.sinks)
        stream = Stream(row, compiled, pipeline, tail, deliveries)
        if row.is_complete:  # it only waits for those who have yet to hear of its end
            tail.end()
        else:
            await pipeline.start()
        self.running[stream_id] = stream
        if not row.is_complete:
            # It outlives the request that asked for it, whose ids must not stand in its logs.
            stream.task = self.tasks.create_task(
                self._run(stream, is_read=is_read), name=f"stream {stream_id}", context=Context()
            )
        if is_heard:
            deliveries.start(self.tasks)
        return stream

    def _pipeline(
        self, compiled: Compiled, stream_id: str, log: EventLog, *, takes_over: bool
    ) -> Pipeline:
        """Return what is to run a stream."""
        return Pipeline(
            compiled.bound, stream_id=stream_id, feeds=self.feeds, log=log,
            retention=self.retention, clock=self.clock, takes_over=takes_over,
            checkpoints=self.checkpoints, tape=self._tape,
        )  # fmt: skip

    async def _run_pipeline(self, stream: Stream) -> None:
        await stream.pipeline.run()

    async def end(self, stream: Stream, flush_s: float = DELETE_WITHIN_S) -> None:
        """Stop a stream that runs here; its records stay where they are.

        Its sinks have `flush_s` to take what is left.
        """
        del self.running[stream.stream_id]
        self._leaving.add(stream)
        try:
            await self._stop(stream, flush_s)
        finally:  # from one sum into the other in one step: it must not be missing from both
            self._leaving.remove(stream)
            self._gone.add(stream.pipeline)

    async def forget(self, stream_id: str) -> None:
        """Forget a stream's records, and how far its sinks came. After `end`."""
        await self.log.delete(stream_id)
        await self.sinks.places.forget(stream_id)
        await self.forget_snapshot(stream_id)

    async def forget_snapshot(self, stream_id: str) -> None:
        """Forget where a stream stood: it won't go on."""
        if self.checkpoints is not None:
            await self.checkpoints.forget(stream_id)

    async def finish(self, stream: Stream) -> None:
        """Publish what is open, as partial, and no more; its readers are yet to be told."""
        stream.completed()
        await self.stop_task(stream)
        try:
            await stream.pipeline.flush()
            await stream.tail.load()
        except Exception as error:  # noqa: BLE001 -- logged, and shown as the stream's failure
            self._failed(stream, error)

    async def stop_task(self, stream: Stream) -> None:
        """Have a stream listen and publish no more."""
        if stream.task is not None:
            stream.task.cancel()
            await asyncio.gather(stream.task, return_exceptions=True)

    async def _run(self, stream: Stream, *, is_read: bool) -> None:
        """Run a stream's parts; a bug in one fails this stream and no other."""
        STREAM_ID.set(stream.stream_id)
        try:
            async with asyncio.TaskGroup() as parts:
                if is_read:
                    parts.create_task(stream.tail.run(), name=f"tail {stream.stream_id}")
                parts.create_task(self._run_pipeline(stream), name=f"run {stream.stream_id}")
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 -- as in `finish`
            self._failed(stream, error)
            stream.tail.end()  # nothing more will come: no reader may wait for it

    def _failed(self, stream: Stream, error: BaseException) -> None:
        cause = cause_of(error)
        if isinstance(cause, LogError):  # it was deleted, or somebody else writes it by now
            self._logger.warning("stream %s stopped here: %s", stream.stream_id, cause)
            stream.pipeline.failure = cause.detail
            return
        stream.pipeline.failure = stream.pipeline.failure or f"{type(cause).__name__}: {cause}"
        self._logger.error("stream %s stopped by a bug", stream.stream_id, exc_info=error)

    async def _stop(self, stream: Stream, flush_s: float) -> None:
        await self.stop_task(stream)
        stream.tail.end()
        await stream.deliveries.end(flush_s)
