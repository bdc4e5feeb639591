"""Run a simulated stream in this process and read its records, for the journeys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bond_core.log.cursor import Cursor
from bond_core.log.offset import START
from bond_server.local import Bond, Stream

SIMULATOR = "bond_sim.simulator:Simulator"
PATIENCE_S = 30.0
"""Real seconds that anything here may take, so that a fault fails a test and never hangs it."""


class Run:
    """A Bond with one stream, the simulator behind it, and the records so far."""

    def __init__(self, bond: Bond, stream: Stream, simulator: Any) -> None:
        self.bond = bond
        self.stream = stream
        self.simulator = simulator
        self.records: list[dict[str, Any]] = []
        self._cursor: Cursor = bond.cursor(stream.stream_id, START)

    async def until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read on until a record fits; return it. All that were read are in `records`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for entry in (await self._cursor.next(1)).entries:
                    self.records.append(json.loads(entry.data))
                    if done(self.records[-1]):
                        return self.records[-1]


@asynccontextmanager
async def running(spec: dict[str, Any], **bond_options: Any) -> AsyncIterator[Run]:
    """Run a simulated spec."""
    async with Bond(seed=7, **bond_options) as bond:
        compiled = bond.compile({"spec": {**spec, "simulate": True}})
        stream, _ = await bond.create(compiled)
        connector = bond.catalog.connector("ccxt")
        assert connector is not None
        simulator = await bond.simulators.running(connector)
        yield Run(bond, stream, simulator)


def market(symbol: str = "BTC/USDT", *, interval: str = "500ms", **source: Any) -> dict[str, Any]:
    """Return the spec of one market's trades."""
    return {
        "sources": [{"type": "ccxt", **source}],
        "symbols": [symbol],
        "interval_sec": interval,
        "fields": ["price_avg", "price_open", "price_high", "price_low", "price_close", "vwap",
                   "volume_sum", "trades"],
    }  # fmt: skip
