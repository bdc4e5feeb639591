"""Play the part of Google Trends that interest over time comes from, on loopback.

async with TrendsSimulator(clock=SystemClock(), seed=7) as google:
    google.become("limited")

The shapes are those that client libraries parse (pytrends, trendspyg); it was never compared with
Google itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Literal

import attrs

from bond_core.clock import NS, Clock
from bond_core.plugin import structure
from bond_core.testing.loopback_http import Asked, LoopbackHttp, Reply
from bond_core.testing.played import Played

State = Literal["well", "limited", "consent", "away", "dead", "unknown"]

_HOUR_S = 3600
_POINTS = 168
_CONSENT = b"""<!doctype html><html><head><title>Before you continue</title></head>
<body><form action="https://consent.google.com/save"></form></body></html>"""


@attrs.frozen
class Options:
    """What the simulated Google is like.

    Attributes:
        limit: How many lookups it answers before it refuses all.
    """

    limit: int = 1000


class TrendsSimulator(Played):
    """Google Trends, serving while it is entered.

    Attributes:
        looked_up: The keywords that were looked up, in order.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.looked_up: list[str] = []
        self._clock = clock
        self._seed = seed
        self._state: State = "well"
        self._server = LoopbackHttp(self._answer)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        async with self._server as server:
            yield server.url

    def become(self, state: State) -> None:
        """Let it refuse (429), ask for consent, be away (503), dead, or know nothing."""
        self._state = state

    def _answer(self, asked: Asked) -> Reply:
        if self._state == "dead":
            return Reply(cut_after=0)
        if asked.path == "/":
            return Reply(200, b"<html></html>", {"Set-Cookie": "NID=1; Path=/"})
        if self._state == "limited" or len(self.looked_up) >= self.options.limit:
            return Reply(429, b"<html>Too Many Requests</html>")
        if self._state == "consent":
            return Reply(200, _CONSENT, {"Content-Type": "text/html; charset=utf-8"})
        if self._state == "away":
            return Reply(503, b"try again later")
        if "NID=" not in asked.headers.get("cookie", ""):
            return Reply(429, b"<html>no cookie of the home page</html>")
        request: dict[str, Any] = json.loads(asked.query["req"])
        match asked.path.removeprefix("/trends/api/"):
            case "explore":
                return _guarded({"widgets": _widgets(request)}, ")]}'\n")
            case "widgetdata/multiline":
                return _guarded(self._multiline(request["keyword"]), ")]}',\n")
            case "widgetdata/relatedsearches":
                self.looked_up.append(request["keyword"])  # the last of its three requests
                return _guarded(self._related(request["keyword"]), ")]}',\n")
            case _:
                return Reply(404, b"not found")

    def _multiline(self, keyword: str) -> dict[str, Any]:
        last = self._clock.now_ns() // NS // _HOUR_S * _HOUR_S
        times = range(last - _POINTS * _HOUR_S, last + _HOUR_S, _HOUR_S)
        points = [self._point(keyword, at, is_partial=at == last) for at in times]
        return {"default": {"timelineData": [] if self._state == "unknown" else points}}

    def _point(self, keyword: str, at: int, *, is_partial: bool) -> dict[str, Any]:
        value = Random(f"{self._seed} {keyword} {at}").randrange(20, 101)
        point: dict[str, Any] = {
            "time": str(at), "formattedTime": "", "value": [value], "hasData": [True],
            "formattedValue": [str(value)],
        }  # fmt: skip
        return point | ({"isPartial": True} if is_partial else {})

    def _related(self, keyword: str) -> dict[str, Any]:
        top = [{"query": f"{keyword} price", "value": 100, "formattedValue": "100"}]
        rising = [
            {"query": f"{keyword} etf", "value": 3650, "formattedValue": "+3,650%"},
            {"query": f"why is {keyword} down", "value": 190, "formattedValue": "+190%"},
        ]
        lists = [{"rankedKeyword": top}, {"rankedKeyword": rising}]
        return {"default": {"rankedList": lists}}


def _widgets(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    keyword = request["comparisonItem"][0]["keyword"]
    return [
        {"id": name, "token": f"token-{name}", "request": {"keyword": keyword}}
        for name in ("TIMESERIES", "RELATED_QUERIES")
    ]


def _guarded(value: Any, prefix: str) -> Reply:
    body = prefix + json.dumps(value)
    return Reply(200, body.encode(), {"Content-Type": "application/json; charset=utf-8"})
