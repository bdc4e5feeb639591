"""The conformance kit: trendspyg as it is, on what Google's pages would say."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import ClassVar

import pytest

from bond_core.testing import ConnectorConformance

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
    """A session of requests that has these answers."""

    def request(self, method, url, **_):
        text = ")]}',\n" + json.dumps(ANSWERS[url.rsplit("/", 1)[1]])
        return SimpleNamespace(status_code=200, text=text)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(_http, "_session", Session())


class TestTrends(ConnectorConformance):
    spec = "trends"
    symbols = ("BTC",)
    bad_configs: ClassVar = {"too often": {"every_s": 0.1}, "no text": {"query": 5}}
    sdks: ClassVar = {"requests": requests}

    def test_what_it_heard_is_what_was_said(self):
        """The newest hour that is over, by the asset's name."""
        ear, _ = self.heard(lambda ear: bool(ear.events))
        heard = ear.events[0]

        assert (heard.keyword, heard.value, heard.rising) == ("bitcoin", 61.0, "bitcoin etf")
        assert heard.own_ts == 1_700_003_600_000_000_000
