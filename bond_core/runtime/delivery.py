"""Carry one stream's records to one sink: a cursor on the log like any client's, and batches.

    tail ──▶ Cursor ──▶ batch ──▶ Sink.write ──▶ place kept
             what fell out of the ring   raises: the same batch again, later
             comes as a gap record

Nothing is held but the batch that is being written: what waits lies in the stream's own ring,
which every client shares. So a sink that is slow, or hangs, costs the stream and other sinks
nothing, and what it could not take in time it is told of.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal

import attrs
import msgspec

from bond_core.clock import Clock
from bond_core.errors import BondError, Fatal, PluginError, Retryable
from bond_core.log.cursor import Cursor
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail
from bond_core.plugin.egress import Egress
from bond_core.plugin.factories import load_class
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.contained import cause_of
from bond_core.runtime.errand import Errand
from bond_core.runtime.hiding import Hiding
from bond_core.runtime.places import Place, Places
from bond_core.runtime.sink_policy import SinkPolicy
from bond_core.runtime.sinks import BoundSink

STOP_WITHIN_S = 1.0
"""How long a write may take to stop once cancelled. Real seconds: it may hang anywhere."""

CLOSE_WITHIN_S = 2.0
"""How long closing may take. Real seconds."""

LONGEST_PAUSE_S = 3600.0
"""However long a sink's other side asks to be left alone."""

State = Literal["starting", "live", "retrying", "failed", "closed"]


@attrs.define
class SinkCounts:
    """What became of the records of one sink.

    Attributes:
        delivered: Records that were acknowledged.
        batches: In so many batches.
        retried: Attempts that were repeated.
        lost: Records that a `best_effort` sink did not take.
        gaps: Holes it was told of: what they held fell out of the ring before it was taken.
    """

    delivered: int = 0
    batches: int = 0
    retried: int = 0
    lost: int = 0
    gaps: int = 0


@attrs.frozen(kw_only=True)
class SinkHost:
    """What the sinks of a process share.

    Attributes:
        chance: Draws the jitter of pauses.
        totals: By a sink's type and what is counted, over all streams since the start.
        backoff: The pauses between attempts.
    """

    clock: Clock
    chance: random.Random
    egress: Egress
    policy: SinkPolicy
    places: Places
    totals: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    backoff: Backoff = attrs.field(factory=Backoff)


class Delivery:
    """Runs one sink of one stream.

    Attributes:
        sink: Which.
        state: `starting` until it is open, `live`, `retrying` after a failure until it works
            again, `failed` for good, `closed` at the stream's end.
        reason: Why, where it is `retrying` or `failed`.
        counts: What became of the records.
        place: How far it has come.
    """

    def __init__(self, sink: BoundSink, *, stream_id: str, tail: Tail, host: SinkHost) -> None:
        self.sink = sink
        self.state: State = "starting"
        self.reason: str | None = None
        self.counts = SinkCounts()
        self.place = Place(after=START, epoch="")
        self._stream_id = stream_id
        self._tail = tail
        self._host = host
        self._hide = Hiding(sink.config)
        self._log = self._hide.logger(f"bond.sink.{sink.spec.name}")
        self._name = f"sink {sink.name} of {stream_id}"
        self._ctx = Errand(
            stream_id=stream_id, sink_name=sink.name, clock=host.clock, log=self._log,
            egress=host.egress, policy=host.policy,
        )  # fmt: skip
        self._cursor = Cursor(tail, START)
        self._object: Any = None
        self._is_open = False
        self._missed: dict[str, Any] | None = None
        self._is_leaving = asyncio.Event()

    async def run(self) -> None:
        """Deliver until the stream has ended and all of it is delivered, or it failed for good."""
        try:
            await self._repeat(self._begin)
            while await self._is_due():
                await self._deliver(self._take())
            self._turn("closed")
        except _OverError as over:
            self._turn("failed", over.reason)
        except Exception as error:  # noqa: BLE001 -- it ends this sink, and nothing else
            self._log.error("%s: bug in its delivery", self._name, exc_info=error)
            self._turn("failed", f"bug: {type(error).__name__}")
        finally:
            self._cursor.close()
            await self._close()

    def leave(self) -> None:
        """Pause no longer than the other side asks for: somebody waits for the end."""
        self._is_leaving.set()

    def health(self) -> dict[str, Any]:
        """Return how it does, as plain data."""
        body: dict[str, Any] = {"type": self.sink.spec.name, "status": self.state}
        if self.reason is not None:
            body["reason"] = self.reason
        waiting = self._tail.after(self.place.after, 1_000_000)
        body |= attrs.asdict(self.counts) | {
            "waiting": len(waiting),
            "lag_ms": self._tail.top.ms - waiting[0].offset.ms if waiting else 0,
            "after": None if self.place.after == START else str(self.place.after),
        }
        report = getattr(self._object, "report", None)
        if callable(report):
            try:
                said = msgspec.json.encode(report()).decode()
                body["report"] = msgspec.json.decode(self._hide(said))
            except Exception as error:  # noqa: BLE001 -- a plugin's code may raise anything
                self._log.error("%s: bug in its report", self._name, exc_info=error)
        return body

    async def _begin(self) -> None:
        await self._find_place()
        await self._opened()

    async def _find_place(self) -> None:
        kept = await self._host.places.read(self._stream_id, self.sink.name)
        if kept is not None and kept.epoch != self._tail.epoch:
            # Another life of the log: whatever came between is in neither.
            self._missed = {"after": str(kept.after), "reason": "restart"}
            kept = None
        self.place = kept or Place(after=START, epoch=self._tail.epoch)
        self._cursor.position = self.place.after

    # From the log

    async def _is_due(self) -> bool:
        """Wait until a batch is to be written; False once nothing more will come."""
        await self._until(1, 0)
        if not self._tail.has_ended:
            batch = self.sink.batch
            await _either(
                self._host.clock.sleep(batch.wait_s), self._until(batch.records, batch.size_bytes)
            )
        return self._has_more()

    async def _until(self, records: int, size_bytes: int) -> None:
        """Return once so much waits, or the stream has ended."""
        seen, found, found_bytes = self._cursor.position, 0, 0
        stirred = asyncio.Event()
        wake = stirred.set
        self._tail.attach(wake)
        try:
            while not self._tail.has_ended:
                stirred.clear()
                for entry in self._tail.after(seen, records - found):
                    seen = entry.offset
                    found += 1
                    found_bytes += len(entry.data)
                if found >= records or 0 < size_bytes <= found_bytes:
                    return
                await stirred.wait()
        finally:
            self._tail.detach(wake)

    def _has_more(self) -> bool:
        return self._tail.top > self._cursor.position

    def _take(self) -> list[dict[str, Any]]:
        batch = self.sink.batch
        found = self._cursor.ready(batch.records, batch.size_bytes)
        records: list[dict[str, Any]] = [msgspec.json.decode(e.data) for e in found.entries]
        missed, self._missed = self._missed, None
        if missed is not None:
            records.insert(0, self._gap(until=found.entries[0].offset, **missed))
        elif found.hole is not None and found.hole.after != START:
            hole = found.hole
            records.insert(0, self._gap(str(hole.after), hole.until, hole.reason))
        return records

    def _gap(self, after: str, until: Offset, reason: str) -> dict[str, Any]:
        self._count("gaps", 1)
        self._log.warning(
            "%s: records after %s and before %s can't be had any more: %s",
            self._name, after, until, reason,
        )  # fmt: skip
        told = {"after": after, "until": str(until), "reason": reason}
        return {"id": f"{after}~{until}", "stream_id": self._stream_id, "gap": told}

    # To the sink

    async def _deliver(self, batch: Sequence[Mapping[str, Any]]) -> None:
        records = sum("gap" not in record for record in batch)

        async def write() -> None:
            sink = await self._opened()
            await sink.write(batch, self._ctx)

        if await self._repeat(write, at_most=self._most_attempts()):
            self._count("delivered", records)
            self._count("batches", 1)
        else:
            self._count("lost", records)
        self.place = Place(after=self._cursor.position, epoch=self._tail.epoch)
        try:
            await self._host.places.keep(self._stream_id, self.sink.name, self.place)
        except OSError as error:
            # It is known here; after a crash some records would come once more.
            self._log.warning("%s: its place can't be kept: %s", self._name, error.strerror)

    def _most_attempts(self) -> int | None:
        return 1 if self.sink.spec.delivery == "best_effort" else None

    async def _opened(self) -> Any:
        if self._object is None:
            self._object = (await _loaded(self.sink.spec.factory))(config=self.sink.config)
        if not self._is_open:
            await self._object.open(self._ctx)
            self._is_open = True
        return self._object

    async def _repeat(
        self, call: Callable[[], Coroutine[Any, Any, Any]], *, at_most: int | None = None
    ) -> bool:
        """Call until it works, pausing in between; False where it was tried often enough.

        Raises:
            _OverError: It never will.
        """
        failures = 0
        while True:
            try:
                await self._attempt(call)
            except Exception as raised:  # noqa: BLE001 -- a plugin's code may raise anything
                error = cause_of(raised)
                if not isinstance(error, (Retryable, OSError, TimeoutError)):
                    raise _OverError(self._hide(self._why_over(error))) from None
                why = _said(error)
                asked_s = getattr(error, "retry_after_s", None) or 0.0
                await self._pause(self._hide(why), failures, min(asked_s, LONGEST_PAUSE_S))
                failures += 1
                if failures == at_most:
                    return False
                self._count("retried", 1)
            else:
                self._turn("live")
                return True

    async def _attempt(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        run = asyncio.create_task(_contained(call), name=self._name)
        limit_s = self.sink.spec.write_within_s
        limit = asyncio.create_task(self._host.clock.sleep(limit_s), name=f"limit of {self._name}")
        try:
            await asyncio.wait({run, limit}, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                raise Retryable(f"it took longer than {limit_s:g} s")
            if run.cancelled():  # not by us, and not to be mistaken for it
                raise RuntimeError("it ended with a CancelledError of its own")
            run.result()
        finally:
            limit.cancel()
            if not run.done():
                await self._stop(run)

    async def _stop(self, run: asyncio.Task[None]) -> None:
        """End a write that is under way; what it was doing with the object nobody knows."""
        run.cancel()
        await asyncio.wait({run}, timeout=STOP_WITHIN_S)
        if not run.done():
            self._log.error("%s: does not stop when cancelled; left behind", self._name)
            self._object = None  # the next attempt must not meet it on one object
            self._is_open = False
        elif not run.cancelled():
            run.exception()  # seen: asyncio complains of what nobody looked at

    async def _pause(self, why: str, failures: int, asked_s: float) -> None:
        pause_s = self._host.backoff.pause_s(failures, self._host.chance)
        self._turn("retrying", why)
        self._log.warning("%s: %s; again in %.1f s", self._name, why, max(pause_s, asked_s))
        await self._host.clock.sleep(asked_s)
        if pause_s > asked_s:
            await _either(self._host.clock.sleep(pause_s - asked_s), self._is_leaving.wait())
        if self._is_leaving.is_set():
            await self._host.clock.sleep(min(pause_s, self._host.backoff.first_s))

    def _why_over(self, error: BaseException) -> str:
        if isinstance(error, (Fatal, PluginError)):
            return _said(error)
        self._log.error("%s: bug in the sink", self._name, exc_info=error)
        return f"bug in the sink: {type(error).__name__}: {error}"

    async def _close(self) -> None:
        made, self._object = self._object, None
        if made is None:
            return
        closing = asyncio.create_task(_contained(made.close), name=f"close {self._name}")
        await asyncio.wait({closing}, timeout=CLOSE_WITHIN_S)
        if not closing.done():
            closing.cancel()
            self._log.error("%s: does not close; left behind", self._name)
        elif not closing.cancelled() and (error := closing.exception()) is not None:
            self._log.error("%s: failed to close", self._name, exc_info=error)

    def _turn(self, state: State, reason: str | None = None) -> None:
        if state == "failed":
            self._log.error("%s has failed: %s", self._name, reason)
        self.state, self.reason = state, reason

    def _count(self, what: str, n: int) -> None:
        setattr(self.counts, what, getattr(self.counts, what) + n)
        self._host.totals[self.sink.spec.name, what] += n


class _OverError(Exception):
    """This sink will never work as it is set up."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _said(error: BaseException) -> str:
    if not isinstance(error, BondError):
        return f"{type(error).__name__}: {error}"
    return error.detail + (f" Try: {error.fix}" if error.fix else "")


async def _contained(call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Call a sink; what would end the whole process ends only the sink."""
    try:
        await call()
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error


async def _loaded(factory: str) -> Any:
    """Import a class: in a thread if it has yet to be imported, for an SDK may take long."""
    if factory.partition(":")[0] in sys.modules:
        return load_class(factory)
    return await asyncio.to_thread(load_class, factory)


async def _either(*parts: Awaitable[Any]) -> None:
    """Return when one of them has ended; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
