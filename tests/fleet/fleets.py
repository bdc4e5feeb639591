"""Fleets in one process, over a real Redis: workers whose streams tick, and their listeners.

Only what a venue would bring is missing: a window has one record, which says when it ended.
Leases, claims, fences, publishing, log, tails and cursors are the real ones.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import attrs

from bond_core.clock import SystemClock
from bond_core.errors import FencedError, LogUnavailableError
from bond_core.log.cursor import StreamEnded
from bond_core.log.event_log import Retention
from bond_core.log.offset import LAST_N, START
from bond_core.model.record import Record
from bond_core.runtime.publisher import Publisher, Takeover
from bond_core.windows.engine import ClosedWindow
from bond_server import engine
from bond_server.fleet.fleet import Fleet
from bond_server.fleet.places import RedisPlaces
from bond_server.redis_log.connect import connected
from bond_server.redis_log.keys import keys_of
from bond_server.redis_log.log import log_on
from bond_server.roles import ALL
from tests.server.journal import Got, Written
from tests.server.running import SPEC, SilentPipeline, a_catalog

KEEP = Retention(seconds=10**6, windows=10**6)
EVERY_S = 0.2
_NS = 1_000_000_000


class TickingPipeline(SilentPipeline):
    """Publishes a window's record whenever one is over."""

    def __init__(self, bound, *, clock, log, stream_id, retention, takes_over=False, **others):
        super().__init__(bound, clock=clock, **others)
        self._every_ns = bound.plan.pane_ns
        takeover = Takeover(self.started_ns, self._every_ns) if takes_over else None
        self.publisher = Publisher(log, stream_id, retention, takeover=takeover)
        self._end_ns = (self.started_ns // self._every_ns + 1) * self._every_ns
        self._is_first = True

    async def start(self):
        await self.publisher.open()

    async def run(self):
        while True:
            await self.clock.sleep_until(self._end_ns)
            await self._publish()

    async def hand_over(self):
        while self._end_ns <= self.clock.now_ns():
            await self._publish()
        await self.publisher.publish()

    async def flush(self):
        await self.hand_over()

    async def _publish(self):
        windows = [self._window()]
        while True:
            try:
                return await self.publisher.publish(windows)
            except LogUnavailableError:
                windows = []
                await asyncio.sleep(0.05)
                while self._end_ns <= self.clock.now_ns():
                    windows.append(self._window())
            except FencedError as error:
                self.failure = error.detail
                raise

    def _window(self):
        end_ns, self._end_ns = self._end_ns, self._end_ns + self._every_ns
        is_first, self._is_first = self._is_first, False
        record = Record(
            symbol="BTC/USDT", timeframe_ns=self._every_ns, window_start_ns=end_ns - self._every_ns,
            window_end_ns=end_ns, values={}, sources={}, partial=is_first,
        )  # fmt: skip
        return ClosedWindow(end_ns, (record,))


@asynccontextmanager
async def a_fleet(url, *roles, lease_s=1.0, **made_with):
    """Run one process's part."""
    options = {"catalog": a_catalog(), "retention": KEEP, "clock": SystemClock()} | made_with
    async with (
        connected(url) as redis,
        log_on(redis) as log,
        Fleet(
            redis=redis,
            log=log,
            roles=frozenset(roles) or ALL,
            lease_s=lease_s,
            places=RedisPlaces(redis),
            **options,
        ) as fleet,
    ):
        yield fleet


@asynccontextmanager
async def ticking(monkeypatch, url, *parts, **options):
    """Run several; each part names its roles, with commas between."""
    monkeypatch.setattr(engine, "Pipeline", TickingPipeline)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(a_fleet(url, *part.split(","), **options))
            for part in parts
        ]


async def create(fleet, project="local", **changes):
    """Create a stream, and return it."""
    request = {"spec": SPEC | {"interval_sec": EVERY_S} | changes}
    stream, _ = await fleet.create(fleet.compile(request), project=project)
    return stream


class Listener:
    """Listens to a stream by a fleet's process from its beginning, and notes what it gets."""

    def __init__(self, fleet, stream_id):
        self.fleet = fleet
        self.stream_id = stream_id
        self.got = Got()
        self.notices = []
        self.arrived = asyncio.Event()
        self.is_over = False

    async def __aenter__(self):
        stream = await self.fleet.look(self.stream_id)
        self._stream = stream
        self._cursor = await self.fleet.listen(stream, START)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._cursor.close()

    async def _read(self):
        with suppress(StreamEnded):
            while True:
                batch = await self._cursor.next()
                if batch.hole is not None:
                    self.got.gaps.append((str(batch.hole.after), str(batch.hole.until)))
                for entry in batch.entries:
                    self.got.take(entry.data)
                    self.got.lags_s.append(time.time() - entry.offset.ms / 1000)
                    self.notices += json.loads(entry.data)["notices"]
                self.arrived.set()
        self.is_over = True
        self.arrived.set()

    async def records(self, more, within_s=20):
        """Wait for so many more records."""
        goal = len(self.got.records) + more
        async with asyncio.timeout(within_s):
            while len(self.got.records) < goal:
                self.arrived.clear()
                await self.arrived.wait()

    async def ended(self, within_s=20):
        """Wait until the stream has ended."""
        async with asyncio.timeout(within_s):
            while not self.is_over:
                self.arrived.clear()
                await self.arrived.wait()


@attrs.frozen
class Truth:
    """What the log holds in the end.

    Attributes:
        written: As the checker wants it.
        ends_ms: The windows' ends, in the order of the log.
        lost: Windows that the log itself says were lost.
    """

    written: Written
    ends_ms: list[int]
    lost: int


async def truth_of(log, stream_id, every_s=EVERY_S):
    """Read a stream's whole log; windows are there once, and missing only where it says so."""
    page = await log.read(stream_id, START, 1_000_000)
    return truth_in(page.entries, stream_id, every_s)


def truth_in(entries, stream_id, every_s=EVERY_S):
    """See truth_of; for entries that were read already."""
    written = Written(stream_id)
    every_ms, lost, ends = round(every_s * 1000), 0, []
    for before, entry in itertools.pairwise((None, *entries)):
        written.data[str(entry.offset)] = entry.data
        ends.append(entry.offset.ms)
        assert json.loads(entry.data)["rev"] == 0
        if before is not None:
            missing = (entry.offset.ms - before.offset.ms) // every_ms - 1
            assert entry.offset.ms > before.offset.ms, "a window is there twice"
            if missing:
                assert entry.prev.n == LAST_N, f"{missing} windows are missing, untold"
                assert entry.prev.ms == entry.offset.ms - every_ms
                assert json.loads(entry.data)["partial"], "the first one after them is whole"
            lost += missing
    return Truth(written, ends, lost)


async def owner_of(redis, stream_id):
    """Return the worker that owns a stream, as Redis has it."""
    owner = await redis.hget(keys_of(stream_id).meta, "owner")
    return owner.decode() if owner else None


def hurry():
    """
    Return how many times longer things may take: as many times as this machine has more to do
    than it has cores for; 1 where it hasn't.

    What is promised in seconds is promised of a machine that has them to give.
    """
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return max(1.0, load / cores)


async def until(holds, within_s=10.0):
    """Return once it holds; another process's state has no event to wait for."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
