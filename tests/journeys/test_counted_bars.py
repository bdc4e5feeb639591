"""From a sentence that asks for bars of trades to bars that hold exactly what was asked for."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Any

import pytest

from bond_core.errors import RequestError
from bond_server.language.compile import understand
from bond_server.language.vocabulary import bundled
from bond_server.local import Bond
from tests.journeys.in_process import market, running


def records_of(spec: dict[str, Any], *, bars: int) -> list[dict[str, Any]]:
    """Run a simulated spec until so many bars have come; return all records."""

    async def journey() -> list[dict[str, Any]]:
        async with running(spec) as run:
            for _ in range(bars):
                await run.until(lambda r: "bar" in r)
            await run.until(lambda r: "bar" not in r)
            return run.records

    return asyncio.run(journey())


def test_tick_bars_of_a_sentence_hold_so_many_trades_each() -> None:
    """
    One after the other, beside a window of each second that says how the sources are.
    """
    spec = dict(understand("4-tick bars for BTC/USDT on binance, okx", bundled()).spec)
    records = records_of(spec, bars=6)

    bars = [r for r in records if r["timeframe"] == "4ticks"]
    assert [r["bar"] for r in bars] == list(range(len(bars)))
    for bar in bars:
        assert (bar["trades"], bar["partial"], bar["rev"]) == (4, False, 0)
        assert bar["price_low"] <= bar["vwap"] <= bar["price_high"]
        assert sum(s["count"] or 0 for s in bar["sources"].values()) == 4
    for one, two in itertools.pairwise(bars):
        assert one["window_end"] == two["window_start"]
    windows = [r for r in records if r["timeframe"] == "1s"]
    assert windows
    assert all("bar" not in r for r in windows)
    ids = [tuple(map(int, r["id"].split("-"))) for r in records]
    assert ids == sorted(set(ids))
    # What the windows have is in bars, or in the one that is filling.
    traded = sum(r["trades"] or 0 for r in windows)
    assert traded - 4 < 4 * len(bars) <= traded + 4


def test_volume_and_value_bars_split_the_trade_that_fills_them() -> None:
    """
    Each holds its size to the last digits, and no volume is lost between them.
    """
    spec = {**market(interval="500ms"), "timeframes": ["0.5vol", "20_000dollars"]}
    records = records_of(spec, bars=8)

    by_volume = [r for r in records if r["timeframe"] == "0.5vol"]
    by_value = [r for r in records if r["timeframe"] == "20000value"]
    assert by_volume
    assert by_value
    for bar in by_volume:
        assert bar["volume_sum"] == pytest.approx(0.5)
    for bar in by_value:
        assert bar["volume_sum"] * bar["vwap"] == pytest.approx(20_000)
    windows = [r for r in records if r["timeframe"] == "500ms"]
    traded = math.fsum(r["volume_sum"] or 0 for r in windows)
    assert 0.5 * len(by_volume) <= traded + 1e-9


def test_bars_of_trades_need_trades() -> None:
    """
    A stream without them is refused, and not left waiting for ever.
    """

    async def refused() -> RequestError:
        async with Bond(seed=7) as bond:
            spec = {**market(), "fields": ["bid_avg"], "timeframes": ["100ticks"], "simulate": True}
            with pytest.raises(RequestError) as caught:
                bond.compile({"spec": spec})
            return caught.value

    error = asyncio.run(refused())
    assert [p.pointer for p in error.problems] == ["/spec/timeframes"]
    assert "trades" in error.detail
