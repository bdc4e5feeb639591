"""Recent search, where the plan has no stream: unmodified tweepy against a simulated X."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from bond_core.clock import NS, SystemClock
from bond_core.plugin import Secret
from bond_core.settings import structure
from bond_x.config import XConfig
from bond_x.plugin import bond_connectors
from bond_x.simulator import XSimulator
from bond_x.timeline import written
from tests.journeys.hearing import hearing

(SPEC,) = bond_connectors()
EVERY_S = 0.2


@asynccontextmanager
async def searching(*symbols, options=None, **config):
    """Run the connector at a simulated X that has no stream."""
    options = {"plan": "basic", "per_s": 0.0, "searches": 1000} | (options or {})
    settings = XConfig(bearer=Secret("a-key"), every_s=EVERY_S, **config)
    async with (
        XSimulator(clock=SystemClock(), options=options) as x,
        hearing(SPEC, settings, x.url, "posts", *symbols) as heard,
    ):
        yield x, heard


def searches(x):
    """Return the queries of all searches so far."""
    return [query for place, query in x.asked if place == "search"]


def test_without_a_stream_it_searches():
    """
    403 for the stream, cashtags refused: it searches without, and hears what is written then.
    """

    async def go():
        async with searching("BTC", "ETH") as (x, heard):
            before = x.write("BTC before anybody listened")
            await heard.status("BTC", "live")
            x.write("#btc and $ETH", author="lena", likes=3)
            await heard.until(lambda: heard.ears["ETH"].events)
            await heard.until(lambda: len(searches(x)) > 5)
            return x, before, heard.ears

    x, before, ears = asyncio.run(go())
    assert [e.text for e in ears["BTC"].events] == ["#btc and $ETH"]
    assert ears["BTC"].events[0].author == "lena"
    assert before.text not in str(ears["BTC"].events)
    assert ears["BTC"].duplicates == 0
    assert "$" in searches(x)[0]["query"]
    assert "$" not in searches(x)[-1]["query"]
    assert "since_id" in searches(x)[-1]
    assert not any(place == "stream" and q for place, q in x.asked)


def test_what_was_missed_is_read_page_by_page():
    """
    After an outage everything since is read, oldest first, over as many pages as it takes.
    """

    async def go():
        async with searching("BTC", options={"per_page": 10}) as (x, heard):
            await heard.status("BTC", "live")
            x.write("BTC 0")
            await heard.until(lambda: heard.ears["BTC"].events)
            x.refuse("search", 503)
            await heard.status("BTC", "reconnecting")
            for n in range(1, 36):
                x.write(f"BTC {n}")
            await heard.until(lambda: len(heard.ears["BTC"].events) >= 36)
            return heard.ears["BTC"], [q for q in searches(x) if "next_token" in q]

    ear, further = asyncio.run(go())
    assert [e.text for e in ear.events] == [f"BTC {n}" for n in range(36)]
    assert len(further) >= 3
    assert ear.duplicates == 0


def test_more_than_it_reads_is_a_gap():
    """
    Only so many pages are read, for each post is paid for; what is left out is told.
    """

    async def go():
        async with searching("BTC", options={"per_page": 10}) as (x, heard):
            await heard.status("BTC", "live")
            now_ns = SystemClock().now_ns()
            x.timeline.extra += [written(now_ns, "a", f"BTC {n}", 0, n) for n in range(80)]
            await heard.until(lambda: heard.ears["BTC"].gaps)
            return heard.ears["BTC"]

    ear = asyncio.run(go())
    assert "more than 500 posts" in ear.gaps[0].detail
    assert len(ear.events) == 50


def test_a_limit_used_up_is_unknown_and_not_nothing():
    """
    When X allows no further search the source is down, not silent, until the limit starts anew.
    """

    async def go():
        async with searching("BTC", options={"searches": 3, "plan": "pro"}, mode="search") as (
            x, heard,
        ):  # fmt: skip
            reason = await heard.status("BTC", "reconnecting")
            await asyncio.sleep(0.5)
            return reason, len(searches(x))

    reason, asked = asyncio.run(go())
    assert reason == "X allows no further search for now"
    assert asked == 3


def test_a_plan_with_neither_is_refused():
    """
    403 for both: failed for good, with where to go.
    """

    async def go():
        async with searching("BTC") as (x, heard):
            x.refuse("search", 403, {"title": "Client Forbidden"}, times=5)
            return await heard.status("BTC", "failed")

    reason = asyncio.run(go())
    assert "neither stream nor search" in reason
    assert "console.x.com" in reason


def test_only_the_stream_was_asked_for():
    """
    With mode `stream` a plan without one is an error, and nothing is searched for.
    """

    async def go():
        async with searching("BTC", mode="stream") as (x, heard):
            return await heard.status("BTC", "failed"), searches(x)

    reason, asked = asyncio.run(go())
    assert "no filtered stream" in reason
    assert asked == []


def test_many_symbols_need_few_queries():
    """
    Symbols share queries as far as X's length allows.
    """
    from bond_x.rules import MAX_CHARS, narrowing, queries_of

    symbols = [
        "BTC",
        "ETH",
        "SOL",
        "XRP",
        "DOGE",
        "ADA",
        "AVAX",
        "LINK",
        "DOT",
        "UNI",
        "NEAR",
        "TON",
    ]
    queries = queries_of(symbols, narrowing((), ""), cashtags=True)

    assert 2 <= len(queries) <= 3
    assert all(len(q) <= MAX_CHARS for q in queries)
    assert all(any(f"#{s}" in q for q in queries) for s in symbols)


def test_the_settings_refuse_what_x_would():
    """
    Fewer than five seconds between searches is no setting that a spec can have.
    """
    import pytest

    from bond_core.settings import SettingsError

    with pytest.raises(SettingsError, match="every_s"):
        structure(XConfig, {"bearer": Secret("k"), "every_s": 1.0})
    assert XConfig(bearer=Secret("k")).every_s * NS > 0
