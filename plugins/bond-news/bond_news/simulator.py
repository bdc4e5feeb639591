"""Play three news feeds on loopback: /coin and /chain are RSS, /street is Atom.

async with NewsSimulator(clock=SystemClock(), seed=7) as news:
    news.become("coin", "limited")
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random
from typing import Literal
from xml.sax.saxutils import escape

import attrs

from bond_core.clock import NS, Clock
from bond_core.plugin import search_terms, structure
from bond_core.testing.loopback_http import Asked, LoopbackHttp, Reply, unless_had
from bond_core.testing.played import Played

State = Literal["well", "limited", "empty", "malformed", "page", "dead", "gone", "bomb"]
NAMES = ("coin", "chain", "street")

_ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "AAPL", "TSLA", "NVDA")
_BACK_S = 1800
_HEADLINES = (
    "{name} climbs as funds return", "Why {name} fell today", "{name} volume doubles",
    "Analysts split on {name} price", "Regulator opens comment on {name} ETF",
    "Rates unchanged, markets wait", "The end is near for paper tickets",
)  # fmt: skip
_PAGE = b"<!DOCTYPE html><html><body>Are you a robot?</body></html>"
_BOMB = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><rss version="2.0"><channel><title>&b;</title>
</channel></rss>"""


@attrs.frozen
class Options:
    """What the simulated feeds are like.

    Attributes:
        per_s: Items in each feed in a second, on average.
    """

    per_s: float = 0.1


@attrs.frozen
class Written:
    """An item."""

    id: str
    at_ns: int | None
    title: str
    summary: str
    place: str


class NewsSimulator(Played):
    """Three feeds, serving while it is entered.

    Attributes:
        asked: Each request, in order: the feed's name, and what it was answered with.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.asked: list[tuple[str, int]] = []
        self._clock = clock
        self._seed = seed
        self._states: dict[str, State] = dict.fromkeys(NAMES, "well")
        self._extra: list[Written] = []
        self._server = LoopbackHttp(self._answer)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        async with self._server as server:
            yield server.url

    def become(self, name: str, state: State) -> None:
        """Let a feed be limited (429), empty, malformed, another page, dead, gone, or a bomb."""
        self._states[name] = state

    def publish(
        self, title: str, summary: str = "", *, name: str = "coin", dated: bool = True
    ) -> Written:
        """Let a feed have one more item."""
        at_ns = self._clock.now_ns() if dated else None
        item = Written(f"extra-{len(self._extra)}", at_ns, title, summary, name)
        self._extra.append(item)
        return item

    def _answer(self, asked: Asked) -> Reply:
        name = asked.path.strip("/")
        reply = self._reply(name, asked)
        self.asked.append((name, reply.status if reply.cut_after is None else 0))
        return reply

    def _reply(self, name: str, asked: Asked) -> Reply:
        state = self._states.get(name, "gone")
        match state:
            case "dead":
                return Reply(cut_after=0)
            case "limited":
                return Reply(429, b"slow down", {"Retry-After": "2"})
            case "page":
                return Reply(200, _PAGE, {"Content-Type": "text/html"})
            case "gone":
                return Reply(404, b"not found")
            case "bomb":
                return Reply(200, _BOMB, {"Content-Type": "application/xml"})
        items = [] if state == "empty" else self._items(name)
        body = (_atom if name == "street" else _rss)(name, items)
        if state == "malformed":
            body = body[: len(body) // 8]
        return unless_had(asked, body, "application/xml; charset=utf-8")

    def _items(self, name: str) -> list[Written]:
        """Return the items of a feed, the newest first."""
        now_s = self._clock.now_ns() // NS
        made = []
        for second in range(now_s - _BACK_S, now_s):
            chance = Random(f"{self._seed} {second} {name}")
            if chance.random() < self.options.per_s:
                symbol = chance.choice(_ASSETS)
                asset = search_terms(symbol).words[-1].title()
                title = chance.choice(_HEADLINES).format(name=asset)
                made.append(Written(f"{name}-{second}", second * NS, title, "", name))
        extra = [item for item in self._extra if item.place == name]
        return [*reversed(extra), *reversed(made)][:50]


def _rss(name: str, items: list[Written]) -> bytes:
    entries = "".join(
        f"<item><title>{escape(i.title)}</title><description>{escape(i.summary)}</description>"
        f'<guid isPermaLink="false">{i.id}</guid><link>https://{name}.example/{i.id}?src=rss</link>'
        + (f"<pubDate>{format_datetime(_at(i.at_ns), usegmt=True)}</pubDate>" if i.at_ns else "")
        + "</item>\n"
        for i in items
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title>The {name.title()}</title><link>https://{name}.example/</link>
<description>All about it</description>
{entries}</channel></rss>""".encode()


def _atom(name: str, items: list[Written]) -> bytes:
    entries = "".join(
        f"<entry><title>{escape(i.title)}</title><summary>{escape(i.summary)}</summary>"
        f'<id>tag:{name}.example,2026:{i.id}</id><link href="https://{name}.example/{i.id}"/>'
        f"<updated>{_at(i.at_ns or 0):%Y-%m-%dT%H:%M:%SZ}</updated></entry>\n"
        for i in items
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>{name.title()} Journal</title>
<id>tag:{name}.example,2026:feed</id>
{entries}</feed>""".encode()


def _at(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS, UTC)
