"""Several Nitter instances, simulated on loopback: failover, repeats, and what is unknown."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from bond_core.clock import SystemClock
from bond_nitter import instances
from bond_nitter.config import NitterConfig
from bond_nitter.plugin import bond_connectors
from bond_nitter.query import MAX_CHARS, query_of
from bond_nitter.simulator import NAMES, NitterSimulator
from tests.journeys.hearing import hearing

(SPEC,) = bond_connectors()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """An instance that failed rests for a second."""
    monkeypatch.setattr(instances, "FIRST_PAUSE_S", 1.0)


@asynccontextmanager
async def polling(*symbols, options=None, every_s=0.1, **config):
    """Run the connector at simulated instances where nobody writes but the test."""
    async with (
        NitterSimulator(clock=SystemClock(), options={"per_s": 0.0} | (options or {})) as nitter,
        hearing(
            SPEC, NitterConfig(every_s=every_s, **config), nitter.url, "posts", *symbols
        ) as heard,
    ):
        yield nitter, heard


def texts(heard, symbol="BTC"):
    """Return what was heard."""
    return [event.text for event in heard.ears[symbol].events]


def test_a_post_comes_once_with_all_that_is_known_of_it():
    """
    Text, author, X's address, its own time; polled again and again it counts once.
    """

    async def go():
        async with polling("BTC", "ETH") as (nitter, heard):
            await heard.status("BTC", "live")
            written = nitter.write("#bitcoin & <b>ETH</b>\nto the moon", author="lena")
            await heard.until(lambda: texts(heard) and texts(heard, "ETH"))
            n = len(nitter.asked)
            await heard.until(lambda: len(nitter.asked) > n + 6)
            return written, heard.ears

    written, ears = asyncio.run(go())
    (post,) = ears["BTC"].events
    assert post.author == "lena"
    assert "#bitcoin &" in post.text
    assert "\n" not in post.text
    assert post.id == str(written.number)
    assert post.url == f"https://x.com/lena/status/{written.number}"
    assert post.own_ts == written.at_ns // 10**9 * 10**9
    assert post.engagement is None
    assert len(ears["ETH"].events) == 1
    assert ears["BTC"].duplicates == 0


def test_what_was_there_before_is_old():
    """
    The posts that a feed begins with were written before anybody listened: none counts.
    """

    async def go():
        async with NitterSimulator(clock=SystemClock(), options={"per_s": 0.5}) as nitter:
            config = NitterConfig(every_s=0.1)
            async with hearing(SPEC, config, nitter.url, "posts", "BTC") as heard:
                await heard.status("BTC", "live")
                return texts(heard), nitter.asked

    heard, asked = asyncio.run(go())
    assert heard == []
    assert asked[0] == ("one", 200)


def test_what_has_not_changed_is_not_sent_again():
    """
    With the ETag of what is known the answer is 304, and nothing new is heard.
    """

    async def go():
        async with polling("BTC") as (nitter, heard):
            await heard.status("BTC", "live")
            nitter.write("BTC")
            await heard.until(lambda: texts(heard))
            n = len(nitter.asked)
            # Whichever had the post first is asked from then on.
            await heard.until(lambda: any(status == 304 for _, status in nitter.asked[n:]))
            return heard.ears["BTC"]

    ear = asyncio.run(go())
    assert ear.status == "live"
    assert len(ear.events) == 1


@pytest.mark.parametrize("state", ["limited", "malformed", "page", "dead", "gone", "empty"])
def test_another_instance_stands_in(state):
    """
    Whatever becomes of the first, the next is asked within the same poll, and no post counts twice.
    """

    async def go():
        async with polling("BTC") as (nitter, heard):
            await heard.status("BTC", "live")
            nitter.write("BTC one")
            await heard.until(lambda: texts(heard) == ["BTC one"])
            nitter.become("one", state)
            nitter.asked.clear()
            nitter.write("BTC two")
            await heard.until(lambda: len(texts(heard)) == 2)
            await asyncio.sleep(0.3)
            return heard.ears["BTC"], nitter.asked

    ear, asked = asyncio.run(go())
    assert [e.text for e in ear.events] == ["BTC one", "BTC two"]
    assert ("two", 200) in asked
    assert ("three", 200) not in asked
    assert [status for status, _ in ear.statuses] == ["starting", "live"]
    assert ear.duplicates == 0


def test_all_dead_is_unknown_and_says_of_each_why():
    """
    When none answers the source is down, with a reason for each; then it comes back by itself.
    """

    async def go():
        async with polling("BTC") as (nitter, heard):
            await heard.status("BTC", "live")
            for name, state in zip(NAMES, ("dead", "limited", "page"), strict=True):
                nitter.become(name, state)
            reason = await heard.status("BTC", "reconnecting")
            nitter.become("two", "well")
            nitter.write("BTC back")
            await heard.until(lambda: texts(heard) == ["BTC back"])
            return reason, heard.ears["BTC"].status

    reason, status = asyncio.run(go())
    assert reason.startswith("none of 3 instances answers: ")
    assert reason.count("127.0.0.1") >= 3
    assert "429" in reason
    assert "no feed" in reason
    assert status == "live"


def test_an_instance_that_asks_for_time_gets_it():
    """
    Retry-After is two seconds: the limited instance is not asked before they are over.
    """

    async def go():
        async with polling("BTC") as (nitter, heard):
            nitter.become("one", "limited")
            await heard.status("BTC", "live")
            await asyncio.sleep(1.5)
            return [name for name, _ in nitter.asked].count("one"), len(nitter.asked)

    ones, everything = asyncio.run(go())
    assert ones == 1
    assert everything > 5


def test_all_empty_is_nothing_heard():
    """
    When each instance that answers has nothing, nothing was written: live, and no post.
    """

    async def go():
        async with polling("BTC") as (nitter, heard):
            nitter.become("three", "dead")
            await heard.status("BTC", "live")
            return heard.ears["BTC"].events, {name for name, _ in nitter.asked}

    events, asked = asyncio.run(go())
    assert events == []
    assert asked >= {"one", "two"}


def test_more_than_a_feed_holds_is_a_gap():
    """
    A page full of posts none of which is known: some came between and were not seen.
    """

    async def go():
        async with polling("BTC", every_s=0.5) as (nitter, heard):
            await heard.status("BTC", "live")
            for n in range(30):
                nitter.write(f"BTC {n}")
            await heard.until(lambda: heard.ears["BTC"].gaps)
            return heard.ears["BTC"]

    ear = asyncio.run(go())
    assert len(ear.events) == 20
    assert "more posts about BTC" in ear.gaps[0].detail


def test_accounts_and_words_narrow():
    """
    A post must be by one of the accounts and say the words; both are asked for, and checked.
    """

    async def go():
        config = {"accounts": ("saylor",), "query": "ETF approval"}
        async with polling("BTC", **config) as (nitter, heard):
            await heard.status("BTC", "live")
            nitter.write("BTC ETF approval", author="somebody")
            nitter.write("BTC", author="saylor")
            nitter.write("BTC: ETF approval", author="saylor")
            await heard.until(lambda: texts(heard))
            await asyncio.sleep(0.3)
            return texts(heard)

    assert asyncio.run(go()) == ["BTC: ETF approval"]


def test_a_query_fits_what_nitter_takes():
    """
    Never more than 200 characters, whatever is asked for beside, as long as one name fits.
    """
    for symbol in ("BTC", "PNUT", "ACT", "NOSUCH"):
        query = query_of(symbol, ["a" * 15] * 3, '"ETF approval" #SEC')
        assert len(query) <= MAX_CHARS
        assert f"${symbol}" in query


def test_no_instance_named_is_said(monkeypatch):
    """
    An empty list of instances is refused with the variable that has it.
    """

    async def go():
        async with hearing(SPEC, NitterConfig(instances=" , "), None, "posts", "BTC") as heard:
            return await heard.status("BTC", "failed")

    assert "NITTER_INSTANCES" in asyncio.run(go())
