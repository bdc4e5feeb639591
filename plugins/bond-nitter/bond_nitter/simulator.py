"""Play three Nitter instances on loopback, under /one, /two and /three of one port.

async with NitterSimulator(clock=SystemClock(), seed=7) as nitter:
    nitter.become("one", "limited")

All show the same posts. Built from Nitter's source (github.com/zedeus/nitter, src/routes/rss.nim
and src/views/rss.nimf); whether instances send an ETag depends on what stands before them.
"""

from __future__ import annotations

import re
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

State = Literal["well", "limited", "empty", "malformed", "page", "dead", "gone"]
NAMES = ("one", "two", "three")

_SHOWN = 20
_BACK_S = 600
_TEXTS = (
    "{cash} looks heavy here", "gm {tag}", "{name} keeps grinding up", "selling my {tag}",
    "so near and yet so far", "link in bio",
)  # fmt: skip
_AUTHORS = ("saylor", "elonmusk", "chartsbykim", "lena_trades", "quietminer")
_ERROR_PAGE = b"<!DOCTYPE html><html><body>Instance has been rate limited.</body></html>"


@attrs.frozen
class Options:
    """What the simulated instances are like.

    Attributes:
        per_s: Posts about each symbol in a second, on average.
    """

    per_s: float = 0.2


@attrs.frozen
class Written:
    """A post."""

    number: int
    at_ns: int
    author: str
    text: str


class NitterSimulator(Played):
    """Three instances, serving while it is entered.

    Attributes:
        asked: Each request, in order: the instance's name, and what it was answered with.
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
        """Let an instance be limited (429), empty, malformed, an error page, dead or gone (404)."""
        self._states[name] = state

    def write(self, text: str, *, author: str = "somebody") -> Written:
        """Let somebody write something now."""
        now_ns = self._clock.now_ns()
        post = Written(_number(now_ns, 2048 + len(self._extra)), now_ns, author, text)
        self._extra.append(post)
        return post

    def _answer(self, asked: Asked) -> Reply:
        name = asked.path.split("/")[1]
        reply = self._reply(name, asked)
        self.asked.append((name, reply.status if reply.cut_after is None else 0))
        return reply

    def _reply(self, name: str, asked: Asked) -> Reply:
        state = self._states.get(name, "gone")
        if state == "dead":
            return Reply(cut_after=0)
        if state == "limited":
            return Reply(429, _ERROR_PAGE, {"Content-Type": "text/html", "Retry-After": "2"})
        if state == "page":
            return Reply(200, _ERROR_PAGE, {"Content-Type": "text/html"})
        if state == "gone" or asked.path != f"/{name}/search/rss":
            return Reply(404, b"not found")
        if len(asked.query.get("q", "")) > 200:
            return Reply(400, b"Search input too long.")
        posts = [] if state == "empty" else self._found(asked.query["q"])
        body = _feed(asked.query["q"], posts, f"{name}.nitter.example")
        if state == "malformed":
            body = body[: len(body) // 12]
        return unless_had(asked, body, "application/rss+xml; charset=utf-8")

    def _found(self, query: str) -> list[Written]:
        """Return the newest posts for a query, the newest first.

        Of X's operators it knows what `query.py` writes: `(a OR b) (from:x OR from:y) "words"`.
        """
        now_ns = self._clock.now_ns()
        groups = [set(found.split(" OR ")) for found in re.findall(r"\(([^)]*)\)", query)]
        needed = re.findall(r'"([^"]*)"', re.sub(r"\([^)]*\)", "", query))
        symbols = [t[1:] for group in groups for t in group if t.startswith("$")]
        posts = [p for s in symbols for p in self._made(s, now_ns)] + self._extra
        found = [
            p
            for p in posts
            if all(any(_has(p, term) for term in group) for group in groups)
            and all(words.lower() in p.text.lower() for words in needed)
        ]
        return sorted(found, key=lambda p: -p.number)[:_SHOWN]

    def _made(self, symbol: str, now_ns: int) -> list[Written]:
        posts = []
        for second in range(now_ns // NS - _BACK_S, now_ns // NS):
            chance = Random(f"{self._seed} {second} {symbol}")
            if chance.random() < self.options.per_s:
                terms = search_terms(symbol)
                name = terms.words[-1].title() if terms.words else terms.cashtag
                text = chance.choice(_TEXTS).format(
                    cash=terms.cashtag, tag=terms.hashtags[-1], name=name
                )
                at_ns = second * NS
                number = _number(at_ns, chance.randrange(2048))
                posts.append(Written(number, at_ns, chance.choice(_AUTHORS), text))
        return posts


def _has(post: Written, term: str) -> bool:
    if term.startswith("from:"):
        return post.author.lower() == term[5:].lower()
    return re.search(rf"(?i){re.escape(term.strip(chr(34)))}(?!\w)", post.text) is not None


def _number(at_ns: int, n: int) -> int:
    return ((at_ns // 1_000_000 - 1_288_834_974_657) << 22) | n


def _feed(query: str, posts: list[Written], host: str) -> bytes:
    items = "".join(_item(post, host) for post in posts)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rss xmlns:atom="http://www.w3.org/2005/Atom" xmlns:dc="http://purl.org/dc/elements/1.1/" \
version="2.0"><channel>
<title>Search results for "{escape(query)}"</title>
<link>https://{host}/search</link><ttl>40</ttl>{items}
</channel></rss>""".encode()


def _item(post: Written, host: str) -> str:
    at = format_datetime(datetime.fromtimestamp(post.at_ns // NS, UTC), usegmt=True)
    link = f"https://{host}/{post.author}/status/{post.number}#m"
    return f"""
<item><title>{escape(post.text)}</title><dc:creator>@{post.author}</dc:creator>
<description><![CDATA[<p>{escape(post.text)}</p>]]></description>
<pubDate>{at}</pubDate><guid>{link}</guid><link>{link}</link></item>"""
