"""A venue loses frames and its socket; afterwards every window says what was really traded.

From a spec to the records, with the unmodified client library and the venue's own REST in
between. What was traded is asked of the market behind the venue, and summed up here.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from bond_core.clock import NS
from bond_sim.market import SLOT_NS
from tests.journeys.in_process import Run, market, running

SYMBOLS = {"binance": "BTCUSDT", "okx": "BTC-USDT", "coinbaseexchange": "BTC-USDT"}
NUMBERED = ("binance", "coinbaseexchange")
"""The venues whose lost frames show in the ids; the third one's show after a reconnect only."""


def traded(run: Run, venue: str, start_ns: int) -> tuple[int, float]:
    """Return the number and the volume of the market's trades in one second."""
    behind = run.simulator._market
    instrument = behind.instruments[venue, SYMBOLS[venue]]
    slots = range(start_ns // SLOT_NS, (start_ns + NS) // SLOT_NS)
    trades = [trade for slot in slots for trade in behind.trades(instrument, slot)]
    return len(trades), sum(float(trade.size) for trade in trades)


def last_words(records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return by start in ns what was said last of each window; revs rise by one."""
    said: dict[int, dict[str, Any]] = {}
    for record in records:
        start_ns = round(datetime.fromisoformat(record["window_start"]).timestamp()) * NS
        assert record["rev"] == (said[start_ns]["rev"] + 1 if start_ns in said else 0)
        said[start_ns] = record
    return said


async def lossy(venue: str) -> tuple[Run, list[dict[str, Any]]]:
    """Lose frames, then the socket for a while; go on until all of it is behind."""
    async with running({**market(interval="1s", exchanges=[venue]), "late": "update"}) as run:
        whole = await run.until(lambda r: not r["partial"] and r["trades"])
        if venue in NUMBERED:
            run.simulator.faults.drop(venue, 4, channel="trades")
            await run.until(lambda _: run.simulator.faults.done["drop", venue] == 4)
        await run.simulator.faults.close(venue)
        run.simulator.faults.refuse(venue, for_s=2.5)
        repaired = await run.until(
            lambda r: (
                r["raw_data"].get("repaired")
                and run.stream.pipeline.ears[venue].status["BTC/USDT"][0] == "live"
                and any(
                    each["until"] > whole["window_end"] for each in r["raw_data"]["repaired"][venue]
                )
                and r["rev"] == 0
                and any("reconnecting" in n["detail"] for s in run.records for n in s["notices"])
            )
        )
        end = repaired["window_end"]
        await run.until(
            lambda r: r["window_start"] >= end and r["rev"] == 0 and r["window_start"] > end
        )
        return run, run.records


def test_every_window_says_in_the_end_what_was_traded():
    """Frames and a connection are lost, and nothing is: number and volume are the market's."""

    async def go() -> None:
        for venue, (run, records) in zip(
            SYMBOLS, await asyncio.gather(*map(lossy, SYMBOLS)), strict=True
        ):
            said = last_words(records)
            first = min(start for start, r in said.items() if r["sources"][venue]["coverage"] == 1)
            checked = [start for start in said if start >= first][:-1]
            for start_ns in checked:
                number, volume = traded(run, venue, start_ns)
                record = said[start_ns]
                assert record["trades"] == number, (venue, record)
                assert record["volume_sum"] == pytest.approx(volume, rel=1e-9)
            revised = [r for r in said.values() if r["rev"]]
            assert revised
            assert all(r["raw_data"]["repaired"][venue] for r in revised)
            notices = [n["code"] for r in records for n in r["notices"]]
            assert "gap" in notices
            assert "repaired" in notices
            assert all(r["sources"][venue]["duplicates"] == 0 for r in records)
            assert all(r["sources"][venue]["late"] == 0 for r in records)
            assert all(r["sources"][venue]["simulated"] for r in records)

    asyncio.run(go())


def test_a_venue_that_refuses_is_asked_a_few_times():
    """What can't be had stays unknown, and the records say of which time and why."""

    async def go() -> list[dict[str, Any]]:
        venue = "binance"
        async with running({**market(interval="1s", exchanges=[venue]), "late": "update"}) as run:
            await run.until(lambda r: not r["partial"] and r["trades"])
            run.simulator.faults.refuse(venue)  # what is open stays open
            run.simulator.faults.drop(venue, 3, channel="trades")
            await run.until(
                lambda r: any("still missing" in notice["detail"] for notice in r["notices"])
            )
            return run.records

    records = asyncio.run(go())
    told = next(n for n in records[-1]["notices"] if "still missing" in n["detail"])
    assert told["code"] == "gap"
    assert "3 are still missing" in told["detail"]
    assert "binance can't be reached" in told["detail"]
    (repaired,) = records[-1]["raw_data"]["repaired"]["binance"]
    assert (repaired["events"], repaired["complete"]) == (0, False)
    assert records[-1]["sources"]["binance"]["status"] == "live"
