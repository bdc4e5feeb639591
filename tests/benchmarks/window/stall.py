"""How long the event loop stands still when a thousand streams close at one boundary.

All hear the same ten feeds, each trade of which is a thousand streams' trade; they run in one
process, on the machine's clock, and append to the log in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from bond_core.clock import SystemClock
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.model.event import Trade
from bond_core.plugin.context import Subscription
from bond_core.runtime.feed import Feed
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.ticks import Ticks
from bond_core.runtime.turns import Turns
from bond_server.process import tune_for_serving
from tests.benchmarks.figure import Figure
from tests.benchmarks.window.market import symbols_of
from tests.benchmarks.window.speed import figure
from tests.core.runtime.puppets import SPECS, bound

STREAMS, SYMBOLS = 1000, 10
BOUNDARIES, LENGTH_S = 3, 5
MUST_MS = 20.0
_PAUSE_S = 0.001


class SharedFeeds:
    """Feeds without connectors: what the benchmark says is heard."""

    def __init__(self, at_ns: int) -> None:
        self.feeds: dict[str, Feed] = {}
        self.turns = Turns()
        self.ticks = Ticks(SystemClock())
        self.at_ns = at_ns

    async def subscribe(self, origin, channel, symbol, listener, *, stale_s=None):
        """See Feeds."""
        if symbol not in self.feeds:
            described = next(c for c in SPECS[0].channels if c.name == channel)
            feed = Feed(Subscription(channel, symbol), described, at_ns=self.at_ns)
            feed.turn("live", self.at_ns)
            self.feeds[symbol] = feed
        self.feeds[symbol].attach(listener, None)
        return self.feeds[symbol]

    def unsubscribe(self, origin, feed, listener) -> None:
        """See Feeds."""
        feed.detach(listener)


def stall() -> Iterable[Figure]:
    """Yield the longest time that the loop did nothing else, in ms, at the worst boundary."""
    longest_ms, records = asyncio.run(_close_together())
    assert records >= STREAMS * SYMBOLS * BOUNDARIES
    yield figure("1000 streams close", "1 ms", longest_ms).at_most(MUST_MS)


async def _close_together() -> tuple[float, int]:
    clock, log = SystemClock(), MemoryLog()
    symbols = symbols_of(SYMBOLS)
    spec = {
        "sources": [{"type": "puppet", "exchanges": ["alpha"]}], "symbols": symbols,
        "interval_sec": LENGTH_S, "fields": ["price_close", "vwap", "volume_sum", "trades"],
    }  # fmt: skip
    feeds = SharedFeeds(clock.now_ns())
    plan = bound(spec)
    pipelines = [
        Pipeline(plan, stream_id=f"{i:016x}", feeds=feeds, log=log, retention=Retention(),
                 clock=clock)
        for i in range(STREAMS)
    ]  # fmt: skip
    for pipeline in pipelines:
        await log.open_stream(pipeline.stream_id, Retention())
        await pipeline.start()
    longest = 0.0
    tune_for_serving()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(pipeline.run()) for pipeline in pipelines]
        running += [tasks.create_task(feeds.ticks.run()), tasks.create_task(_trade(feeds, clock))]
        await asyncio.sleep(2)  # what begins together isn't what is measured
        until = time.perf_counter() + BOUNDARIES * LENGTH_S + 1
        while (before := time.perf_counter()) < until:
            await asyncio.sleep(_PAUSE_S)
            longest = max(longest, time.perf_counter() - before - _PAUSE_S)
        for task in running:
            task.cancel()
    return longest * 1000, sum(pipeline.publisher.published for pipeline in pipelines)


async def _trade(feeds: SharedFeeds, clock: SystemClock) -> None:
    """Let a trade of each symbol be heard every second."""
    while True:
        for n, (symbol, feed) in enumerate(feeds.feeds.items()):
            ts = clock.now_ns()
            feed.hear([Trade(symbol, ts, 100.0 + n, 1.0, id=f"{ts}")], ts)
            await asyncio.sleep(0.1)
