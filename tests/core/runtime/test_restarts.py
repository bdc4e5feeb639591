"""A stream goes on after a restart from its snapshot, and says what it missed meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import attrs
import pytest

from bond_core.aggregators import plugin as builtin
from bond_core.clock import NS, ManualClock, settle
from bond_core.errors import LogUnavailableError
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START
from bond_core.model.event import Trade
from bond_core.plugin import Capabilities, Channel, ConnectorSpec, Context, setting
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_core.runtime.binding import Defaults, bind
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.resuming import CATCH_UP_NS
from bond_core.runtime.simulators import Simulators
from bond_core.spec.read import read_spec

START_NS = 1_700_000_040 * NS  # a full minute
BTC = "BTC/USDT"


class Market:
    """What is traded, whoever listens: numbered trades."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []

    def trade(self, ts: int) -> Trade:
        number = len(self.trades) + 1
        trade = Trade(symbol=BTC, ts=ts, price=100.0 + number, size=1.0, id=str(number))
        self.trades.append(trade)
        return trade

    def after(self, cursor: str | None) -> list[Trade]:
        known = int(cursor or 0)
        return [attrs.evolve(trade, recv_ts=0) for trade in self.trades[known:]]


@attrs.frozen
class VenueConfig:
    """Which market a connector listens to."""

    venue: str = setting(doc="Which venue")


class Plain:
    """Hears what is traded from now on."""

    market: ClassVar[Market]
    contexts: ClassVar[dict[str, Context]] = {}
    cursors: ClassVar[list[str | None]] = []
    says_live = True

    def __init__(self, config: VenueConfig) -> None:
        self.venue = config.venue

    async def run(self, ctx: Context) -> None:
        """See Connector."""
        self.contexts[self.venue] = ctx
        if self.says_live:
            ctx.live("trades")
        await self.catch_up(ctx)
        await asyncio.get_running_loop().create_future()

    async def catch_up(self, ctx: Context) -> None:
        """Nothing to be had."""


class Resumable(Plain):
    """Brings, at first, what was traded after the cursor; half a second later."""

    async def catch_up(self, ctx: Context) -> None:
        """Ask for what was missed."""
        cursor = ctx.cursor("trades", BTC)
        self.cursors.append(cursor)
        await ctx.clock.sleep(0.5)
        if cursor is not None:
            ctx.emit("trades", self.market.after(cursor))


CHANNELS = (
    Channel(name="trades", kind="trade", fields=("price_close", "trades", "volume_sum"),
            stale_s=None),
)  # fmt: skip
SPECS = (
    ConnectorSpec(
        name="plain", factory=f"{__name__}:Plain", config=VenueConfig, summary="plain",
        venues=("alpha",), channels=CHANNELS,
    ),
    ConnectorSpec(
        name="resumable", factory=f"{__name__}:Resumable", config=VenueConfig, summary="resumable",
        venues=("beta",), channels=CHANNELS, capabilities=Capabilities(resumable=True),
    ),
)  # fmt: skip


class InMemory:
    """Checkpoints that outlive a pipeline."""

    def __init__(self, every_s: float = 5.0) -> None:
        self.every_s = every_s
        self.kept: dict[str, list[bytes]] = {}
        self.saves = 0
        self.fails = False

    async def load(self, stream_id: str) -> list[bytes]:
        return self.kept.get(stream_id, [])

    async def save(self, stream_id: str, lines: list[bytes]) -> None:
        if self.fails:
            raise OSError("disk full")
        self.saves += 1
        self.kept[stream_id] = list(lines)

    async def forget(self, stream_id: str) -> None:
        self.kept.pop(stream_id, None)


def a_spec(kind: str = "plain", **more: Any) -> dict[str, Any]:
    """A stream of one venue."""
    source = {"type": kind, "exchanges": ["beta" if kind == "resumable" else "alpha"]}
    fields = ["price_close", "trades", "volume_sum"]
    return {"sources": [source], "symbols": [BTC], "interval_sec": 1, "fields": fields, **more}


def bound(spec: dict[str, Any]) -> Any:
    """The spec, bound to these connectors."""
    rows = [
        PluginRow(name=name, distribution=name, version="1", module=name, state="loaded", specs=s)
        for name, s in (("builtin", register(builtin, name="builtin")), ("here", SPECS))
    ]
    return bind(read_spec(spec)[0], Catalog(rows), Defaults())


class Machine:
    """The clock, the disk, the market: what outlives a process."""

    def __init__(self) -> None:
        self.clock = ManualClock(START_NS)
        self.disk = InMemory()
        self.market = Plain.market = Market()
        Plain.cursors.clear()
        self.records: list[dict[str, Any]] = []
        self.remembering: dict[str, Any] = {}

    @asynccontextmanager
    async def process(self, spec: dict[str, Any], *, crashes: bool = False) -> AsyncIterator[Any]:
        """Run a stream in a process of its own, which ends with the context."""
        log = MemoryLog()
        simulators = Simulators(clock=self.clock)
        async with Feeds(clock=self.clock, chance=random.Random(1), simulators=simulators) as feeds:
            pipeline = Pipeline(
                bound(spec), stream_id="s", feeds=feeds, log=log, clock=self.clock,
                retention=Retention(seconds=10_000), checkpoints=self.disk,
            )  # fmt: skip
            pipeline.remembering.update(self.remembering)
            await pipeline.start()
            running = asyncio.create_task(pipeline.run())
            await settle()
            yield pipeline
            before = dict(self.disk.kept)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            if crashes:
                self.disk.kept = before
            else:
                await pipeline.save()
        page = await log.read("s", START, limit=100_000)
        self.records += [json.loads(entry.data) for entry in page.entries]

    async def trades(self, seconds: float, *, heard_by: str | None, every_ms: int = 250) -> None:
        """Let the market trade for a while, at odd times."""
        until_ns = self.clock.now_ns() + round(seconds * NS)
        while self.clock.now_ns() < until_ns:
            await self.clock.advance(every_ms / 1000)
            trade = self.market.trade(self.clock.now_ns() - 13_000_000)
            if heard_by is not None:
                Plain.contexts[heard_by].emit("trades", [attrs.evolve(trade)])
                await settle()


def play(story: Any) -> list[dict[str, Any]]:
    """Let a story happen; returns what was published in all processes."""

    async def run() -> list[dict[str, Any]]:
        machine = Machine()
        await story(machine)
        return machine.records

    return asyncio.run(run())


def identity(record: dict[str, Any]) -> tuple[Any, ...]:
    """What a record is about."""
    return tuple(record[key] for key in ("symbol", "timeframe", "window_start", "rev"))


def told(record: dict[str, Any]) -> list[str]:
    """The codes of its notices."""
    return [notice["code"] for notice in record["notices"]]


async def uninterrupted(machine: Machine) -> None:
    """Twelve seconds and a bit."""
    async with machine.process(a_spec("resumable", timeframes=["1s", "5s"])):
        await machine.trades(0.25, heard_by=None)
        await machine.trades(12, heard_by="beta")


@pytest.mark.parametrize("crash_after_s", [1.25, 4.0, 6.75])
def test_case_23_a_crash_loses_no_window_and_names_them_the_same(crash_after_s: float) -> None:
    """
    Killed between a snapshot and the records after it, a stream of a source that goes on from
    its cursor has the identities of an uninterrupted run; none is partial but the very first.
    """

    async def story(machine: Machine) -> None:
        machine.disk.every_s = 1.0
        spec = a_spec("resumable", timeframes=["1s", "5s"])
        async with machine.process(spec, crashes=True):
            await machine.trades(0.25, heard_by=None)
            await machine.trades(crash_after_s, heard_by="beta")
        await machine.trades(2.0, heard_by=None)
        async with machine.process(spec):
            await machine.trades(0.25, heard_by=None)
            await machine.trades(10 - crash_after_s, heard_by="beta")

    whole, both = play(uninterrupted), play(story)

    newest = min(whole[-1]["window_end"], both[-1]["window_end"])
    one, other = ([r for r in records if r["window_end"] <= newest] for records in (whole, both))
    assert {identity(record) for record in other} == {identity(record) for record in one}
    values = {identity(r): (r["trades"], r["volume_sum"], r["partial"]) for r in one}
    for record in other:
        found = (record["trades"], record["volume_sum"], record["partial"])
        assert found == values[identity(record)], record
        assert "gap" not in told(record)
        assert record["sources"]["beta"]["coverage"] == 1.0


def test_a_clean_stop_goes_on_where_it_stopped() -> None:
    """The window that was open has what came before and after; the downtime is told."""

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec(timeframes=["1s", "1m"])):
            await machine.trades(3.5, heard_by="alpha")
        await machine.trades(2.0, heard_by=None)
        async with machine.process(a_spec(timeframes=["1s", "1m"])):
            await machine.trades(60, heard_by="alpha")

    records = play(story)

    seconds = [r for r in records if r["timeframe"] == "1s"]
    minute = next(r for r in records if r["timeframe"] == "1m")
    starts = [r["window_start"] for r in seconds]
    assert starts == sorted(set(starts))
    assert [r["partial"] for r in seconds[:8]] == [False] * 3 + [True] * 3 + [False] * 2
    assert [r["trades"] for r in seconds[:8]] == [4, 4, 4, 2, None, 2, 4, 4]
    assert [r["sources"]["alpha"]["coverage"] for r in seconds[2:7]] == [1, 0.5, 0, 0.5, 1]
    gaps = [notice for r in seconds for notice in r["notices"] if notice["code"] == "gap"]
    assert len(gaps) == 1
    assert "did not run for 2.0 s" in gaps[0]["detail"]
    assert (gaps[0]["from"], gaps[0]["to"]) == (
        "2023-11-14T22:14:03.5Z", "2023-11-14T22:14:05.5Z",
    )  # fmt: skip
    assert (minute["partial"], minute["trades"]) == (True, 240 - 8)
    assert minute["sources"]["alpha"]["gaps"] == 1


def test_a_source_that_goes_on_from_its_cursor_leaves_no_gap() -> None:
    """It is asked for what came after the last trade heard, and the windows are whole."""

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec("resumable")):
            await machine.clock.advance(0.51)
            await machine.trades(3.5, heard_by="beta")
        await machine.trades(20.0, heard_by=None)
        async with machine.process(a_spec("resumable")):
            await machine.clock.advance(0.6)
            await machine.trades(4, heard_by="beta")
        assert Plain.cursors == [None, "14"]

    records = play(story)

    assert [r["trades"] for r in records[2:24]] == [4] * 22
    assert {r["partial"] for r in records} == {False}
    assert {r["sources"]["beta"]["coverage"] for r in records} == {1.0}
    assert not any(told(r) for r in records)


def test_a_source_that_brings_nothing_is_not_waited_for_for_ever() -> None:
    """After a while the clock counts again, and windows close."""

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec("resumable")):
            await machine.clock.advance(0.51)
            await machine.trades(3.5, heard_by="beta")
        async with machine.process(a_spec("resumable")) as pipeline:
            await machine.clock.advance(CATCH_UP_NS / NS - 0.1)
            before = pipeline.windows_closed
            await machine.clock.advance(2)
            assert (before, pipeline.windows_closed) == (0, 10)

    play(story)


def test_what_a_source_repeats_after_a_restart_counts_once() -> None:
    """Ids are remembered: a venue that sends its last trades to whoever connects does no harm."""

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec()):
            await machine.trades(1.5, heard_by="alpha")
        async with machine.process(a_spec()):
            again = [attrs.evolve(trade) for trade in machine.market.trades[-3:]]
            Plain.contexts["alpha"].emit("trades", again)
            await machine.trades(4, heard_by="alpha")

    records = play(story)

    assert sum(r["sources"]["alpha"]["duplicates"] for r in records) == 3
    assert [r["trades"] for r in records[:3]] == [4, 4, 4]


def test_a_stream_that_joins_a_running_feed_counts_nothing_twice() -> None:
    """The feed is ahead of the snapshot; what the snapshot has is left out, the rest is told."""

    async def story(machine: Machine) -> None:
        spec = a_spec("resumable")
        async with machine.process(spec):
            await machine.clock.advance(0.51)
            await machine.trades(2.5, heard_by="beta")
            older = dict(machine.disk.kept) or None
            assert older is None
        simulators = Simulators(clock=machine.clock)
        async with Feeds(
            clock=machine.clock, chance=random.Random(1), simulators=simulators
        ) as feeds:
            streams = []
            for checkpoints in (None, machine.disk):
                pipeline = Pipeline(
                    bound(spec), stream_id="s", feeds=feeds, log=MemoryLog(), clock=machine.clock,
                    retention=Retention(), checkpoints=checkpoints,
                )  # fmt: skip
                await pipeline.start()
                streams.append(asyncio.create_task(pipeline.run()))
                await settle()
                if checkpoints is None:  # somebody else hears it, from now on
                    await machine.clock.advance(0.6)
                    await machine.trades(0.5, heard_by="beta")
            Plain.contexts["beta"].emit("trades", [attrs.evolve(machine.market.trades[8])])
            await machine.trades(3, heard_by="beta")
            totals = pipeline.engine.totals["beta"]
            assert totals.duplicates == 1
            assert totals.gaps == 1
            assert totals.counted + totals.late == 10 + 12
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    play(story)


@pytest.mark.parametrize(("order", "gaps"), [("ab", (0, 0)), ("ba", (1, 0))])
def test_streams_that_share_a_feed_go_on_each_from_its_own_place(
    order: str, gaps: tuple[int, int]
) -> None:
    """
    Stream `a` was written down a trade earlier than `b`. The feed goes on from the place of the
    first that is back: from that of `a`, `b` leaves out what it has; from that of `b`, a trade
    is missing to `a`, which says so.
    """

    async def story(machine: Machine) -> None:
        spec = a_spec("resumable")
        for streams, stops in (("ab", True), (order, False)):
            simulators = Simulators(clock=machine.clock)
            async with Feeds(
                clock=machine.clock, chance=random.Random(1), simulators=simulators
            ) as feeds:
                running = {}
                for name in streams:
                    pipeline = Pipeline(
                        bound(spec), stream_id=name, feeds=feeds, log=MemoryLog(),
                        clock=machine.clock, retention=Retention(), checkpoints=machine.disk,
                    )  # fmt: skip
                    await pipeline.start()
                    running[name] = pipeline, asyncio.create_task(pipeline.run())
                await settle()
                await machine.trades(0.25, heard_by=None)
                await machine.trades(2, heard_by="beta")
                for pipeline, task in running.values():
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    await pipeline.save()
                    if stops:
                        await machine.trades(0.25, heard_by="beta")
        totals = [running[name][0].engine.totals["beta"] for name in "ab"]
        assert tuple(each.gaps for each in totals) == gaps
        traded = len(machine.market.trades) - 1  # the very first came before anybody listened
        assert totals[0].counted == traded - gaps[0]
        assert totals[1].counted == traded

    play(story)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [lines[0].replace(b'"s"', b'"other"'), *lines[1:]], "is of stream other"),
        (lambda lines: [lines[0].replace(b'"format":1', b'"format":9'), *lines[1:]], "format 9"),
        (lambda lines: lines[:-1], "damaged"),
        (lambda lines: [b"", *lines], "damaged"),
    ],
)
def test_a_snapshot_that_can_not_be_used_is_told(change: Any, says: str) -> None:
    """The stream begins anew, partial, with a gap that says why."""

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec()):
            await machine.trades(2.5, heard_by="alpha")
        machine.disk.kept["s"] = change(machine.disk.kept["s"])
        machine.records.clear()
        async with machine.process(a_spec()):
            await machine.trades(4, heard_by="alpha")

    first, *others = play(story)

    assert first["partial"]
    assert told(first) == ["gap"]
    assert "begins anew" in first["notices"][0]["detail"]
    assert says in first["notices"][0]["detail"]
    assert not any(record["partial"] for record in others)


def test_a_snapshot_that_is_too_old_is_told() -> None:
    """Its windows are long over: the stream begins anew, and says since when it knows nothing."""

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec()):
            await machine.trades(2.5, heard_by="alpha")
        machine.records.clear()
        await machine.clock.advance(61)
        async with machine.process(a_spec()):
            await machine.trades(4, heard_by="alpha")

    first, *_ = play(story)

    assert first["partial"]
    assert "did not run for 61 s, more than 60" in first["notices"][0]["detail"]
    assert first["notices"][0]["from"] == "2023-11-14T22:14:02.5Z"


def test_a_running_stream_is_written_down_at_its_pace() -> None:
    """Also one in which nothing happens; a disk that is full holds nothing up."""

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec()) as pipeline:
            await machine.clock.advance(26)
            assert machine.disk.saves == 5
            machine.disk.fails = True
            await machine.trades(6, heard_by="alpha")
            machine.disk.fails = False
            assert (machine.disk.saves, pipeline.failure) == (5, None)
            await machine.clock.advance(5)
            assert machine.disk.saves == 6

    assert play(story)


def test_while_a_stream_is_written_down_it_loses_nothing() -> None:
    """What comes between two lines of a snapshot comes after it, and is in its windows."""

    async def story(machine: Machine) -> None:
        spec = a_spec(symbols=[BTC, *(f"C{n}/USDT" for n in range(400))])
        async with machine.process(spec) as pipeline:
            await machine.trades(2.25, heard_by="alpha")
            saving = asyncio.create_task(pipeline.save())
            for _ in range(6):
                await asyncio.sleep(0)
                trade = machine.market.trade(machine.clock.now_ns())
                Plain.contexts["alpha"].emit("trades", [trade])
                pipeline.tick(machine.clock.now_ns() // 50_000_000 * 50_000_000)
            assert not saving.done()
            await saving
            snapshot = machine.disk.kept["s"]
            assert any(b'"9"' in line for line in snapshot)
            assert not any(b'"10"' in line for line in snapshot)
            await machine.trades(4, heard_by="alpha")
            assert pipeline.engine.totals["alpha"].counted == 9 + 6 + 16

    play(story)


# Beside the engine


def test_what_was_in_no_log_yet_is_published_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log was away when the process ended: its windows come from the next one, once."""
    append = MemoryLog.append

    async def away(*_: Any, **__: Any) -> None:
        raise LogUnavailableError("away")

    async def story(machine: Machine) -> None:
        async with machine.process(a_spec("resumable")):
            monkeypatch.setattr(MemoryLog, "append", away)
            await machine.trades(0.25, heard_by=None)
            await machine.trades(4, heard_by="beta")
        monkeypatch.setattr(MemoryLog, "append", append)
        async with machine.process(a_spec("resumable")):
            await settle()
            await machine.trades(3, heard_by="beta")

    records = play(story)

    starts = [record["window_start"] for record in records]
    assert records[0]["window_start"] == "2023-11-14T22:14:00Z"
    assert starts == sorted(set(starts))
    assert len(starts) >= 6


class Tallying:
    """Something beside the engine that knows a thing of each symbol."""

    def __init__(self, known: dict[Any, Any], *, lost: Any = None) -> None:
        self.known = known
        self.lost = lost

    def remembered(self) -> list[tuple[Any, Any]]:
        return list(self.known.items())

    def recall(self, key: Any, known: Any) -> None:
        if key == self.lost:
            raise KeyError(key)
        self.known[key] = known


def test_what_stands_beside_the_engine_goes_on_too() -> None:
    """Item by item, as it was: tuples and infinity too; what can't is told by its name."""
    known = {
        (BTC, "1s"): {"since_ns": 7, "told": None, "crossed": [True], "past": [(1, float("inf"))]},
        "odd": object(),
        "lost": 1,
    }
    after = Tallying({}, lost="lost")

    async def story(machine: Machine) -> None:
        machine.remembering = {"alerts": Tallying(known), "gone": Tallying({"x": 1})}
        async with machine.process(a_spec("resumable")):
            await machine.trades(1.5, heard_by="beta")
        machine.records.clear()
        machine.remembering = {"alerts": after}
        async with machine.process(a_spec("resumable")):
            await machine.trades(3, heard_by="beta")

    first, *_ = play(story)

    assert after.known == {(BTC, "1s"): known[BTC, "1s"]}
    notices = [n["detail"] for n in first["notices"] if n["code"] == "not_kept"]
    assert [detail.partition(" is not known")[0] for detail in notices] == [
        "what alerts knew of odd", "what alerts knew of lost", "what gone knew of x",
    ]  # fmt: skip
    assert "it could not be written down" in notices[0]
