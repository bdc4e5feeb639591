"""Search interest: unmodified trendspyg against a simulated Google, slow, remembered, budgeted."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest

from bond_core.clock import NS, SystemClock
from bond_core.errors import PluginError
from bond_trends import google, memory
from bond_trends.config import TrendsConfig
from bond_trends.memory import BURST, OLDEST_NS, PER_HOUR, Budget, Memory
from bond_trends.plugin import bond_connectors
from bond_trends.simulator import TrendsSimulator
from tests.journeys.hearing import hearing

pytest.importorskip("trendspyg", reason="trendspyg is not installed: bond-trends[google]")
(SPEC,) = bond_connectors()


@asynccontextmanager
async def listening(*symbols, options=None, state="well", **config):
    """Run the connector at a simulated Google."""
    async with TrendsSimulator(clock=SystemClock(), options=options) as simulated:
        simulated.become(state)
        config = TrendsConfig(every_s=0.1, **config)
        async with hearing(SPEC, config, simulated.url, "trends", *symbols) as heard:
            yield simulated, heard


def test_a_value_is_looked_up_once_and_told_often():
    """
    The newest hour that is over, with what rises; asked for once, told at each poll.
    """

    async def go():
        async with listening("BTC") as (simulated, heard):
            await heard.until(lambda: len(heard.ears["BTC"].events) >= 5)
            return simulated.looked_up, heard.ears["BTC"].events

    looked_up, events = asyncio.run(go())
    assert looked_up == ["bitcoin"]
    assert len({e.value for e in events}) == 1
    first = events[0]
    assert (first.kind, first.keyword, first.symbol) == ("trend", "bitcoin", "BTC")
    assert 20 <= first.value <= 100
    assert first.rising == "bitcoin etf, why is bitcoin down"
    assert first.own_ts % (3600 * NS) == 0
    assert 0 < first.recv_ts - first.own_ts < 2 * 3600 * NS
    assert first.ts == first.recv_ts
    assert events[1].ts > first.ts


def test_each_asset_by_its_name_or_all_by_the_query():
    """
    Names are looked up, a ticker where there is none, and the query where the user has one.
    """

    async def go(**config):
        async with listening("ETH", "NOSUCH", **config) as (simulated, heard):
            await heard.until(lambda: heard.ears["NOSUCH"].events)
            return sorted(set(simulated.looked_up))

    assert asyncio.run(go()) == ["NOSUCH", "ethereum"]
    assert asyncio.run(go(query="buy crypto")) == ["buy crypto"]


@pytest.mark.parametrize(
    ("state", "why"),
    [("limited", "refuses for now"), ("consent", "may ask for consent"), ("away", "503"),
     ("dead", "can't be had")],
)  # fmt: skip
def test_refused_it_is_unknown_and_not_asked_again_soon(state, why):
    """
    429, a consent page, 503 or nothing at all: down, with the reason, and a long pause.
    """

    async def go():
        async with listening("BTC", state=state) as (_, heard):
            reason = await heard.status("BTC", "reconnecting")
            await asyncio.sleep(0.3)
            return reason, heard.ears["BTC"], heard.supervisor.reconnects

    reason, ear, reconnects = asyncio.run(go())
    assert why in reason
    assert ear.events == []
    assert reconnects == 0


def test_what_is_known_is_told_while_google_refuses(monkeypatch):
    """
    Refused at the next hour: what is known is told on, until it is three hours old.
    """
    monkeypatch.setattr(memory, "REFRESH_NS", NS // 5)

    async def go():
        async with listening("BTC") as (simulated, heard):
            await heard.until(lambda: heard.ears["BTC"].events)
            simulated.become("limited")
            await asyncio.sleep(0.4)
            n = len(heard.ears["BTC"].events)
            await heard.until(lambda: len(heard.ears["BTC"].events) >= n + 3)
            status = heard.ears["BTC"].status
            monkeypatch.setattr(memory, "OLDEST_NS", 0)
            return status, await heard.status("BTC", "reconnecting")

    status, reason = asyncio.run(go())
    assert status == "live"
    assert "refuses for now" in reason


def test_a_keyword_that_nobody_searches_is_unknown():
    """
    An empty answer is live, and no value: unknown is not zero.
    """

    async def go():
        async with listening("BTC", state="unknown") as (simulated, heard):
            await heard.status("BTC", "live")
            return simulated.looked_up, heard.ears["BTC"].events

    assert asyncio.run(go()) == (["bitcoin"], [])


def test_no_hour_sees_more_lookups_than_the_budget():
    """
    A burst at first, then evenly; whatever is asked for, an hour has no more than both together.
    """
    budget = Budget()
    taken = [second for second in range(4 * 3600) if budget.take(second * NS)]

    assert taken[:BURST] == list(range(BURST))
    for start in range(0, 3 * 3600, 60):
        assert sum(start <= at < start + 3600 for at in taken) <= BURST + PER_HOUR
    assert len(taken) >= 3 * PER_HOUR


def test_many_assets_wait_for_their_turn():
    """
    Of twenty assets a few are looked up at once; in the end each is, and no other waits for it.
    """
    remembered, looked_up = Memory(), []
    keywords = [f"coin {n}" for n in range(20)]
    for second in range(0, 6 * 3600, 4):
        word = remembered.due(keywords, second * NS)
        if word is not None:
            remembered.learn(word, None, second * NS)
            looked_up.append((second, word))

    assert [word for _, word in looked_up[:20]] == keywords
    assert sum(second < 60 for second, _ in looked_up) == BURST
    for word in keywords:
        seconds = [second for second, other in looked_up if other == word]
        pauses = [b - a for a, b in itertools.pairwise(seconds)]
        assert pauses
        assert all(3600 <= pause <= OLDEST_NS / NS for pause in pauses)


def test_without_its_library_it_says_what_to_install(monkeypatch):
    """
    The library is an extra: without it the source is failed, with the command that brings it.
    """

    def missing(name):
        raise PluginError(f"{name} isn't installed")

    async def go():
        async with listening("BTC") as (_, heard):
            heard.supervisor.sdk = missing
            return await heard.status("BTC", "failed")

    assert "bond-trends[google]" in asyncio.run(go())


def test_a_simulated_lookup_leaves_nothing_behind():
    """
    What the library knows of Google is put back: a real source never asks a simulator, nor pauses.
    """
    from trendspyg.explore import _http

    theirs = (_http.requests, _http._session, _http._paused_until)

    async def go(state):
        async with listening("BTC", state=state) as (_, heard):
            await heard.until(lambda: heard.ears["BTC"].statuses)

    for state in ("well", "limited"):
        asyncio.run(go(state))
        with google._ONE:
            assert (_http.requests, _http._session, _http._paused_until) == theirs
