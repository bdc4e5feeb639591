"""What a thousand streams cost one worker: the real way from a connector to records in Redis.

One venue that is made up says a trade, or ten, a second; every stream hears it over the shared
feed, closes a window a second, and appends its record. CPU is that of the worker's process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import ClassVar

import attrs

from bond_core.aggregators import plugin as builtin
from bond_core.log.event_log import Retention
from bond_core.model.event import Trade
from bond_core.plugin import Channel, ConnectorSpec, Context, setting
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_server.delivery.transport import loop_factory
from bond_server.fleet.fleet import Fleet
from bond_server.process import tune_for_serving
from bond_server.redis_log.connect import connected
from bond_server.redis_log.log import log_on

STREAMS = 1_000
FOR_S = 15.0
_SETTLE_S = 5.0
_PRICES = ("price_avg", "price_open", "price_high", "price_low", "price_close")


@attrs.frozen
class VenueConfig:
    """Which venue it is."""

    venue: str = setting(doc="Which venue")


class Metronome:
    """Says so many trades a second."""

    per_s: ClassVar[int] = 1

    def __init__(self, config: VenueConfig) -> None:
        self.config = config

    async def run(self, ctx: Context) -> None:
        """See Connector."""
        n = 0
        while True:
            for wanted in ctx.wanted.current():
                if not n:
                    ctx.live(wanted.channel, wanted.symbol)
                now_ns, n = ctx.clock.now_ns(), n + 1
                trade = Trade(symbol=wanted.symbol, ts=now_ns, price=100.0, size=1.0, id=str(n))
                ctx.emit(wanted.channel, [trade])
            await ctx.clock.sleep(1 / self.per_s)


SPEC = ConnectorSpec(
    name="ccxt", factory="tests.benchmarks.worker:Metronome", config=VenueConfig,
    summary="A venue that is made up", venues=("binance",),
    channels=(
        Channel(name="trades", kind="trade", fields=(*_PRICES, "vwap", "volume_sum", "trades")),
    ),
)  # fmt: skip


def cpu_of_a_worker(url: str, trades_per_s: int) -> tuple[float, float]:
    """Return a worker's share of a core with 1,000 streams, and the records a second it wrote."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=_work, args=(url, trades_per_s, theirs)
    )
    child.start()
    try:
        if not ours.poll(120):
            raise TimeoutError("the worker did not come to its end")
        share, rate = ours.recv()
        return share, rate
    finally:
        child.kill()
        child.join()


def _work(url: str, trades_per_s: int, told: Connection) -> None:
    tune_for_serving()
    Metronome.per_s = trades_per_s
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        told.send(runner.run(_measured(url)))


async def _measured(url: str) -> tuple[float, float]:
    async with (
        connected(url) as redis,
        log_on(redis) as log,
        Fleet(
            redis=redis, log=log, roles=frozenset({"worker"}), catalog=_catalog(),
            retention=Retention(seconds=60, windows=10),
        ) as fleet,
    ):  # fmt: skip
        spec = {"sources": [{"type": "ccxt", "exchanges": ["binance"]}], "symbols": ["BTC/USDT"],
                "interval_sec": 1}  # fmt: skip
        compiled = fleet.compile({"spec": spec})
        await redis.flushdb()
        for n in range(STREAMS):
            await fleet.create(compiled, project=f"p{n}")
        async with asyncio.timeout(60):
            while len(fleet.running) < STREAMS:  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.1)
        await asyncio.sleep(_SETTLE_S)
        before, since_s, cpu_s = _published(fleet), time.monotonic(), time.process_time()
        await asyncio.sleep(FOR_S)
        passed_s = time.monotonic() - since_s
        return (
            (time.process_time() - cpu_s) / passed_s,
            (_published(fleet) - before) / passed_s,
        )


def _published(fleet: Fleet) -> int:
    return sum(stream.pipeline.publisher.published for stream in fleet.running.values())


def _catalog() -> Catalog:
    return Catalog(
        PluginRow(name=name, distribution=name, version="1", module=name, state="loaded", specs=s)
        for name, s in (("builtin", register(builtin, name="builtin")), ("metronome", (SPEC,)))
    )
