"""A venue that sends rubbish, too much, too little, or breaks off, through the real client library.

(Fault F24.) The stream goes on, its windows are on time, no number is NaN, and each frame that
the venue sent is accounted for: in a window, late, a duplicate, refused, or told as unreadable.
What it is asked for again comes on top.
"""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from bond_sim.clients import Clients
from tests.journeys.in_process import PATIENCE_S, Run, market, running

VENUE, MARKET = "okx", "BTC-USDT"
BURST = 5_000
ON_TIME_MS = 5_000
"""Lateness 0.2 s, silence 1.5 s, a tick; and a busy machine."""


class Account:
    """What the venue sent, and what became of it."""

    def __init__(self, run: Run, sent: list[int]) -> None:
        self._run = run
        self._sent = sent
        self.totals = run.stream.pipeline.engine.totals[VENUE]

    def unreadable(self) -> int:
        """Return how many frames the records tell of that could not be read."""
        notices = [notice for record in self._run.records for notice in record["notices"]]
        return sum("can't be read" in notice["detail"] for notice in notices)

    def fetched(self) -> int:
        """Return how many trades were fetched that had not been heard."""
        return sum(each.repairs.repaired for each in self._run.bond.feeds.supervisors())

    async def balances(self) -> None:
        """Hold the venue still, and wait until everything that it sent is accounted for."""
        self._run.simulator.faults.stall(VENUE)
        await self._run.until(
            lambda _: self.totals.events + self.unreadable() == sum(self._sent) + self.fetched()
        )
        self._run.simulator.faults.resume(VENUE)


@pytest.fixture(name="sent")
def _sent(monkeypatch):
    """Return a list that grows by one for each data frame that reaches a client."""
    counted: list[int] = []
    send = Clients._send

    async def counting(self, venue, frames):
        frames = list(frames)
        reached = await send(self, venue, frames)
        counted.append(len(frames) * len(reached))
        return reached

    monkeypatch.setattr(Clients, "_send", counting)
    return counted


async def rubbish(run: Run, account: Account) -> None:
    """Send frames that are cut short, and prices that are none."""
    for how in ("json", "nan", "inf"):
        run.simulator.faults.flip(VENUE, 5, how=how)
        await run.simulator.burst(VENUE, MARKET, 10)
    await account.balances()
    assert account.unreadable() == 15


async def repeats(run: Run, account: Account) -> None:
    """Send frames twice, and frames after the one that follows them."""
    run.simulator.faults.duplicate(VENUE, 10)
    await run.simulator.burst(VENUE, MARKET, 20)
    run.simulator.faults.reorder(VENUE, 10)
    await run.simulator.burst(VENUE, MARKET, 30)
    await account.balances()
    assert account.totals.duplicates == 10


async def too_much(run: Run, account: Account) -> None:
    """Send thousands at once."""
    before = account.totals.events
    await run.simulator.burst(VENUE, MARKET, BURST)
    await account.balances()
    assert account.totals.events >= before + BURST


async def silence(run: Run, account: Account) -> None:
    """Send nothing, on a connection that stays."""
    run.simulator.faults.stall(VENUE)
    await run.until(lambda r: r["sources"][VENUE]["status"] == "stale")
    run.simulator.faults.resume(VENUE)
    await run.until(lambda r: r["sources"][VENUE]["status"] == "live")


async def flaps(run: Run, account: Account) -> None:
    """Break off, again and again."""
    for _ in range(3):
        opened = run.simulator.subscriptions.connections_opened[VENUE]
        run.simulator.faults.stall(VENUE)  # what is on its way when a line breaks is lost
        await asyncio.gather(*(c.caught_up() for c in run.simulator._clients.of(VENUE)))
        await run.simulator.faults.close(VENUE)
        run.simulator.faults.resume(VENUE)
        await run.until(
            lambda r, opened=opened: (
                run.simulator.subscriptions.connections_opened[VENUE] > opened
                and r["sources"][VENUE]["status"] == "live"
            )
        )


def test_whatever_a_venue_does_the_stream_goes_on_and_the_account_balances(sent: list[int]) -> None:
    """
    Rubbish, repeats, a burst, silence and broken lines, one after the other on one stream.
    """

    async def journey() -> tuple[list[dict[str, Any]], Any]:
        spec = market(exchanges=[VENUE], stale_sec=3, lateness_sec=0.2)
        async with asyncio.timeout(3 * PATIENCE_S), running(spec) as run:
            await run.until(lambda r: bool(r["trades"]))
            account = Account(run, sent)
            for trouble in (rubbish, repeats, too_much, silence, flaps):
                await trouble(run, account)
            await account.balances()
            assert run.stream.state() == "running"
            return run.records, run.stream.pipeline

    records, pipeline = asyncio.run(journey())

    json.dumps(records, allow_nan=False)  # raises for NaN and Infinity
    assert all(a["window_end"] == b["window_start"] for a, b in pairwise(records))
    assert pipeline.stages.window.quantiles_ms(1.0)[0] < ON_TIME_MS
    totals = pipeline.engine.totals[VENUE]
    assert totals.events == totals.counted + totals.late + totals.duplicates
    assert {"stale", "gap"} <= {n["code"] for r in records for n in r["notices"]}
