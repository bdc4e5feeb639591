"""What a stream tells of events whose time can't be right."""

from __future__ import annotations

import asyncio
import random

import pytest

from bond_core.clock import NS, ManualClock
from bond_core.model.event import Trade
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.simulators import Simulators
from tests.core.runtime.puppets import START_NS, World

SPEC = {
    "sources": [{"type": "puppet", "exchanges": ["alpha"]}],
    "symbols": ["BTC/USDT"],
    "interval_sec": 1,
    "fields": ["trades", "price_close"],
}


def told(trade, *, future="reject"):
    """Have a stream hear a trade with an odd time; return its first record, and its totals."""

    async def run():
        clock = ManualClock(START_NS)
        simulators = Simulators(clock=clock)
        async with Feeds(
            clock=clock, chance=random.Random(1), simulators=simulators, future=future
        ) as feeds:
            world = World(feeds, clock)
            async with world.stream(SPEC) as pipeline:
                await clock.advance(0.5)
                world.emit("alpha", "trades", trade)
                await clock.advance(4)
                return (await world.records())[0], pipeline.engine.totals["alpha"]

    return asyncio.run(run())


def test_a_time_in_the_wrong_unit_is_told_by_its_name():
    """The notice says which unit, the record's source that it was rejected."""
    record, totals = told(Trade("BTC/USDT", START_NS // 1_000_000, 1.0, 1.0))

    (notice,) = record["notices"]
    assert notice["code"] == "wrong_unit"
    assert notice["detail"] == (
        "BTC/USDT: 1 event was refused: its time is in milliseconds, not in nanoseconds"
    )
    assert (record["sources"]["alpha"]["rejected"], record["trades"]) == (1, 0)
    assert (totals.wrong_unit, totals.rejected) == (1, 1)


@pytest.mark.parametrize(
    ("future", "code", "n"), [("reject", "rejected", 0), ("clamp", "clamped", 1)]
)
def test_case_21_a_time_in_the_future_is_refused_or_clamped_as_the_setting_says(future, code, n):
    """Either way no window closes for it, and it is told."""
    record, totals = told(Trade("BTC/USDT", START_NS + 3600 * NS, 1.0, 1.0), future=future)

    (notice,) = record["notices"]
    assert (notice["code"], record["trades"], totals.clamped) == (code, n, n)
    assert "the time lies in the future" in notice["detail"].replace("its time", "the time")
