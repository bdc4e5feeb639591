"""The conformance kit: trendspyg as it is, on what Google's pages would say."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import ClassVar

import pytest

from bond_core.clock import NS
from bond_core.testing import ConnectorConformance
from bond_trends import memory

pytest.importorskip("trendspyg", reason="trendspyg is not installed: bond-trends[google]")

import requests
from trendspyg.explore import _http

WIDGETS = [
    {"id": name, "token": f"t-{name}", "request": {}} for name in ("TIMESERIES", "RELATED_QUERIES")
]
HOURS = [
    {"time": "1700000000", "value": [40], "hasData": [True]},
    {"time": "1700003600", "value": [61], "hasData": [True]},
    {"time": "1700007200", "value": [12], "hasData": [True], "isPartial": True},
]
RISING = {"rankedKeyword": [{"query": "bitcoin etf", "value": 190, "formattedValue": "+190%"}]}
ANSWERS = {
    "explore": {"widgets": WIDGETS},
    "multiline": {"default": {"timelineData": HOURS}},
    "relatedsearches": {"default": {"rankedList": [{"rankedKeyword": []}, RISING]}},
}


class Session:
    """A session of requests that has these answers, while Google is not away."""

    def __init__(self):
        self.is_away = False
        self.refused = 0

    def request(self, method, url, **_):
        if self.is_away:
            self.refused += 1
            raise requests.ConnectionError("nobody answers")
        text = ")]}',\n" + json.dumps(ANSWERS[url.rsplit("/", 1)[1]])
        return SimpleNamespace(status_code=200, text=text)


@pytest.fixture(autouse=True)
def google(monkeypatch):
    """Stand for Google behind trendspyg, and have time pass faster than an hour."""
    google = Session()
    monkeypatch.setattr(_http, "_session", google)
    monkeypatch.setattr(memory, "REFRESH_NS", 30 * NS)
    monkeypatch.setattr(memory, "OLDEST_NS", 90 * NS)
    return google


class TestTrends(ConnectorConformance):
    spec = "trends"
    symbols = ("BTC",)
    bad_configs: ClassVar = {"too often": {"every_s": 0.1}, "no text": {"query": 5}}
    sdks: ClassVar = {"requests": requests}

    def test_what_it_heard_is_what_was_said(self):
        """The newest hour that is over, by the asset's name."""
        heard = self.ordinary().heard[0]

        assert (heard.keyword, heard.value, heard.rising) == ("bitcoin", 61.0, "bitcoin etf")
        assert heard.own_ts == 1_700_003_600_000_000_000

    # trendspyg is called, and makes nothing that the kit could refuse or break: Google is away
    # behind it. What is known is told from memory for as long as it may be (`OLDEST_NS`), so a
    # break is told when that is over. These stand in place of the kit's checks of the same name.

    def test_its_health_is_told(self, google):
        """Away from the start it is not live and says why; then it is."""
        google.is_away = True

        async def scenario(stage):
            assert await _until(stage, lambda: stage.told("reconnecting"))
            assert not stage.told("live")
            assert "Google Trends can't be had" in stage.told("reconnecting")[-1]
            google.is_away = False
            assert await _until(stage, lambda: stage.is_live), stage.statuses

        self.play(scenario)

    def test_it_comes_back_after_a_drop(self, google):
        """Away for longer than is remembered, that is told; back again, it is heard."""
        self._lost_and_found(google)

    def test_silence_is_not_taken_for_life(self, google):
        """What is remembered is no life: too old, it is not told, and Google is asked anew."""
        self._lost_and_found(google)
        assert google.refused

    def test_it_does_not_storm_a_source_that_is_away(self, google):
        """In 20 minutes without an answer it asks a few times, and not never."""
        google.is_away = True

        async def scenario(stage):
            await _until(stage, lambda: False, within_s=1200)

        self.play(scenario)
        assert 1 < google.refused <= 20

    def _lost_and_found(self, google):
        async def scenario(stage):
            assert await _until(stage, lambda: stage.is_live)
            google.is_away = True
            assert await _until(stage, lambda: stage.told("reconnecting")), stage.statuses
            n = len(stage.emitted)
            google.is_away = False
            assert await _until(stage, lambda: len(stage.emitted) > n and stage.is_live)

        self.play(scenario)


async def _until(stage, is_so, *, within_s=900.0):
    """Let time pass until it is so, and real time for the thread that asks."""
    for _ in range(round(within_s)):
        if is_so():
            return True
        await stage.pass_time(1)
        await asyncio.sleep(0.002)
    return is_so()
