"""The whole of Bond in one process: from a request to a running stream to its records.

    sentence or spec ─compile─▶ Compiled ─create─▶ Stream (a running Pipeline) ─cursor─▶ records

The server, `bond listen`, `bond demo` and the SDK's local mode are all built on this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import attrs
import msgspec

from bond_core.clock import NS
from bond_core.errors import BondError, LimitError
from bond_core.log.cursor import Cursor, Hole, StreamEnded
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail
from bond_core.plugin.discovery import PluginRow
from bond_core.runtime.binding import Defaults
from bond_core.spec.canonical import stream_id as derive_stream_id
from bond_server.compiling import Compiled
from bond_server.engine import Engine
from bond_server.registry.registry import NoRegistry, Registry
from bond_server.registry.row import Row, compiled_again, new_row
from bond_server.streams import AnyStream, KnownStream, Stream

__all__ = ["Bond", "Compiled", "Stream", "records_of", "stream"]

EPHEMERAL_S = 60.0
"""How long an ephemeral stream outlives its last client."""


class Bond(Engine):
    """Bond in this process. Use as `async with Bond() as bond:`; leaving stops everything.

    Args:
        max_streams: How many streams one project may have.
        registry: Which streams there were, and run again; nowhere, unless said.
        made_with: What an `Engine` is made with.
    """

    def __init__(
        self, *, max_streams: int = 5, registry: Registry | None = None, **made_with: Any
    ) -> None:
        super().__init__(**made_with)
        self.max_streams = max_streams
        self.registry: Registry = registry or NoRegistry()
        self._waiting: dict[str, KnownStream] = {}  # kept, and can't be had as things are

    async def __aenter__(self) -> Self:
        """Get ready, and run what ran before.

        Raises:
            SetupError: The registry can't be read.
        """
        rows = self.registry.rows()
        await self.open()
        self._reaper = self.tasks.create_task(self._reap(), name="reap ephemeral streams")
        for row in rows:
            await self.resume(row)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop every stream, feed and simulator."""
        self._reaper.cancel()
        await self.close()

    async def rescan(self) -> tuple[PluginRow, ...]:
        """See Engine; streams that could not be had are tried again, too."""
        rows = await super().rescan()
        async with self._changing:
            for waiting in tuple(self._waiting.values()):
                await self.resume(waiting.row)
        return rows

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
            found = self.running.get(stream_id)
            if found is not None and found.state() not in ("complete", "failed"):
                before = found.row
                found.asked_again(compiled.options, self.clock.now_ns())
                if found.row != before:
                    await self.registry.put(found.row)
                found.deliveries.revive(compiled.bound.sinks, self.tasks)
                return found, False
            if found is not None:
                await self._delete(found)
            self._waiting.pop(stream_id, None)  # it can be had again: it begins anew
            used = len(self.streams(project))
            if used >= self.max_streams:
                raise LimitError(
                    f"{used} streams run already, {self.max_streams} are allowed; "
                    "delete one or raise BOND_MAX_STREAMS",
                    limit=self.max_streams,
                    used=used,
                )
            row = new_row(stream_id, project, compiled, self.clock.now_ns())
            await self.registry.put(row)
            try:
                return await self.begin(row, compiled), True
            except BaseException:
                await self.registry.remove(stream_id)
                raise

    async def resume(self, row: Row) -> AnyStream:
        """Run a stream again that is kept; one that can't be had waits, and says why."""
        try:
            compiled = compiled_again(row, self.catalog, self.defaults)
            stream = await self.begin(row, compiled, takes_over=True)
        except BondError as error:
            self._logger.warning("stream %s can't run: %s", row.stream_id, error.detail)
            tail = Tail(self.log, row.stream_id, self.retention)
            tail.end()
            report = {"state": "failed", "failure": error.detail}
            waiting = self._waiting[row.stream_id] = KnownStream(row, tail, report)
            return waiting
        self._waiting.pop(row.stream_id, None)
        return stream

    def find(self, stream_id: str) -> AnyStream | None:
        """Return the stream, whosever it is."""
        return self.running.get(stream_id) or self._waiting.get(stream_id)

    def streams(self, project: str) -> list[AnyStream]:
        """Return a project's streams, the oldest first."""
        return [s for s in self.all_streams() if s.project == project]

    async def look(self, stream_id: str) -> AnyStream | None:
        """Return the stream, whosever it is. See Service."""
        return self.find(stream_id)

    async def listed(self, project: str) -> list[AnyStream]:
        """Return a project's streams, the oldest first. See Service."""
        return self.streams(project)

    def all_streams(self) -> list[AnyStream]:
        """Return everybody's streams: for sums over them, which name none."""
        if not self._waiting:
            return list(self.running.values())
        found: list[AnyStream] = [*self.running.values(), *self._waiting.values()]
        return sorted(found, key=lambda stream: stream.row.created_ns)

    async def delete(self, stream_id: str) -> bool:
        """Stop it and forget its records; whether there was one."""
        async with self._changing:
            stream = self.running.get(stream_id)
            if stream is not None:
                await self._delete(stream)
            waiting = self._waiting.pop(stream_id, None)
            if waiting is not None:
                await self.registry.remove(stream_id)
                await self.forget(stream_id)
            return stream is not None or waiting is not None

    async def complete(self, stream: Stream) -> None:
        """Bring a stream to its end: what is open is published, as partial, and no more."""
        async with self._changing:
            if stream.is_complete or self.find(stream.stream_id) is not stream:
                return
            await self.finish(stream)
            try:  # whoever hears that it is complete must find it so
                await self.registry.put(stream.row)
            finally:
                stream.tail.end()
            await self.forget_snapshot(stream.stream_id)

    async def listen(self, stream: AnyStream, after: Offset | None) -> Cursor:
        """Return a place in a stream's log. See Service."""
        return self.cursor(stream.stream_id, after)

    def cursor(self, stream_id: str, after: Offset | None = None) -> Cursor:
        """Stand somewhere in a stream's log: after an offset, or (None) at its top.

        Close the cursor; while one is open an ephemeral stream lives.

        Raises:
            KeyError: There is no such stream.
        """
        stream = self.find(stream_id)
        if stream is None:
            raise KeyError(stream_id)
        stream.readers += 1
        stream.idle_since_ns = None
        return Cursor(stream.tail, after, on_close=lambda: self._left(stream))

    def _left(self, stream: AnyStream) -> None:
        stream.readers -= 1
        if stream.readers == 0:
            stream.idle_since_ns = self.clock.now_ns()

    async def _delete(self, stream: Stream) -> None:
        await self.registry.remove(stream.stream_id)
        await self.end(stream)
        await self.forget(stream.stream_id)

    async def _reap(self) -> None:
        """End streams whose time is over, and those that nobody keeps and nobody reads."""
        while True:
            await self.clock.sleep(1.0)
            for stream in tuple(self.running.values()):
                try:
                    await self._reap_if_over(stream)
                except Exception:
                    self._logger.exception("stream %s can't be ended", stream.stream_id)

    async def _reap_if_over(self, stream: Stream) -> None:
        if stream.row.ends_ns is not None and self.clock.now_ns() >= stream.row.ends_ns:
            await self.complete(stream)
        async with self._changing:  # as long as we look, nobody asks for it again
            is_left = stream.idle_since_ns is not None and (
                self.clock.now_ns() - stream.idle_since_ns >= EPHEMERAL_S * NS
            )
            goes = stream.row.is_ephemeral or stream.is_complete
            if goes and is_left and self.find(stream.stream_id) is stream:
                await self._delete(stream)


@asynccontextmanager
async def stream(
    text_or_spec: str | Mapping[str, Any],
    *,
    bond: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[AsyncIterator[dict[str, Any] | Hole]]:
    """Run one stream in this process for as long as the context lasts; see records_of.

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
            yield records_of(cursor)
        finally:
            cursor.close()


async def records_of(cursor: Cursor) -> AsyncIterator[dict[str, Any] | Hole]:
    """Yield the records behind a place in a stream's log, until the stream ends.

    A hole comes before the record that follows it: who reads too slowly is told.
    """
    while True:
        try:
            batch = await cursor.next()
        except StreamEnded:
            return
        if batch.hole is not None:
            yield batch.hole
        for entry in batch.entries:
            yield msgspec.json.decode(entry.data)
