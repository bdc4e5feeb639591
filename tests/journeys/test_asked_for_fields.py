"""From a sentence with fields of its own to records of simulated venues that have them."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from bond_server.language.compile import understand
from bond_server.language.vocabulary import bundled
from tests.journeys.in_process import running

SENTENCE = (
    "BTC price + buy volume + sell volume + volatility + log returns + median + p95 + "
    "volume share + spread on binance, okx every 500ms"
)


def test_a_sentences_fields_are_in_its_records_and_agree_with_each_other() -> None:
    """
    What one field says of a window follows from what others say of it.
    """

    async def journey() -> list[dict[str, Any]]:
        spec = dict(understand(SENTENCE, bundled()).spec)
        spec["derived"] = ["unknown_volume", "price_mean_3", "best_bid", "best_ask", "mid"]
        async with running(spec) as run:
            for _ in range(6):
                await run.until(lambda r: bool(r["trades"] and r["trades"] > 2))
            return run.records

    records = asyncio.run(journey())

    earlier: list[float | None] = []
    for record in records:
        if record["trades"] is None:
            earlier.append(None)
            continue
        by_side = [record[f"{side}_volume"] for side in ("buy", "sell", "unknown")]
        assert math.fsum(by_side) == pytest.approx(record["volume_sum"])
        closes = [price for price in earlier if price is not None]
        if record["trades"]:
            assert record["price_low"] <= record["price_median"] <= record["price_p95"]
            assert record["price_p95"] <= record["price_high"]
            assert math.fsum(record["volume_share"].values()) == pytest.approx(1)
            steps = math.log(record["price_high"] / record["price_low"])
            assert record["trades"] < 2 or record["volatility"] > 0 or steps == 0
            if closes:
                change = math.log(record["price_close"] / closes[-1])
                assert record["return_log"] == pytest.approx(change, abs=1e-12)
        if record["best_bid"] is not None and record["best_ask"] is not None:
            assert 0.9 < record["best_bid"] / record["best_ask"] < 1.1
        earlier.append(record["price_close"])
        last = [price for price in earlier[-3:] if price is not None]
        mean = math.fsum(last) / len(last) if len(earlier) > 2 and last else None
        assert record["price_mean_3"] == (pytest.approx(mean) if mean else None)
    assert {"venue_spread"} <= set(records[0])
    assert any(record["venue_spread"] for record in records)
    assert any(record["volume_share"].keys() == {"binance", "okx"} for record in records[-3:])
