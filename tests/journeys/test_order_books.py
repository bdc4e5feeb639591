"""From a sentence about order books or contracts to records of simulated venues that have them."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from bond_core.plugin.catalog import Catalog
from bond_server.language.compile import understand
from bond_server.language.vocabulary import vocabulary_of
from tests.journeys.in_process import running


def _spec(sentence: str) -> dict[str, Any]:
    return dict(understand(sentence, vocabulary_of(Catalog.installed())).spec)


def test_an_order_book_is_whole_and_unknown_while_it_is_not() -> None:
    """
    Five levels a side; after a lost message a gap is told, and then the book is right again.
    """
    spec = _spec("order book top 5 levels for BTC on okx every 500ms")
    assert spec["depth"] == 5

    async def journey() -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
        async with running(spec) as run:
            await run.until(lambda r: r["bids"] is not None)
            await run.until(lambda r: r["bids"] is not None)
            run.simulator.faults.drop("okx", channel="book")
            told = await run.until(lambda r: any(n["code"] == "gap" for n in r["notices"]))
            again = await run.until(lambda r: r["sources"]["okx"]["count"] and r is not told)
            return run.records, told, again

    records, told, again = asyncio.run(journey())

    assert told["sources"]["okx"]["gaps"] == 1
    assert told["sources"]["okx"]["status"] == again["sources"]["okx"]["status"] == "live"
    for record in records:
        bids, asks = record["bids"], record["asks"]
        if bids is None:
            assert record["bid_depth"] is record["book_imbalance"] is None
            continue
        assert len(bids) == len(asks) == 5
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0][0] < asks[0][0]
        assert record["bid_depth"] == math.fsum(size for _, size in bids)
    assert again["bids"] is not None


def test_contracts_of_an_asset_in_one_record() -> None:
    """
    Funding, mark price, open interest and liquidations, of two venues, each labelled simulated.
    """
    spec = _spec("BTC perp funding rate + mark price + open interest + liquidations every 1s")

    async def journey() -> dict[str, Any]:
        async with running(spec) as run:
            return await run.until(
                lambda r: bool(
                    r["funding_rate"] and r["mark_price"] and r["open_interest"]
                    and r["liquidations"]
                )
            )  # fmt: skip

    record = asyncio.run(journey())

    assert record["symbol"] == "BTC/USDT:USDT"
    assert 0 < record["funding_rate"] < 0.001
    assert record["mark_price"] > 1000
    assert all(source["simulated"] for source in record["sources"].values())
    assert {"binance", "okx", "binance.liquidations"} <= set(record["sources"])
