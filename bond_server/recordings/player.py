"""Play a recording: tell a fresh engine what the recorded one was told, in the same order.

    blocks ─▶ WindowEngine ─▶ Screen ─▶ Publisher ─▶ log, each record labelled

Nothing of it is heard now, so every record says `"replayed": true` at its end; but for that it is
the bytes of the recorded run, which the digests in the recording prove.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import attrs

from bond_core.clock import NS, Clock
from bond_core.errors import BondError
from bond_core.log.event_log import EventLog, Retention
from bond_core.log.offset import START, Offset
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import BoundStream, Defaults, bind
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.source_ear import SourceEar
from bond_core.runtime.tape.told import BATCHES, Call
from bond_core.spec.read import read_spec
from bond_core.spec.stream_spec import StreamOptions
from bond_server.compiling import Compiled
from bond_server.recordings.header import Header, RecordingError, as_recorded, versions
from bond_server.recordings.recording import Block, Recording
from bond_server.recordings.rereading import Rereading

LABEL = b',"replayed":true}'
"""What a replayed record ends with, in place of its brace."""

KEEPS_ALL = Retention(seconds=3650 * 86_400.0)
"""A recording may be played faster than its records are read."""


class Labelling:
    """A log whose records are labelled as they enter, and compared with those of the recording.

    Attributes:
        records: How many entered.
        differ: From which record on they aren't those of the recorded run; None while they are.
        compared: How many were compared.
    """

    def __init__(self, log: EventLog) -> None:
        self.records = self.compared = 0
        self.differ: int | None = None
        self._log = log
        self._digest = hashlib.sha256()
        self._expected: dict[int, str] = {0: self._digest.hexdigest()}
        self._same_until = 0
        self.open_stream, self.read = log.open_stream, log.read
        self.watch, self.delete = log.watch, log.delete

    async def append(
        self, stream_id: str, items: Sequence[tuple[Offset, bytes]], *, fence: int = 0,
        lost_until: Offset = START,
    ) -> None:  # fmt: skip
        """See EventLog."""
        for _, data in items:
            self._digest.update(data + b"\n")
            self.records += 1
            self._compare()
        labelled = [(offset, data[:-1] + LABEL) for offset, data in items]
        await self._log.append(stream_id, labelled, fence=fence, lost_until=lost_until)

    def expect(self, records: int, digest: str) -> None:
        """Learn what the digest of so many records is."""
        if records > self.records:
            self._expected[records] = digest
        elif records == self.records:
            self._expected[records] = digest
            self._compare()

    def _compare(self) -> None:
        expected = self._expected.pop(self.records, None)
        if expected is None or self.differ is not None:
            return
        if expected != self._digest.hexdigest():
            self.differ = self._same_until + 1
        self.compared = self._same_until = self.records


class TapeClock:
    """Shows the time of what is being told; waits by the real one."""

    def __init__(self, now_ns: int, real: Clock) -> None:
        self.shown_ns = now_ns
        self.monotonic_ns, self.sleep, self.sleep_until = (
            real.monotonic_ns, real.sleep, real.sleep_until,
        )  # fmt: skip

    def now_ns(self) -> int:
        """Return the time that was recorded."""
        return self.shown_ns

    def reach(self, at_ns: int) -> None:
        """Show a time, unless it is past."""
        if at_ns > self.shown_ns:  # noqa: PLR1730 -- it is asked for each batch
            self.shown_ns = at_ns


def compiled_from(header: Header, catalog: Catalog, name: str) -> Compiled:
    """Return what the recorded stream means here. It needs its plugins, and none of its keys.

    Raises:
        RecordingError: This version of Bond or of a plugin sees the stream otherwise.
        BondError: It can't be had here: a plugin isn't installed.
    """
    plans = {plan.name: plan for plan in header.sources}
    try:
        spec, _ = read_spec(dict(header.spec))
        bound = bind(spec, catalog, Defaults(exchanges=(), fallback=(), needs_keys=False))
        bound = bound.with_sources(lambda source: as_recorded(source, plans))
    except KeyError as error:
        detail = f"{name} has no source {error}: it was recorded by {_by(header)}"
        raise RecordingError(detail) from None
    except BondError as error:
        error.detail += f" ({name} was recorded by {_by(header)})"
        raise
    plan = attrs.evolve(bound.plan, sources=tuple(source.plan for source in bound.sources))
    warning = f"this is a replay of {name}: nothing of it happens now"
    return Compiled(
        bound=attrs.evolve(bound, plan=plan),
        options=StreamOptions(),
        understanding=None,
        assumed=(),
        warnings=(warning,),
    )


class Player:
    """Plays a recording once.

    Args:
        recording: Which one.
        bound: Its stream, from `compiled_from`.
        feeds: What a pipeline has to have; nothing is subscribed.
        log: Where the records go.
        clock: The real one.
        speed: Recorded seconds a second; None for as fast as it goes.
        rereads: Whether the messages are read again; else the recorded events are played.

    Attributes:
        pipeline: What runs.
        log: Where the records enter: says whether they are those of the recorded run.
        events: How many events were told.
        read_bytes: How much of the file was played.
        rereading: What reads the messages again; None where the events are played.
    """

    def __init__(
        self, recording: Recording, bound: BoundStream, *, feeds: Feeds, log: EventLog,
        clock: Clock, speed: float | None, rereads: bool = False,
    ) -> None:  # fmt: skip
        self.recording = recording
        self.rereading = Rereading(recording, bound) if rereads else None
        self.log = Labelling(log)
        self.events = 0
        self.read_bytes = 0
        self._speed = speed
        self._real = clock
        self._began_ns: tuple[int, int] | None = None  # of the recording, and real
        self._clock = TapeClock(recording.header.started_ns, clock)
        self.pipeline = Pipeline(
            attrs.evolve(bound, sources=(), fallbacks={}),  # nothing is listened to
            stream_id=recording.header.stream_id, feeds=feeds,
            log=self.log, retention=KEEPS_ALL, clock=self._clock,
        )  # fmt: skip
        self._sources = {source.plan.name: source for source in bound.all_sources()}

    async def play(self) -> AsyncGenerator[None]:
        """Play it, and yield whenever records may have been published.

        Raises:
            RecordingError: What is in the file makes no sense.
        """
        engine = self.pipeline.engine
        await self.pipeline.publisher.open()
        async with aclosing(self._blocks()) as blocks:
            async for calls, block in blocks:
                if block.records is not None:
                    self.log.expect(*block.records)
                self.read_bytes = block.read_bytes
                self.events += block.events
                self.pipeline.events_in += block.events
                for call in calls:
                    what, args = call
                    if what in BATCHES:  # nearly always
                        if args[1]:
                            self._clock.reach(args[1][-1].recv_ts)
                        getattr(engine, what)(*args)
                    elif what == "take":
                        await self.pipeline.publish_closed()
                        yield
                    else:
                        if what == "on_tick":
                            await self._until(args[0])
                        self._tell(call)
                await asyncio.sleep(0)
        if not engine.is_finished:  # it was cut off: what is open is partial
            engine.finish(self._clock.now_ns())
        await self.pipeline.publish_closed()
        yield

    async def _blocks(self) -> AsyncGenerator[tuple[Sequence[Call], Block]]:
        """Yield what is told in each block's time."""
        if self.rereading is None:
            for block in self.recording.blocks():
                yield block.calls, block
            return
        async with aclosing(self.rereading.calls()) as calls:
            async for each in calls:
                yield each

    def _tell(self, call: Call) -> None:
        pipeline, (what, args) = self.pipeline, call
        if what == "on_status":
            name, symbol, status, _, reason = args
            ear = pipeline.ears.get(name)
            if ear is None:
                ear = pipeline.ears[name] = SourceEar(self._sources[name], pipeline)
            ear.status[symbol] = (status, reason)
        elif what == "remove_source":
            pipeline.ears.pop(args[0], None)
        elif what == "finish":
            self._clock.reach(args[0])
        getattr(pipeline.engine, what)(*args)

    async def _until(self, at_ns: int) -> None:
        """Wait until it is time for a moment of the recording."""
        self._clock.reach(at_ns)
        if self._speed is None:
            return
        now_ns = self._real.monotonic_ns()
        if self._began_ns is None:
            self._began_ns = at_ns, now_ns
        recorded_ns, real_ns = self._began_ns
        wait_s = ((at_ns - recorded_ns) / self._speed - (now_ns - real_ns)) / NS
        if wait_s > 0:
            await self._real.sleep(wait_s)

    def said(self) -> list[str]:
        """Return in some lines how it went: what was read again, and how the records compare."""
        read = [] if self.rereading is None else self.rereading.said()
        return [*read, self._compared()]

    def _compared(self) -> str:
        log = self.log
        if log.differ is not None:
            now = ", ".join(f"{name} {version}" for name, version in versions().items())
            return (
                f"from record {log.differ} on they are not those of the recorded run: it was "
                f"recorded by {_by(self.recording.header)}, and this is {now}"
            )
        if not log.compared:
            return "the recording doesn't say what its records were"
        return f"{log.compared} of {log.records} records compared: byte for byte as recorded"

    def told(self) -> dict[str, Any]:
        """Return how it went, for programs."""
        return {
            "events": self.events, "records": self.log.records, "compared": self.log.compared,
            "differ_from": self.log.differ, "cut_off": self.recording.cut_off,
        }  # fmt: skip


def _by(header: Header) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(header.versions.items()))
