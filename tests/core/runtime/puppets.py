"""Streams whose sources do what a test says, run from the spec to the record's JSON.

Four connectors: `puppet` (trades and quotes of three venues), `sampled` (a polled venue),
`posts` (by asset, counted when heard) and `chain` (belonging to no symbol).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import attrs

from bond_core.aggregators import plugin as builtin
from bond_core.clock import NS, ManualClock, settle
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START
from bond_core.model.event import Event
from bond_core.plugin import (
    Capabilities,
    Channel,
    ConnectorSpec,
    Context,
    PollingConnector,
    setting,
)
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_core.runtime.binding import Defaults, bind
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.simulators import Simulators
from bond_core.spec.read import read_spec

START_NS = 1_700_000_000 * NS
PRICES = ("price_avg", "price_open", "price_high", "price_low", "price_close")


@attrs.frozen
class VenueConfig:
    """Which of its venues a puppet is."""

    venue: str = setting(doc="Which venue")


@attrs.frozen
class PollConfig:
    """How often a puppet is asked."""

    every_s: float = setting(default=5.0, doc="Seconds between polls")


class Puppet:
    """Confirms what is wanted, and then says what the test says through `said_by`."""

    contexts: ClassVar[dict[str, Context]] = {}
    unlisted: ClassVar[set[tuple[str, str]]] = set()
    name = ""

    def __init__(self, config: Any) -> None:
        self.who = getattr(config, "venue", self.name)

    async def run(self, ctx: Context) -> None:
        """See Connector."""
        self.contexts[self.who] = ctx
        wanted = ctx.wanted.current()
        while True:
            for each in sorted(wanted):
                if (self.who, each.symbol) in self.unlisted:
                    ctx.failed(each.channel, each.symbol, "unlisted")
                else:
                    ctx.live(each.channel, each.symbol)
            wanted = await ctx.wanted.changed(wanted)


class PostsPuppet(Puppet):
    """What people write."""

    name = "posts"


class ChainPuppet(Puppet):
    """What a chain does."""

    name = "chain"


class SampledPuppet(PollingConnector):
    """Answers polls with what stands in `answer`; an error is raised."""

    answer: ClassVar[Callable[[Context], Sequence[Event]]]

    def __init__(self, config: PollConfig) -> None:
        super().__init__(config)
        self.every_s = config.every_s

    async def poll(self, ctx: Context, channel: str, symbols: Sequence[str]) -> Sequence[Event]:
        """See PollingConnector."""
        return type(self).answer(ctx)


SPECS = (
    ConnectorSpec(
        name="puppet", factory=f"{__name__}:Puppet", config=VenueConfig, summary="trades",
        venues=("alpha", "beta", "gamma"),
        channels=(
            Channel(name="trades", kind="trade", fields=(*PRICES, "vwap", "volume_sum", "trades"),
                    stale_s=None),
            Channel(name="quotes", kind="quote", fields=("bid_avg", "ask_avg"), stale_s=None),
        ),
    ),
    ConnectorSpec(
        name="sampled", factory=f"{__name__}:SampledPuppet", config=PollConfig, summary="polled",
        channels=(Channel(name="ticker", kind="quote",
                          fields=(*PRICES, "bid_avg", "ask_avg", "volume_sum", "trades")),),
        polls_every_s=5.0, capabilities=Capabilities(mode="poll"),
    ),
    ConnectorSpec(
        name="posts", factory=f"{__name__}:PostsPuppet", summary="posts", default_symbol="asset",
        channels=(Channel(name="posts", kind="post", fields=("tweets",), time="receive",
                          gates=False, stale_s=None, by_base=True),),
    ),
    ConnectorSpec(
        name="chain", factory=f"{__name__}:ChainPuppet", summary="chain",
        channels=(Channel(name="blocks", kind="chain", fields=("onchain_count",), scope="stream",
                          stale_s=None),),
    ),
)  # fmt: skip


def bound(spec: dict[str, Any], specs: Sequence[ConnectorSpec] | None = None) -> Any:
    """Return a spec bound to these connectors."""
    rows = [
        PluginRow(name=name, distribution=name, version="1", module=name, state="loaded", specs=s)
        for name, s in (
            ("builtin", register(builtin, name="builtin")),
            ("puppets", SPECS if specs is None else specs),
        )
    ]
    return bind(read_spec(spec)[0], Catalog(rows), Defaults())


class World:
    """The clock, the feeds and the log that streams here share."""

    def __init__(
        self, feeds: Feeds, clock: ManualClock, specs: Sequence[ConnectorSpec] | None = None
    ) -> None:
        self.clock = clock
        self.specs = specs
        self.log = MemoryLog()
        self._feeds = feeds

    @asynccontextmanager
    async def stream(self, spec: dict[str, Any], stream_id: str = "s") -> AsyncIterator[Pipeline]:
        """Run a stream for as long as the context lasts."""
        pipeline = Pipeline(
            bound(spec, self.specs), stream_id=stream_id, feeds=self._feeds, log=self.log,
            retention=Retention(seconds=10_000), clock=self.clock,
        )  # fmt: skip
        await pipeline.start()
        running = asyncio.create_task(pipeline.run())
        await settle()
        try:
            yield pipeline
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def emit(self, who: str, channel: str, *events: Event) -> None:
        """Have a puppet hear events."""
        Puppet.contexts[who].emit(channel, events)

    async def records(self, stream_id: str = "s") -> list[dict[str, Any]]:
        """Return a stream's records as clients get them."""
        page = await self.log.read(stream_id, START, limit=100_000)
        return [json.loads(entry.data) for entry in page.entries]


def play(
    story: Callable[[World], Awaitable[None]], *, at_s: float = 0.0,
    specs: Sequence[ConnectorSpec] | None = None,
) -> None:  # fmt: skip
    """Let a story happen, beginning so many seconds after a full minute."""

    async def run() -> None:
        clock = ManualClock(START_NS + round(at_s * NS) + 40 * NS)  # a full minute
        simulators = Simulators(clock=clock)
        Puppet.contexts.clear()
        Puppet.unlisted.clear()
        async with Feeds(clock=clock, chance=random.Random(1), simulators=simulators) as feeds:
            await story(World(feeds, clock, specs))

    asyncio.run(run())
