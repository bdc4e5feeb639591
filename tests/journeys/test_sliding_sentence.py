"""A sentence that asks for the last minute runs; late events need somebody who takes them."""

import asyncio

import pytest

from bond_core.errors import RequestError
from bond_server.local import Bond
from tests.journeys.in_process import market, running


def test_a_sentence_over_the_last_minute_compiles_to_windows_that_slide():
    """It was refused once."""

    async def compiled():
        async with Bond(seed=7) as bond:
            return bond.compile({"natural_language": "BTC average price over the last 1m every 5s"})

    spec = asyncio.run(compiled()).spec

    assert (spec.window_ms, spec.interval_ms) == (60_000, 5_000)


def test_a_simulated_market_slides():
    """Each record is of a second and a half, a new one comes every half second."""

    async def play():
        spec = market() | {"window_sec": "1500ms"}
        async with running(spec) as run:
            return await run.until(lambda r: not r["partial"] and r["trades"])

    record = asyncio.run(play())

    assert record["timeframe"] == "1500ms"
    assert record["price_low"] <= record["vwap"] <= record["price_high"]


def test_late_events_that_nobody_takes_are_refused():
    """`side` is for a program that Bond runs in."""

    async def compile_it(**options):
        async with Bond(seed=7, **options) as bond:
            return bond.compile({"spec": market() | {"late": "side", "simulate": True}})

    with pytest.raises(RequestError) as caught:
        asyncio.run(compile_it())
    assert (caught.value.code, caught.value.problems[0].pointer) == ("unsupported", "/spec/late")
    assert asyncio.run(compile_it(aside=lambda *_: None)).spec.late == "side"
