"""The filtered stream: unmodified tweepy against a simulated X on loopback."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from bond_core.clock import NS, SystemClock
from bond_core.plugin import Secret
from bond_x.config import XConfig
from bond_x.plugin import bond_connectors
from bond_x.simulator import XSimulator
from tests.journeys.hearing import hearing

(SPEC,) = bond_connectors()


@asynccontextmanager
async def listening(*symbols, options=None, **config):
    """Run the connector at a simulated X where nobody writes but the test."""
    options = {"per_s": 0.0, "keepalive_s": 0.2} | (options or {})
    settings = XConfig(bearer=Secret("a-key"), **config)
    async with (
        XSimulator(clock=SystemClock(), options=options) as x,
        hearing(SPEC, settings, x.url, "posts", *symbols) as heard,
    ):
        yield x, heard


async def live(heard):
    """Wait until every symbol is listened to."""
    for symbol in tuple(heard.ears):
        await heard.status(symbol, "live")


def test_a_post_comes_with_all_that_is_known_of_it():
    """
    Text, author, address, engagement and its own time; counted by the time it is heard.
    """

    async def go():
        async with listening("BTC") as (x, heard):
            await live(heard)
            written = x.write("$BTC   \x1b[31mto the moon", author="saylor", likes=16)
            await heard.until(lambda: heard.ears["BTC"].events)
            return written, heard.ears["BTC"].events

    written, (post,) = asyncio.run(go())
    assert (post.symbol, post.text, post.author) == ("BTC", "$BTC [31mto the moon", "saylor")
    assert post.id == str(written.number)
    assert post.url == f"https://x.com/saylor/status/{written.number}"
    assert post.engagement == 16 + 4 + 2 + 1
    assert post.own_ts == written.at_ns
    assert post.ts == post.recv_ts >= written.at_ns
    assert set(post.untrusted) == {"text", "author", "url"}


def test_a_post_is_heard_for_each_asset_it_mentions_and_no_other():
    """
    X's rules know no case; what is near and not NEAR goes no further than the connector.
    """

    async def go():
        async with listening("BTC", "ETH", "NEAR") as (x, heard):
            await live(heard)
            x.write("so near and yet so far")
            x.write("#NEAR #btc and ethereum")
            x.write("bitcoin cash")
            x.write("BTC")
            await heard.until(lambda: len(heard.ears["BTC"].events) == 2)
            return {s: [e.text for e in ear.events] for s, ear in heard.ears.items()}

    all_three = "#NEAR #btc and ethereum"
    assert asyncio.run(go()) == {
        "BTC": [all_three, "BTC"], "ETH": [all_three], "NEAR": [all_three],
    }  # fmt: skip


def test_accounts_and_words_narrow_what_is_heard():
    """
    With accounts and a query a post must be by one of them, say all of it, and be about the asset.
    """

    async def go():
        accounts, query = ("@Saylor",), '"ETF approval" #SEC'
        async with listening("BTC", accounts=accounts, query=query) as (x, heard):
            await live(heard)
            x.write("BTC ETF approval #SEC", author="somebody")
            x.write("BTC approval of an ETF #SEC", author="saylor")
            x.write("ETF approval #SEC", author="saylor")
            x.write("BTC ETF  Approval, #sec", author="saylor")
            await heard.until(lambda: heard.ears["BTC"].events)
            ((value, tag),) = x.rules.values()
            return value, tag, [e.text for e in heard.ears["BTC"].events]

    value, tag, texts = asyncio.run(go())
    assert texts == ["BTC ETF Approval, #sec"]
    assert tag == "bond BTC"
    assert value.endswith('(from:Saylor) "ETF approval" #SEC -is:retweet')


def test_rules_follow_what_is_wanted_and_leave_others_alone():
    """
    A symbol more or less changes the rules of the open stream; an app's own rules stay.
    """

    async def go():
        async with listening("BTC") as (x, heard):
            x.rules["99"] = ("cats", "mine")
            await live(heard)
            heard.want("posts", "DOGE")
            await heard.status("DOGE", "live")
            heard.drop("posts", "BTC")
            await heard.until(lambda: {t for _, t in x.rules.values()} == {"mine", "bond DOGE"})
            x.write("$DOGE")
            await heard.until(lambda: heard.ears["DOGE"].events)
            return sum(place == "stream" for place, _ in x.asked)

    assert asyncio.run(go()) == 1


def test_keep_alives_show_that_it_lives():
    """
    Nobody posts: it is live all the same, and the keep-alives say until when nothing came.
    """

    async def go():
        async with listening("BTC") as (_, heard):
            await live(heard)
            await heard.until(lambda: len(heard.ears["BTC"].heartbeats) >= 2)
            return heard.ears["BTC"]

    ear = asyncio.run(go())
    assert (ear.status, ear.events) == ("live", [])


@pytest.mark.parametrize("place", ["rules", "stream"])
def test_an_outage_at_x_passes(place):
    """
    503 and it tries again after a pause of its own, not tweepy's five seconds.
    """

    async def go():
        async with listening("BTC") as (x, heard):
            x.refuse(place, 503, times=2)
            began = time.monotonic()
            await live(heard)
            return time.monotonic() - began, heard.ears["BTC"].statuses

    took_s, statuses = asyncio.run(go())
    assert ("reconnecting", "X answered 503: Refused") in statuses
    assert took_s < 4


def test_a_limit_is_waited_out_as_long_as_x_says():
    """
    429 with x-rate-limit-reset: the reason is told, and nothing is asked before it is over.
    """

    async def go():
        async with listening("BTC") as (x, heard):
            reset = int(time.time()) + 2
            x.refuse("stream", 429, {"title": "Too Many Requests"},
                     headers={"x-rate-limit-reset": str(reset)})  # fmt: skip
            reason = await heard.status("BTC", "reconnecting")
            await live(heard)
            return reason, time.time() - reset

    reason, late_s = asyncio.run(go())
    assert reason.startswith("X limits how often it is asked (429)")
    assert 0 <= late_s < 5


def test_a_cut_is_a_gap_and_backfill_fills_it():
    """
    After a drop the gap is told, X is asked for the minutes missed, and no post counts twice.
    """

    async def go():
        async with listening("BTC", backfill_minutes="1") as (x, heard):
            await live(heard)
            x.write("BTC one")
            await heard.until(lambda: heard.ears["BTC"].events)
            x.drop()
            await heard.status("BTC", "reconnecting")
            x.write("BTC two")
            await heard.until(lambda: len(heard.ears["BTC"].events) == 2)
            queries = [q for place, q in x.asked if place == "stream"]
            return heard.ears["BTC"], ["backfill_minutes" in q for q in queries]

    ear, backfilled = asyncio.run(go())
    assert [e.text for e in ear.events] == ["BTC one", "BTC two"]
    assert ear.duplicates == 1
    assert len(ear.gaps) == 1
    assert backfilled[0] is False
    assert backfilled[-1] is True


def test_what_x_says_when_it_ends_a_stream_is_told():
    """
    An operational disconnect is a reason to come back, and its words are in the status.
    """

    async def go():
        async with listening("BTC") as (x, heard):
            await live(heard)
            x.drop({"errors": [{"title": "operational-disconnect", "detail": "for maintenance"}]})
            reason = await heard.status("BTC", "reconnecting")
            await live(heard)
            return reason

    assert asyncio.run(go()) == "X ends the stream: for maintenance"


def test_silence_on_the_line_is_a_dead_connection(monkeypatch):
    """
    No post and no keep-alive: the connection is given up and made anew.
    """
    monkeypatch.setattr("bond_x.session.SILENCE_S", 0.5)

    async def go():
        async with listening("BTC") as (x, heard):
            await live(heard)
            x.quiet()
            reason = await heard.status("BTC", "reconnecting")
            x.quiet(False)
            await live(heard)
            return reason

    assert "silent" in asyncio.run(go())


def test_a_spent_quota_is_said_and_not_asked_again_soon():
    """
    When the month's posts are used up the reason says so, and the next try is an hour away.
    """

    async def go():
        async with listening("BTC", options={"cap": 1}) as (x, heard):
            await live(heard)
            x.write("BTC")
            await heard.until(lambda: "used up" in (heard.ears["BTC"].reason or ""))
            n = len(x.asked)
            await asyncio.sleep(0.5)
            return heard.ears["BTC"], len(x.asked) - n

    ear, asked = asyncio.run(go())
    assert ear.status == "reconnecting"
    assert len(ear.events) == 1
    assert asked == 0


def test_a_wrong_key_is_refused_for_good():
    """
    401 is no outage: the source is failed, and the reason names the variable and the place.
    """

    async def go():
        async with listening("BTC") as (x, heard):
            x.refuse("rules", 401, {"title": "Unauthorized", "detail": "Unauthorized"})
            return await heard.status("BTC", "failed")

    reason = asyncio.run(go())
    assert "X_BEARER" in reason
    assert "console.x.com" in reason


def test_an_account_that_can_not_be_is_refused():
    """
    What would write its own rule into ours is no account.
    """

    async def go():
        async with listening("BTC", accounts=("a) OR (cats",)) as (x, heard):
            return await heard.status("BTC", "failed"), x.asked

    reason, asked = asyncio.run(go())
    assert "can't be an account" in reason
    assert asked == []


def test_lines_that_are_no_posts_are_counted():
    """
    A line that can't be read is told as rejected, and the stream goes on.
    """

    async def go():
        async with listening("BTC") as (x, heard):
            await live(heard)
            x._line = lambda _: b'{"data": {"id": "no number", "text": 5}}\r\n'
            x.write("BTC")
            await heard.until(lambda: heard.ears["BTC"].rejected)
            return heard.ears["BTC"]

    ear = asyncio.run(go())
    assert ear.rejected == {"a line of X's stream is no post": 1}
    assert ear.status == "live"


def test_two_sources_of_one_key_share_its_one_stream():
    """
    X gives a key one stream: a second source with other words searches, and both hear.
    """

    async def go():
        async with (
            XSimulator(clock=SystemClock(), options={"per_s": 0.0, "keepalive_s": 0.2}) as x,
            hearing(SPEC, XConfig(bearer=Secret("k")), x.url, "posts", "BTC") as first,
        ):
            await live(first)
            config = XConfig(bearer=Secret("k"), query="ETF", every_s=5.0)
            async with hearing(SPEC, config, x.url, "posts", "BTC") as second:
                await live(second)
                rules = {value for value, _ in x.rules.values()}
                return x.streams, [place for place, _ in x.asked].count("search"), rules

    streams, searches, rules = asyncio.run(go())
    assert (streams, searches) == (1, 1)
    assert rules
    assert not any("ETF" in rule for rule in rules)  # it took back what it had put


def test_cancelled_it_is_gone_within_a_second():
    """
    Nothing is left: no task, no connection, no stream at X.
    """

    async def go():
        async with XSimulator(clock=SystemClock(), options={"per_s": 5.0}) as x:
            async with hearing(SPEC, XConfig(bearer=Secret("k")), x.url, "posts", "BTC") as heard:
                await heard.until(lambda: heard.ears["BTC"].events)
                began = time.monotonic()
            took_s = time.monotonic() - began
            await heard.until(lambda: x.streams == 0)
            tasks = [t for t in asyncio.all_tasks() if "X " in t.get_name()]
            return took_s, tasks

    took_s, tasks = asyncio.run(go())
    assert took_s < 1
    assert tasks == []


def test_now_is_ns():
    """
    The simulator's clock and ids agree: an id says when its post was written.
    """
    from bond_x.timeline import written

    at_ns = 1_700_000_000 * NS + 123_000_000
    assert written(at_ns, "a", "b").at_ns == at_ns
    assert ((written(at_ns, "a", "b").number >> 22) + 1_288_834_974_657) * 10**6 == at_ns
