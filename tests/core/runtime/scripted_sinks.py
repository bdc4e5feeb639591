"""A sink that does what a test's script says, run by the real Delivery on a real log."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import attrs

from bond_core.clock import ManualClock
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import Offset
from bond_core.log.tail import Tail
from bond_core.plugin.egress import Egress
from bond_core.plugin.specs import Batching, SinkSpec
from bond_core.runtime.deliveries import Deliveries
from bond_core.runtime.delivery import SinkHost
from bond_core.runtime.places import MemoryPlaces
from bond_core.runtime.sink_policy import SinkPolicy
from bond_core.runtime.sinks import BoundSink

STREAM = "8f2a1c9d4b3e7a10"


class Script:
    """What a sink does, and what was asked of it.

    Attributes:
        faults: What its next writes raise, one after the other; None lets one pass.
        opening: What its next opens raise.
        hold: While it isn't set, a write waits.
        batches: What was acknowledged.
        tried: What was handed over, acknowledged or not.
    """

    def __init__(self, *faults, opening=()):
        self.faults = list(faults)
        self.opening = list(opening)
        self.hold = asyncio.Event()
        self.hold.set()
        self.ignores_cancelling = False
        self.batches, self.tried = [], []
        self.opened = self.closed = self.made = 0

    @property
    def ids(self):
        return [record["id"] for batch in self.batches for record in batch]


@attrs.frozen
class ScriptConfig:
    """Settings of a scripted sink."""

    script: Script


class ScriptedSink:
    """Plays its script."""

    def __init__(self, config):
        self.script = config.script
        self.script.made += 1

    async def open(self, ctx):
        if self.script.opening and (fault := self.script.opening.pop(0)) is not None:
            raise fault
        self.script.opened += 1

    async def write(self, batch, ctx):
        script = self.script
        script.tried.append(list(batch))
        while not script.hold.is_set():
            try:
                await script.hold.wait()
            except asyncio.CancelledError:
                if not script.ignores_cancelling:
                    raise
        if script.faults and (fault := script.faults.pop(0)) is not None:
            raise fault
        script.batches.append(list(batch))

    async def close(self):
        self.script.closed += 1


def a_sink(script, *, name="out", delivery="at_least_once", batch=None, write_within_s=60.0):
    """Return a sink that plays a script, ready to be run."""
    spec = SinkSpec(
        name="scripted", factory=f"{__name__}:ScriptedSink", summary="s", config=ScriptConfig,
        delivery=delivery, write_within_s=write_within_s,
    )  # fmt: skip
    batch = batch or Batching(records=100, wait_s=1.0)
    return BoundSink(name=name, spec=spec, config=ScriptConfig(script), batch=batch)


class Run:
    """A stream's log that a test appends to, and its sinks."""

    def __init__(self, log, tail, clock, deliveries):
        self.log, self.tail, self.clock, self.deliveries = log, tail, clock, deliveries

    async def append(self, *ends_ms, size=0):
        """Append a window of one record for each end."""
        for ms in ends_ms:
            pad = f',"pad":"{"x" * size}"' if size else ""
            data = f'{{"id":"{ms}-0","price_avg":1.5{pad}}}'.encode()
            await self.log.append(STREAM, [(Offset(ms, 0), data)])

    def health(self, name="out"):
        return self.deliveries.health()[name]


@asynccontextmanager
async def running(*sinks, log=None, places=None, clock=None, retention=None, end_s=0.2):
    """Run sinks on a log; ends them in order."""
    log, clock = log or MemoryLog(), clock or ManualClock()
    retention = retention or Retention()
    await log.open_stream(STREAM, retention)
    tail = Tail(log, STREAM, retention)
    await tail.load()
    host = SinkHost(
        clock=clock, chance=random.Random(1), egress=Egress(), policy=SinkPolicy(),
        places=places or MemoryPlaces(),
    )  # fmt: skip
    deliveries = Deliveries(sinks, stream_id=STREAM, tail=tail, host=host)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(tail.run())
        deliveries.start(tasks)
        yield Run(log, tail, clock, deliveries)
        tail.end()
        await deliveries.end(end_s)
        following.cancel()


async def until(clock, done, *, within_s=600.0, step_s=0.25):
    """Move the clock until it is so."""
    moved = 0.0
    while not done():
        assert moved < within_s, "it did not happen"
        await asyncio.sleep(0.001)  # the import of a factory is in a thread
        await clock.advance(step_s)
        moved += step_s
