"""A Bond whose streams have no venues: what a benchmark appends is all that they bring."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import attrs

from bond_core.clock import Clock
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, load_plugins
from bond_core.plugin.specs import Channel, ConnectorSpec
from bond_core.runtime.screening import Screen
from bond_core.runtime.stages import Stages


@attrs.frozen
class MarketsConfig:
    """What binding sets of a market."""

    venue: str = "binance"


class SilentPipeline:
    """Stands where the pipeline stands, and listens to nothing."""

    def __init__(self, bound: Any, *, clock: Clock, **others: Any) -> None:
        self.clock = clock
        self.started_ns = clock.now_ns()
        self.ears: dict[str, Any] = {}
        self.failure: str | None = None
        self.bound = bound
        self.events_in = 0
        self.screen = Screen(bound.spec)
        self.windows_closed = 0
        self.stages = Stages()
        self.engine = SimpleNamespace(totals={})
        self.publisher = SimpleNamespace(published=0)

    async def start(self) -> None:
        """See Pipeline."""

    async def run(self) -> None:
        """See Pipeline."""
        await asyncio.get_running_loop().create_future()

    async def flush(self) -> None:
        """See Pipeline."""


def a_catalog() -> Catalog:
    """Return what is built in, and a market that is never connected to."""
    trades = Channel(name="trades", kind="trade", fields=("price_avg",), words={"price": "price"})
    markets = ConnectorSpec(
        name="ccxt",
        factory="tests.benchmarks.fanout.silent:nothing",
        config=MarketsConfig,
        summary="Venues that are never connected to",
        venues=("binance",),
        channels=(trades,),
    )
    row = PluginRow(
        name="markets", distribution="tests", version="1", module="tests", state="loaded",
        specs=(markets,),
    )  # fmt: skip
    return Catalog([*load_plugins(only=frozenset()), row])


def a_spec(number: int) -> dict[str, Any]:
    """Return a spec like no other number's."""
    return {
        "sources": [{"type": "ccxt", "exchanges": ["binance"], "symbols": ["BTC/USDT"]}],
        "interval_sec": 1 + number,
        "symbols": ["BTC/USDT"],
    }
