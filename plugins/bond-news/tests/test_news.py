"""News feeds, simulated on loopback: what is new, for whom, and what is unknown."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from bond_core.clock import SystemClock
from bond_news.config import NewsConfig
from bond_news.plugin import bond_connectors
from bond_news.simulator import NAMES, NewsSimulator
from tests.journeys.hearing import hearing

(SPEC,) = bond_connectors()


@asynccontextmanager
async def polling(*symbols, options=None, every_s=0.1, **config):
    """Run the connector at simulated feeds where nobody publishes but the test."""
    async with (
        NewsSimulator(clock=SystemClock(), options={"per_s": 0.0} | (options or {})) as news,
        hearing(SPEC, NewsConfig(every_s=every_s, **config), news.url, "news", *symbols) as heard,
    ):
        yield news, heard


def texts(heard, symbol="BTC"):
    """Return what was heard."""
    return [event.text for event in heard.ears[symbol].events]


@pytest.mark.parametrize(
    ("feed", "publisher"), [("coin", "The Coin"), ("street", "Street Journal")]
)
def test_an_item_comes_once_with_all_that_is_known_of_it(feed, publisher):
    """
    RSS or Atom: headline and summary, publisher, address, its own time; it counts once.
    """

    async def go():
        async with polling("BTC", "ETH") as (news, heard):
            await heard.status("BTC", "live")
            summary = "<p>Both <b>bitcoin</b> &amp; ETH</p>"
            item = news.publish("Markets rally", summary, name=feed)
            await heard.until(lambda: texts(heard) and texts(heard, "ETH"))
            n = len(news.asked)
            await heard.until(lambda: len(news.asked) > n + 9)
            return item, heard.ears

    item, ears = asyncio.run(go())
    (news,) = ears["BTC"].events
    assert news.kind == "news"
    assert news.text == "Markets rally · Both bitcoin & ETH"
    assert news.publisher == publisher
    assert news.url.startswith(f"https://{feed}.example/extra-0")
    assert news.own_ts == item.at_ns // 10**9 * 10**9
    assert news.ts == news.recv_ts
    assert len(ears["ETH"].events) == 1
    assert ears["BTC"].duplicates == 0


def test_what_was_there_before_is_old():
    """
    The items that a feed begins with were published before anybody listened: none counts.
    """

    async def go():
        async with polling("BTC", options={"per_s": 0.2}) as (news, heard):
            await heard.status("BTC", "live")
            return texts(heard), dict(news.asked[:3])

    assert asyncio.run(go()) == ([], dict.fromkeys(NAMES, 200))


def test_what_has_not_changed_is_not_sent_again():
    """
    With the ETag of what is known the answer is 304; an item without a time counts when it comes.
    """

    async def go():
        async with polling("BTC") as (news, heard):
            await heard.until(lambda: ("coin", 304) in news.asked)
            news.publish("Bitcoin without a date", dated=False)
            await heard.until(lambda: texts(heard))
            return heard.ears["BTC"].events[0]

    event = asyncio.run(go())
    assert event.own_ts == 0
    assert event.ts == event.recv_ts


@pytest.mark.parametrize("state", ["limited", "malformed", "page", "dead", "gone", "bomb"])
def test_other_feeds_go_on(state):
    """
    A feed that can't be read is told as a gap, once; the others are heard as ever.
    """

    async def go():
        async with polling("BTC") as (news, heard):
            await heard.status("BTC", "live")
            news.become("coin", state)
            await heard.until(lambda: heard.ears["BTC"].gaps)
            news.publish("Bitcoin up", name="chain")
            await heard.until(lambda: texts(heard))
            await asyncio.sleep(0.3)
            return heard.ears["BTC"]

    ear = asyncio.run(go())
    assert len(ear.gaps) == 1
    assert "can't be read, other feeds can" in ear.gaps[0].detail
    assert [status for status, _ in ear.statuses] == ["starting", "live"]


def test_all_dead_is_unknown_and_says_of_each_why():
    """
    When none can be read the source is down, with a reason for each; then it comes back.
    """

    async def go():
        async with polling("BTC") as (news, heard):
            await heard.status("BTC", "live")
            for name, state in zip(NAMES, ("dead", "page", "malformed"), strict=True):
                news.become(name, state)
            reason = await heard.status("BTC", "reconnecting")
            news.become("chain", "well")
            news.publish("Bitcoin back", name="chain")
            await heard.until(lambda: texts(heard))
            return reason, heard.ears["BTC"].status

    reason, status = asyncio.run(go())
    assert reason.startswith("none of 3 feeds can be read: ")
    assert "no feed" in reason
    assert status == "live"


def test_what_can_never_be_read_is_failed():
    """
    When every feed is gone (404) waiting helps nobody: failed for good, with the reason.
    """

    async def go():
        async with polling("BTC") as (news, heard):
            for name in NAMES:
                news.become(name, "gone")
            return await heard.status("BTC", "failed")

    assert "404" in asyncio.run(go())


def test_words_narrow():
    """
    An item must say the words, and be about the asset.
    """

    async def go():
        async with polling("BTC", query="rate cut") as (news, heard):
            await heard.status("BTC", "live")
            news.publish("Bitcoin up")
            news.publish("Fed: rate cut")
            news.publish("Bitcoin up after Rate Cut")
            await heard.until(lambda: texts(heard))
            await asyncio.sleep(0.3)
            return texts(heard)

    assert asyncio.run(go()) == ["Bitcoin up after Rate Cut"]


def test_an_item_that_two_feeds_have_counts_once():
    """
    Publishers share items: the same id is the same item, whichever feed had it first.
    """

    async def go():
        async with polling("BTC") as (news, heard):
            await heard.status("BTC", "live")
            shared = news.publish("Bitcoin shared")
            news._extra.append(type(shared)(shared.id, shared.at_ns, shared.title, "", "chain"))
            await heard.until(lambda: texts(heard))
            await asyncio.sleep(0.4)
            return texts(heard)

    assert asyncio.run(go()) == ["Bitcoin shared"]
