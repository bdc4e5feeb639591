"""A stream from its sources to its records, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, ClassVar

import attrs
import pytest

from bond_core.aggregators import plugin as builtin
from bond_core.clock import NS, ManualClock, settle
from bond_core.errors import Fatal, RequestError, Retryable
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START
from bond_core.model.event import Quote, Trade
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.context import Context
from bond_core.plugin.discovery import PluginRow, register
from bond_core.plugin.specs import Channel, ConnectorSpec
from bond_core.runtime.binding import Defaults, bind
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.simulators import Simulators
from bond_core.settings import setting
from bond_core.spec.read import read_spec

START_NS = 1_700_000_000 * NS
_PRICES = ("price_avg", "price_open", "price_high", "price_low", "price_close", "vwap")


@attrs.frozen
class VenueConfig:
    venue: str = setting(doc="Which venue")


class Puppet:
    """A connector that does what the test says, by venue."""

    running: ClassVar[dict[str, Context]] = {}
    ended: ClassVar[dict[str, asyncio.Future[None]]] = {}

    def __init__(self, config: VenueConfig) -> None:
        self.venue = config.venue

    async def run(self, ctx: Context) -> None:
        self.running[self.venue] = ctx
        self.ended[self.venue] = asyncio.get_running_loop().create_future()
        for wanted in ctx.wanted.current():
            ctx.live(wanted.channel, wanted.symbol)
        await self.ended[self.venue]


SPEC = ConnectorSpec(
    name="puppet",
    factory=f"{__name__}:Puppet",
    config=VenueConfig,
    summary="Does what the test says",
    venues=("alpha", "beta", "gamma"),
    channels=(
        Channel(name="trades", kind="trade", fields=(*_PRICES, "volume_sum", "trades"), stale_s=5),
        Channel(name="quotes", kind="quote", fields=("bid_avg", "ask_avg"), stale_s=None),
    ),
)


class World:
    """A running stream, the clock that moves it, and the records it made."""

    def __init__(self, clock: ManualClock, log: MemoryLog, pipeline: Pipeline) -> None:
        self.clock = clock
        self.pipeline = pipeline
        self._log = log

    async def trade(self, venue: str, price: float, size: float = 1.0, **more: Any) -> None:
        event = Trade(symbol="BTC/USDT", ts=self.clock.now_ns(), price=price, size=size, **more)
        Puppet.running[venue].emit("trades", [event])
        await settle()

    async def break_off(self, venue: str, error: Exception) -> None:
        Puppet.ended[venue].set_exception(error)
        await settle()

    async def records(self) -> list[dict[str, Any]]:
        page = await self._log.read("s", START, limit=10_000)
        return [json.loads(entry.data) for entry in page.entries]


def _a_spec(**more: Any) -> dict[str, Any]:
    source = {"type": "puppet", "exchanges": ["alpha"], **more.pop("source", {})}
    return {"sources": [source], "symbols": ["BTC/USDT"], "interval_sec": 1,
            "fields": ["price_close", "trades", "volume_sum"], **more}  # fmt: skip


def _catalog() -> Catalog:
    rows = [
        PluginRow(name=name, distribution=name, version="1", module=name, state="loaded", specs=s)
        for name, s in (("builtin", register(builtin, name="builtin")), ("puppet", (SPEC,)))
    ]
    return Catalog(rows)


@asynccontextmanager
async def _a_world(spec: dict[str, Any]) -> AsyncIterator[World]:
    clock, log = ManualClock(START_NS), MemoryLog()
    bound = bind(read_spec(spec)[0], _catalog(), Defaults())
    simulators = Simulators(clock=clock)
    async with Feeds(clock=clock, chance=random.Random(1), simulators=simulators) as feeds:
        pipeline = Pipeline(
            bound, stream_id="s", feeds=feeds, log=log, retention=Retention(), clock=clock
        )
        await pipeline.start()
        running = asyncio.create_task(pipeline.run())
        await settle()
        try:
            yield World(clock, log, pipeline)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def _play(spec: dict[str, Any], story: Callable[[World], Any]) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        async with _a_world(spec) as world:
            await story(world)
            return await world.records()

    return asyncio.run(run())


def test_a_window_closes_when_its_sources_have_passed_it() -> None:
    """
    Half a second of lateness after the next event, the record is there.
    """

    async def story(world: World) -> None:
        #  0 ──── 1s ──── 2s
        #  t  t       t             the third trade passes 1 s + lateness
        await world.trade("alpha", 100.0, 2.0)
        await world.clock.advance(0.4)
        await world.trade("alpha", 101.0, 1.0)
        await world.clock.advance(1.2)
        assert len(await world.records()) == 0
        await world.trade("alpha", 102.0, 1.0)
        await world.clock.advance(0.05)

    (record,) = _play(_a_spec(), story)

    assert (record["price_close"], record["trades"], record["volume_sum"]) == (101.0, 2, 3.0)
    assert record["raw_data"] == {"trades": 2, "sources": ["alpha"]}
    assert record["sources"]["alpha"]["count"] == 2


def test_a_silent_market_gives_zeros_and_null_prices() -> None:
    """
    Listening and hearing nothing is a count of 0 and a price of null, in every window.
    """

    async def story(world: World) -> None:
        await world.clock.advance(5.0)

    records = _play(_a_spec(), story)

    assert len(records) == 3
    assert {(r["price_close"], r["trades"], r["volume_sum"]) for r in records} == {(None, 0, 0)}


def test_a_venue_that_is_down_makes_unknown_not_zero() -> None:
    """
    While nobody is heard, prices and counts are null, and the reason is told.
    """

    async def story(world: World) -> None:
        await world.trade("alpha", 100.0)
        await world.break_off("alpha", Fatal("the key is wrong"))
        await world.clock.advance(5.0)

    records = _play(_a_spec(), story)

    assert records[0]["trades"] == 1
    assert [(r["price_close"], r["trades"], r["volume_sum"]) for r in records[1:]] == [
        (None, None, None)
    ] * 2
    assert records[-1]["sources"]["alpha"]["status"] == "failed"
    assert "the key is wrong" in records[-1]["sources"]["alpha"]["reason"]
    assert records[-1]["sources"]["alpha"]["count"] is None


def test_a_stalled_venue_is_stood_in_for_by_the_next_that_is_not_down() -> None:
    """
    Alpha stalls, beta steps in and fails at once, gamma serves; alpha returns, gamma leaves.
    """

    async def story(world: World) -> None:
        await world.trade("alpha", 100.0)
        await world.clock.advance(5.5)  # stale after 5 s without progress
        await world.break_off("beta", Fatal("closed for good"))
        await world.trade("gamma", 200.0)
        await world.clock.advance(3.0)
        await world.trade("alpha", 101.0)
        await world.clock.advance(5.0)

    records = _play(_a_spec(source={"fallback": ["beta", "gamma"]}), story)

    served = [tuple(r["raw_data"]["sources"]) for r in records if r["raw_data"]["sources"]]
    assert served == [("alpha",), ("gamma",), ("alpha",)]
    told = [n["code"] for r in records for n in r["notices"]]
    assert told.count("stale") == 1
    assert "gap" in told
    assert "gamma" not in records[-1]["sources"]
    assert all(a["window_end"] == b["window_start"] for a, b in pairwise(records))


def test_every_event_is_accounted_for() -> None:
    """
    In windows + late + duplicates + rejected is what was sent.
    """

    async def story(world: World) -> None:
        await world.trade("alpha", 100.0, id="1")
        await world.trade("alpha", 100.0, id="1")
        await world.trade("alpha", float("nan"), id="2")
        await world.trade("alpha", 100.0, -1.0, id="3")
        await world.clock.advance(4.0)
        old = Trade(symbol="BTC/USDT", ts=START_NS, price=99.0, size=1.0, id="4")
        Puppet.running["alpha"].emit("trades", [old])
        await world.clock.advance(4.0)

    records = _play(_a_spec(), story)
    reports = [r["sources"]["alpha"] for r in records]
    sums = {key: sum(r[key] or 0 for r in reports)
            for key in ("count", "late", "duplicates", "rejected")}  # fmt: skip

    assert sums == {"count": 1, "late": 1, "duplicates": 1, "rejected": 2}
    assert {"late_dropped", "rejected"} <= {n["code"] for r in records for n in r["notices"]}


def test_a_bug_in_one_connector_is_shown_and_the_other_venue_goes_on() -> None:
    """
    Two venues count together; one breaks, the other's trades are there all the same.
    """

    async def story(world: World) -> None:
        await world.break_off("alpha", ZeroDivisionError("division by zero"))
        await world.clock.advance(1.0)
        await world.trade("beta", 100.0)
        await world.clock.advance(4.0)

    records = _play(_a_spec(source={"exchanges": ["alpha", "beta"]}), story)

    assert sum(r["trades"] or 0 for r in records) == 1
    last = records[-1]["sources"]
    assert last["alpha"]["status"] == "failed"
    assert "ZeroDivisionError" in last["alpha"]["reason"]
    assert last["beta"]["status"] == "live"


def test_a_dropped_connection_is_taken_up_again_and_the_hole_is_told() -> None:
    """
    Reconnecting, then live again with a gap notice; the feed is the same one.
    """

    async def story(world: World) -> None:
        await world.trade("alpha", 100.0)
        await world.break_off("alpha", Retryable("the venue closed the connection"))
        assert world.pipeline.ears["alpha"].status["BTC/USDT"][0] == "reconnecting"
        await world.clock.advance(2.0)
        await world.trade("alpha", 101.0)
        await world.clock.advance(4.0)

    records = _play(_a_spec(), story)

    assert [n["code"] for r in records for n in r["notices"]].count("gap") == 1
    assert records[-1]["sources"]["alpha"]["status"] == "live"


def test_a_second_channel_of_a_venue_has_a_name_of_its_own() -> None:
    """
    Trades are `alpha`, quotes `alpha.quotes`; both are in the record.
    """

    async def story(world: World) -> None:
        quote = Quote(symbol="BTC/USDT", ts=START_NS, bid=99.0, ask=101.0)
        Puppet.running["alpha"].emit("quotes", [quote])
        await world.clock.advance(4.0)

    spec = _a_spec()
    del spec["fields"]
    records = _play(spec, story)

    assert set(records[0]["sources"]) == {"alpha", "alpha.quotes"}
    assert (records[0]["bid_avg"], records[0]["ask_avg"]) == (99.0, 101.0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fields": ["volume"]}, "unknown_field"),
        ({"source": {"exchanges": ["alpa"]}}, "unknown_exchange"),
        ({"source": {"type": "pupet"}}, "unknown_source"),
        ({"source": {"accounts": ["saylor"]}}, "invalid_spec"),
        ({"source": {"symbols": ["ETH/USDT"]}}, "invalid_spec"),
        ({"filter": {"field": "price_clos", "op": ">", "value": 1}}, "invalid_spec"),
        ({"late": "side"}, "unsupported"),
    ],
)
def test_what_can_not_be_had_is_refused(change: dict[str, Any], code: str) -> None:
    """
    Binding refuses with a code and a pointer, it never leaves anything out.
    """
    spec, _ = read_spec(_a_spec(**change))

    with pytest.raises(RequestError) as caught:
        bind(spec, _catalog(), Defaults())

    assert caught.value.code == code
    assert caught.value.problems


def test_each_stage_of_the_way_is_timed() -> None:
    """
    How old an event was, how long its window waited, and when its record entered the log.
    """

    async def story(world: World) -> None:
        #  0 ──── 1s ──── 2s
        #  t      │       t         seen 0.6 s after the first window's end
        late = Trade(
            symbol="BTC/USDT", ts=START_NS, recv_ts=START_NS + NS // 4, price=1.0, size=1.0
        )
        Puppet.running["alpha"].emit("trades", [late])
        await world.clock.advance(1.6)
        await world.trade("alpha", 102.0)
        stages = world.pipeline.stages
        assert stages.source.quantiles_ms(0, 1) == [0.0, 250.0]
        assert stages.window.quantiles_ms(0, 1) == [600.0, 600.0]
        assert stages.append.samples == world.pipeline.windows_closed == 1
        now_ns = world.clock.monotonic_ns()
        stages.wrote(START_NS // 1_000_000 + 1_000, now_ns + 7_000_000)
        assert stages.write.quantiles_ms(0.5) == [7.0]

    _play(_a_spec(), story)
