"""The whole of Bond in one process: from a request to a running stream to its records.

    sentence or spec ─compile─▶ Compiled ─create─▶ Stream (a running Pipeline) ─cursor─▶ records

The server, `bond listen`, `bond demo` and the SDK's local mode are all built on this.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from typing import Any, Self

import attrs
import msgspec

from bond_core.clock import NS, Clock, SystemClock
from bond_core.errors import BondError, LimitError
from bond_core.log.cursor import Cursor, StreamEnded
from bond_core.log.event_log import Entry, EventLog, Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, Plugins
from bond_core.plugin.egress import Egress
from bond_core.runtime.binding import Defaults, bind
from bond_core.runtime.checkpoints import Checkpoints
from bond_core.runtime.contained import cause_of
from bond_core.runtime.deliveries import FLUSH_WITHIN_S, Deliveries
from bond_core.runtime.delivery import SinkHost
from bond_core.runtime.feed import Future
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.places import MemoryPlaces, Places
from bond_core.runtime.simulators import Simulators
from bond_core.spec.canonical import stream_id as derive_stream_id
from bond_core.spec.stream_spec import StreamOptions
from bond_server.compiling import Compiled, compile_request
from bond_server.language.vocabulary import Vocabulary, vocabulary_of
from bond_server.stream_state import state_of, status_of_sources, stream_metrics
from bond_server.telemetry.context import STREAM_ID
from bond_server.telemetry.ledger import Ledger
from bond_server.telemetry.tracing import NO_TRACING, TracedLog, Tracing

__all__ = ["Bond", "Compiled", "Stream", "stream"]

EPHEMERAL_S = 60.0
"""How long an ephemeral stream outlives its last client."""

DELETE_WITHIN_S = 1.0
"""How long deleting a stream waits for its sinks: who asks for another waits meanwhile."""


class Stream:
    """A stream that runs here.

    Attributes:
        stream_id: Its id.
        project: Whose it is.
        compiled: What it was made from.
        created_ns: When, by the clock.
        is_ephemeral: Whether it goes by itself after its last client.
        ends_ns: When it is complete, by the clock; None for never.
        is_complete: Whether it has come to its end: nothing more is published.
        readers: Cursors that stand on it.
    """

    def __init__(
        self, stream_id: str, project: str, compiled: Compiled, pipeline: Pipeline, tail: Tail,
        deliveries: Deliveries,
    ) -> None:  # fmt: skip
        self.stream_id = stream_id
        self.project = project
        self.compiled = compiled
        self.created_ns = pipeline.started_ns
        self.is_ephemeral = compiled.options.ephemeral
        self.is_complete = False
        duration_ms = compiled.options.duration_ms
        self.ends_ns = None if duration_ms is None else self.created_ns + duration_ms * 1_000_000
        self.readers = 0
        self.idle_since_ns: int | None = pipeline.started_ns
        self.pipeline = pipeline
        self.tail = tail
        self.deliveries = deliveries
        self.task: asyncio.Task[None] | None = None

    def state(self) -> str:
        """`starting`, `running`, `complete` or `failed`."""
        state = state_of(self.pipeline)
        return "complete" if self.is_complete and state != "failed" else state

    def asked_again(self, options: StreamOptions, now_ns: int) -> None:
        """Stay, and stay as long, as the most lasting of its requests says."""
        if self.idle_since_ns is not None:  # who asked has yet to come
            self.idle_since_ns = now_ns
        self.is_ephemeral = self.is_ephemeral and options.ephemeral
        if self.ends_ns is None or options.duration_ms is None:
            self.ends_ns = None
        else:
            self.ends_ns = max(self.ends_ns, self.created_ns + options.duration_ms * 1_000_000)

    def health(self) -> dict[str, Any]:
        """Return per source name: status, reason, venue, whether simulated, symbols that differ."""
        return status_of_sources(self.pipeline)

    def wrote(self, entry: Entry) -> None:
        """Note that a client's connection has just taken a record, to tell how long that took."""
        self.pipeline.stages.wrote(entry.offset.ms, self.pipeline.clock.monotonic_ns())

    def metrics(self) -> dict[str, Any]:
        """Return how it does: uptime, messages in and out, what was dropped, latency."""
        body = stream_metrics(self.stream_id, self.pipeline)
        return body | {"sinks": self.deliveries.health()}


class Bond:
    """Bond in this process. Use as `async with Bond() as bond:`; leaving stops everything.

    Args:
        clock: The only clock.
        catalog: What is installed; None loads it.
        log: Where records go; None keeps them in memory.
        defaults: What is assumed where a spec leaves it open.
        retention: How much of each stream is kept.
        seed: Seeds jitter and simulated markets; None draws one.
        simulator_options: By a simulator's `package.module:Class`, what to hand it.
        max_streams: How many streams one project may have.
        egress: Guards the URLs that specs bring; None lets them name any public host.
        tracing: Where spans go; nowhere, unless said.
        plugins: What loads the catalogue, and looks again at each `rescan`.
        future: What happens to events whose time lies in the future: they are refused, or
            (`clamp`) count when they were heard.
        checkpoints: Where snapshots of running streams are kept, so that they go on after a
            restart; None keeps none.
        places: How far sinks have come; None remembers it as long as the process lasts.
    """

    def __init__(  # noqa: PLR0913 -- all that the whole of Bond can be handed
        self, *, clock: Clock | None = None, catalog: Catalog | None = None,
        log: EventLog | None = None, defaults: Defaults | None = None,
        retention: Retention | None = None, seed: int | None = None,
        simulator_options: Mapping[str, Mapping[str, object]] | None = None,
        max_streams: int = 5, egress: Egress | None = None, tracing: Tracing = NO_TRACING,
        plugins: Plugins | None = None, checkpoints: Checkpoints | None = None,
        future: Future = "reject", places: Places | None = None,
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
        self.max_streams = max_streams
        self.simulators = Simulators(
            clock=self.clock, seed=1 if seed is None else seed, options=simulator_options
        )
        self.feeds = Feeds(
            clock=self.clock,
            chance=random.Random(seed),  # noqa: S311 -- jitter, no secrets
            simulators=self.simulators,
            egress=egress,
            future=future,
        )
        self.sinks = SinkHost(
            clock=self.clock,
            chance=random.Random(seed),  # noqa: S311 -- as above
            egress=egress,
            policy=self.defaults.sinks,
            places=places or MemoryPlaces(),
        )
        self.vocabulary: Vocabulary = vocabulary_of(self.catalog)
        self._streams: dict[str, Stream] = {}
        self._leaving: set[Stream] = set()
        self._gone = Ledger()
        self._changing = asyncio.Lock()  # one stream at a time begins or ends
        self._tasks = asyncio.TaskGroup()
        self._stack = AsyncExitStack()
        self._logger = logging.getLogger("bond.local")

    async def __aenter__(self) -> Self:
        """Get ready; nothing is listened to yet."""
        await self._stack.enter_async_context(self.simulators)
        await self._stack.enter_async_context(self.feeds)
        await self._stack.enter_async_context(self._tasks)
        self._reaper = self._tasks.create_task(self._reap(), name="reap ephemeral streams")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop every stream, feed and simulator."""
        self._reaper.cancel()
        # All at once: each may have sinks that take their time.
        await asyncio.gather(*map(self._leave, self._streams.values()))
        await self._stack.aclose()

    async def _leave(self, stream: Stream) -> None:
        """Stop a stream that is to go on after a restart, if it is running."""
        await self._stop_task(stream)
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
                for stream in tuple(self._streams.values()):
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

    async def create(self, compiled: Compiled, *, project: str = "local") -> tuple[Stream, bool]:
        """Start it, or find it running; return it and whether it is new.

        Raises:
            LimitError: The project has all the streams it may have.
        """
        stream_id = derive_stream_id(project, compiled.spec)
        with self.tracing.span("create", **{"bond.stream_id": stream_id}):
            return await self._create(stream_id, compiled, project)

    async def _create(
        self, stream_id: str, compiled: Compiled, project: str
    ) -> tuple[Stream, bool]:
        async with self._changing:  # counting and adding is one step
            found = self._streams.get(stream_id)
            if found is not None and found.state() not in ("complete", "failed"):
                found.asked_again(compiled.options, self.clock.now_ns())
                found.deliveries.revive(compiled.bound.sinks, self._tasks)
                return found, False
            if found is not None:
                await self._delete(found)
            used = len(self.streams(project))
            if used >= self.max_streams:
                raise LimitError(
                    f"{used} streams run already, {self.max_streams} are allowed; "
                    "delete one or raise BOND_MAX_STREAMS",
                    limit=self.max_streams,
                    used=used,
                )
            stream = await self._start(stream_id, project, compiled)
            return stream, True

    def find(self, stream_id: str) -> Stream | None:
        """Return the stream, whosever it is."""
        return self._streams.get(stream_id)

    def streams(self, project: str) -> list[Stream]:
        """Return a project's streams, the oldest first."""
        return [s for s in self._streams.values() if s.project == project]

    def all_streams(self) -> list[Stream]:
        """Return everybody's streams: for sums over them, which name none."""
        return list(self._streams.values())

    def ledger(self) -> Ledger:
        """Return what all streams did since the start, those that are gone included."""
        still_here = (*self._streams.values(), *self._leaving)
        return self._gone.with_those(stream.pipeline for stream in still_here)

    async def delete(self, stream_id: str) -> bool:
        """Stop it and forget its records; whether there was one."""
        async with self._changing:
            stream = self._streams.get(stream_id)
            if stream is not None:
                await self._delete(stream)
            return stream is not None

    async def complete(self, stream: Stream) -> None:
        """Bring a stream to its end: what is open is published, as partial, and no more."""
        async with self._changing:
            if stream.is_complete or self.find(stream.stream_id) is not stream:
                return
            stream.is_complete = True
            await self._stop_task(stream)
            try:
                await stream.pipeline.flush()
                await stream.tail.load()
            except Exception as error:  # noqa: BLE001 -- logged, and shown as the stream's failure
                self._failed(stream, error)
            stream.tail.end()
            await self._forget(stream)

    def cursor(self, stream_id: str, after: Offset | None = None) -> Cursor:
        """Stand somewhere in a stream's log: after an offset, or (None) at its top.

        Close the cursor; while one is open an ephemeral stream lives.

        Raises:
            KeyError: There is no such stream.
        """
        stream = self._streams[stream_id]
        stream.readers += 1
        stream.idle_since_ns = None
        return Cursor(stream.tail, after, on_close=lambda: self._left(stream))

    def _left(self, stream: Stream) -> None:
        stream.readers -= 1
        if stream.readers == 0:
            stream.idle_since_ns = self.clock.now_ns()

    async def _start(self, stream_id: str, project: str, compiled: Compiled) -> Stream:
        await self.log.open_stream(stream_id, self.retention)
        pipeline = Pipeline(
            compiled.bound, stream_id=stream_id, feeds=self.feeds, log=self.log,
            retention=self.retention, clock=self.clock, checkpoints=self.checkpoints,
        )  # fmt: skip
        tail = Tail(self.log, stream_id, self.retention)
        await tail.load()
        sinks = compiled.bound.sinks
        deliveries = Deliveries(sinks, stream_id=stream_id, tail=tail, host=self.sinks)
        stream = Stream(stream_id, project, compiled, pipeline, tail, deliveries)
        await pipeline.start()
        self._streams[stream_id] = stream
        # It outlives the request that asked for it, whose ids must not stand in its logs.
        stream.task = self._tasks.create_task(
            self._run(stream), name=f"stream {stream_id}", context=Context()
        )
        deliveries.start(self._tasks)
        return stream

    async def _run(self, stream: Stream) -> None:
        """Run a stream's parts; a bug in one fails this stream and no other."""
        STREAM_ID.set(stream.stream_id)
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(stream.tail.run(), name=f"tail {stream.stream_id}")
                parts.create_task(stream.pipeline.run(), name=f"run {stream.stream_id}")
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 -- as in `complete`
            self._failed(stream, error)
            stream.tail.end()  # nothing more will come: no reader may wait for it

    def _failed(self, stream: Stream, error: BaseException) -> None:
        cause = cause_of(error)
        stream.pipeline.failure = stream.pipeline.failure or f"{type(cause).__name__}: {cause}"
        self._logger.error("stream %s stopped by a bug", stream.stream_id, exc_info=error)

    async def _delete(self, stream: Stream) -> None:
        del self._streams[stream.stream_id]
        self._leaving.add(stream)
        try:
            await self._stop(stream, DELETE_WITHIN_S)
        finally:  # from one sum into the other in one step: it must not be missing from both
            self._leaving.remove(stream)
            self._gone.add(stream.pipeline)
        await stream.deliveries.forget()
        await self.log.delete(stream.stream_id)
        await self._forget(stream)

    async def _forget(self, stream: Stream) -> None:
        if self.checkpoints is not None:
            await self.checkpoints.forget(stream.stream_id)

    async def _stop(self, stream: Stream, within_s: float) -> None:
        await self._stop_task(stream)
        stream.tail.end()
        await stream.deliveries.end(within_s)

    async def _stop_task(self, stream: Stream) -> None:
        if stream.task is not None:
            stream.task.cancel()
            await asyncio.gather(stream.task, return_exceptions=True)

    async def _reap(self) -> None:
        """End streams whose time is over, and those that nobody keeps and nobody reads."""
        while True:
            await self.clock.sleep(1.0)
            for stream in tuple(self._streams.values()):
                try:
                    await self._reap_if_over(stream)
                except Exception:
                    self._logger.exception("stream %s can't be ended", stream.stream_id)

    async def _reap_if_over(self, stream: Stream) -> None:
        if stream.ends_ns is not None and self.clock.now_ns() >= stream.ends_ns:
            await self.complete(stream)
        async with self._changing:  # as long as we look, nobody asks for it again
            is_left = stream.idle_since_ns is not None and (
                self.clock.now_ns() - stream.idle_since_ns >= EPHEMERAL_S * NS
            )
            goes = stream.is_ephemeral or stream.is_complete
            if goes and is_left and self.find(stream.stream_id) is stream:
                await self._delete(stream)


@asynccontextmanager
async def stream(
    text_or_spec: str | Mapping[str, Any],
    *,
    bond: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Run one stream in this process for as long as the context lasts; gives its records.

        async with stream("BTC price every 1s") as records:
            async for record in records:
                ...

    Args:
        text_or_spec: A sentence, or a spec.
        bond: What `Bond` is made with.
        options: What a request may say beside: `duration_sec`, `label`; and `simulate`.

    Raises:
        BondError: It makes no sense, or can't be had here.
    """  # fmt: skip
    made_with = dict(bond or {})
    if options.pop("simulate", False):
        made_with["defaults"] = attrs.evolve(made_with.get("defaults", Defaults()), simulate=True)
    asked = {"natural_language" if isinstance(text_or_spec, str) else "spec": text_or_spec}
    async with Bond(**made_with) as here:
        running, _ = await here.create(here.compile({**asked, **options}))
        cursor = here.cursor(running.stream_id, START)
        try:
            yield _records(cursor)
        finally:
            cursor.close()


async def _records(cursor: Cursor) -> AsyncIterator[dict[str, Any]]:
    while True:
        try:
            batch = await cursor.next()
        except StreamEnded:
            return
        for entry in batch.entries:
            yield msgspec.json.decode(entry.data)
