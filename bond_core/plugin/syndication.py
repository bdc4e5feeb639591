"""Read an RSS or Atom feed again and again: what is in it, and what is new of that.

    newsfeed = Newsfeed(url)
    items = await newsfeed.fetch(ctx)          # all that is in it now
    fresh = newsfeed.new_of(items)             # those that were not there before

For plugins that bring `feedparser` (their dependency, not Bond's): it is got by `ctx.sdk`.
"""

from __future__ import annotations

import asyncio
import calendar
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.errors import Retryable
from bond_core.model.text import plain
from bond_core.plugin.context import Context, Kept

MAX_ITEMS = 500
"""How many items of a feed are looked at, the first ones: feeds begin with the newest."""

_REMEMBERED = 2_000
# A feed declares no entities; a document that does may unfold to gigabytes.
_ENTITY = re.compile(r"<!ENTITY", re.IGNORECASE)


@attrs.frozen
class Item:
    """One item of a feed.

    Attributes:
        id: Its own id, else its address, else its title: what tells it from others.
        title: Plain text.
        summary: Plain text; empty where there is none.
        published_ns: When it says it was published; None where it doesn't say.
    """

    id: str
    title: str
    summary: str
    link: str | None = None
    author: str | None = None
    published_ns: int | None = None


class NoFeedError(Retryable, ValueError):
    """What came is no feed: an error page, or something cut short.

    For a `PollingConnector` an answer that can't be read: asked for again with the next poll.
    """


@attrs.define(eq=False)
class Newsfeed:
    """One feed, and what is known of it.

    Attributes:
        url: Where it is.
        title: What it calls itself.
        is_fresh: Whether nobody has asked yet what is new in it.
    """

    url: str
    title: str = ""
    is_fresh: bool = True
    _kept: Kept = attrs.field(factory=Kept)
    _text: str | None = None
    _items: tuple[Item, ...] = ()
    _seen: dict[str, None] = attrs.field(factory=dict)

    async def fetch(
        self, ctx: Context, *, params: Mapping[str, str] | None = None, timeout_s: float = 10.0
    ) -> tuple[Item, ...]:
        """Return what is in it now, the newest first as feeds have it.

        Raises:
            NoFeedError: What came is no feed.
            Retryable, Fatal: As `ctx.get_text`.
        """
        text = await ctx.get_text(
            self.url, params=params, timeout_s=timeout_s, kept=self._kept,
            headers={"Accept": "application/rss+xml, application/atom+xml, application/xml;q=0.9"},
        )  # fmt: skip
        if text != self._text:
            feedparser = await asyncio.to_thread(ctx.sdk, "feedparser")
            try:
                self.title, self._items = await asyncio.to_thread(read_feed, feedparser, text)
            except NoFeedError:
                self._kept = Kept()  # or the next 304 would say that it is as good as this
                raise
            self._text = text
        return self._items

    def new_of(self, items: Iterable[Item]) -> list[Item]:
        """Return the items that were not seen before, oldest first; from now on they were."""
        self.is_fresh = False
        fresh = []
        for item in items:
            if item.id not in self._seen:
                fresh.append(item)
            self._seen.pop(item.id, None)
            self._seen[item.id] = None
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return fresh[::-1]


def read_feed(feedparser: Any, text: str) -> tuple[str, tuple[Item, ...]]:
    """Return a feed's title and items. It takes a while for long ones: call it in a thread.

    Raises:
        NoFeedError: It is none.
    """
    if _ENTITY.search(text):
        raise NoFeedError("a feed that declares entities is not read")
    # As a file: a text by itself may be taken for an address or a file's name.
    found = feedparser.parse(
        io.BytesIO(text.encode()),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,  # `plain` leaves no markup at all
    )
    entries: Sequence[Mapping[str, Any]] = found.entries[:MAX_ITEMS]
    if not found.get("version") and not entries:
        raise NoFeedError("what came is no feed, but perhaps an error page")
    if found.bozo and not entries:
        raise NoFeedError("the feed is cut short, or broken")
    items = tuple(item for entry in entries if (item := _item(entry)) is not None)
    return plain(str(found.feed.get("title", "")), markup=True), items


def _item(entry: Mapping[str, Any]) -> Item | None:
    title = plain(str(entry.get("title", "")), markup=True)
    summary = plain(str(entry.get("summary", "")), markup=True)
    link = plain(str(entry.get("link", ""))) or None
    id = str(entry.get("id", "")) or link or title
    if not id or not (title or summary):
        return None
    at = entry.get("published_parsed") or entry.get("updated_parsed")
    return Item(
        id=id,
        title=title,
        summary=summary,
        link=link,
        author=plain(str(entry.get("author", ""))) or None,
        published_ns=None if at is None else calendar.timegm(at) * NS,
    )
