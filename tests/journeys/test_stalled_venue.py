"""A venue that stalls with its socket open is found out, told, and stood in for."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from tests.journeys.in_process import market, running

STALE_S = 1.0


def _codes(records: list[dict[str, Any]]) -> set[str]:
    return {notice["code"] for record in records for notice in record["notices"]}


def test_a_stalled_venue_is_stale_in_time_and_its_fallback_serves_and_is_named() -> None:
    """
    Stale within the time set, another venue named in its place, and no window missing.
    """
    #   binance  live ──────── stall ····· stale ──────────────
    #   okx                                  stands in ── live

    async def journey() -> list[dict[str, Any]]:
        spec = market(exchanges=["binance"], fallback=["okx"], stale_sec=STALE_S)
        async with running(spec) as run:
            await run.until(lambda r: r["trades"] and r["raw_data"]["sources"] == ["binance"])
            run.simulator.faults.stall("binance")
            stalled_at = len(run.records)
            await run.until(lambda r: r["sources"]["binance"]["status"] == "stale")
            stale_windows = len(run.records) - stalled_at
            # Stale after 1 s, looked at four times a second, shown by a window of 0.5 s that
            # closes up to 2 s late: 8 windows at most; a slow machine may add some.
            assert stale_windows <= 12
            served = await run.until(lambda r: r["raw_data"]["sources"] == ["okx"])
            assert served["price_close"] > 0
            assert served["sources"]["okx"]["simulated"] is True
            return run.records

    records = asyncio.run(journey())

    assert {"stale", "failover"} <= _codes(records)
    assert all(a["window_end"] == b["window_start"] for a, b in pairwise(records))


def test_with_nobody_left_prices_and_counts_are_null() -> None:
    """
    Unknown is not zero: a window that nobody heard has no price, no count and no volume.
    """

    async def journey() -> dict[str, Any]:
        spec = market(exchanges=["binance"], fallback=["okx"], stale_sec=STALE_S)
        async with running(spec) as run:
            await run.until(lambda r: r["trades"] is not None and r["trades"] > 0)
            run.simulator.faults.stall("binance")
            run.simulator.faults.stall("okx")
            return await run.until(
                lambda r: (
                    r["sources"]["binance"]["coverage"] == 0
                    and all(s["coverage"] == 0 for s in r["sources"].values())
                    and r["sources"]["binance"]["status"] == "stale"
                )
            )

    record = asyncio.run(journey())

    assert record["price_avg"] is None
    assert record["trades"] is None
    assert record["volume_sum"] is None
    assert record["sources"]["binance"]["count"] is None


def test_a_venue_that_comes_back_serves_again_and_the_fallback_leaves() -> None:
    """
    When the stall ends, the venue's own trades count again and the fallback is let go.
    """

    async def journey() -> list[dict[str, Any]]:
        spec = market(exchanges=["binance"], fallback=["okx"], stale_sec=STALE_S)
        async with running(spec) as run:
            await run.until(lambda r: r["raw_data"]["sources"] == ["binance"])
            run.simulator.faults.stall("binance")
            await run.until(lambda r: r["raw_data"]["sources"] == ["okx"])
            run.simulator.faults.resume("binance")
            await run.until(lambda r: r["raw_data"]["sources"] == ["binance"])
            await run.until(lambda r: "okx" not in r["sources"])
            return run.records

    records = asyncio.run(journey())

    assert {"stale", "failover", "gap"} <= _codes(records)
    assert all(a["window_end"] == b["window_start"] for a, b in pairwise(records))


def test_a_stalled_venues_quote_is_no_best_quote() -> None:
    """
    Once it is stale nothing of it stands, however good its last quote was; until then it counts.
    """

    async def journey() -> tuple[list[dict[str, Any]], int]:
        fields = ["best_bid", "best_bid_venue", "best_ask", "best_ask_venue", "venue_spread",
                  "bid_avg"]  # fmt: skip
        source = {"exchanges": ["binance", "okx"], "stale_sec": STALE_S}
        async with running({**market(**source), "fields": fields}) as run:
            await run.until(lambda r: r["venue_spread"] is not None)
            run.simulator.faults.stall("binance")
            await run.until(lambda r: r["sources"]["binance"]["status"] == "stale")
            until = len(run.records)
            for _ in range(3):
                await run.until(lambda r: r["sources"]["binance"]["coverage"] == 0)
            run.simulator.faults.resume("binance")
            await run.until(lambda r: r["venue_spread"] is not None)
            return run.records, until

    records, stalled_from = asyncio.run(journey())

    unheard = [r for r in records[stalled_from:] if r["sources"]["binance"]["coverage"] == 0]
    assert len(unheard) >= 3
    for record in unheard:
        assert record["best_bid_venue"] == record["best_ask_venue"] == "okx"
        assert record["best_bid"] <= record["best_ask"]
        assert record["venue_spread"] is None
    assert {r["best_bid_venue"] for r in (records[stalled_from - 1], records[-1])} <= {
        "binance", "okx", None,
    }  # fmt: skip
    assert records[-1]["sources"]["binance"]["status"] == "live"
