"""RSS and Atom as publishers write them, well or badly."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.plugin.syndication import MAX_ITEMS, Item, Newsfeed, NoFeedError, read_feed

feedparser = pytest.importorskip("feedparser")

RSS = """<?xml version="1.0" encoding="iso-8859-1"?><rss version="2.0"><channel>
<title>Übersicht</title>{}</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><id>x</id>{}</feed>"""


def test_an_item_has_what_the_feed_says():
    """Markup goes, entities are resolved, times are UTC; whatever encoding the feed claims."""
    item = """<item><title>Up &amp;amp; &lt;b&gt;away&lt;/b&gt;</title><link>https://a.example/1</link>
<description><![CDATA[<p>für <i>alle</i></p><script>x()</script>]]></description>
<guid>g1</guid><pubDate>Thu, 01 Jan 1970 01:00:01 +0100</pubDate></item>"""
    title, (found,) = read_feed(feedparser, RSS.format(item))

    assert title == "Übersicht"
    assert found == Item(
        id="g1", title="Up & away", summary="für alle", link="https://a.example/1",
        published_ns=10**9,
    )  # fmt: skip


@pytest.mark.parametrize(
    "item",
    ["<item><title>t</title></item>", "<item><link>https://a.example/</link><title>t</title></item>",
     "<item><guid>g</guid><description>d</description></item>"],
)  # fmt: skip
def test_an_item_is_known_by_something(item):
    """Without an id by its address, without that by its title."""
    _, (found,) = read_feed(feedparser, RSS.format(item))

    assert found.id in {"t", "https://a.example/", "g"}
    assert found.published_ns is None


def test_an_empty_feed_is_a_feed():
    """Nothing in it is an answer, in RSS and in Atom."""
    assert read_feed(feedparser, RSS.format("")) == ("Übersicht", ())
    assert read_feed(feedparser, ATOM.format("")) == ("A", ())


@pytest.mark.parametrize(
    "text",
    ["", "not found", "<html><body>Are you a robot?</body></html>", '{"error": 1}',
     '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><rss version="2.0"></rss>',
     "/etc/passwd", "http://127.0.0.1:1/"],
)  # fmt: skip
def test_what_is_no_feed_is_said(text):
    """An error page, a name of a file or an address are not read as feeds, nor followed."""
    with pytest.raises(NoFeedError):
        read_feed(feedparser, text)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_a_feed_or_none(text):
    """Whatever a server sends in a feed's place, the answer is items or NoFeedError."""
    for written in (text, RSS.format(text), RSS.format(f"<item><title>{text}</title></item>")):
        try:
            _, items = read_feed(feedparser, written)
        except NoFeedError:
            continue
        assert len(items) <= MAX_ITEMS
        assert all(item.id and (item.title or item.summary) for item in items)


def test_new_is_what_was_not_there_before():
    """Oldest first, each once, also when an item moves or comes back."""
    feed = Newsfeed("https://a.example")
    a, b, c = (Item(id=name, title=name, summary="") for name in "abc")

    assert feed.is_fresh
    assert feed.new_of([b, a]) == [a, b]
    assert not feed.is_fresh
    assert feed.new_of([c, b]) == [c]
    assert feed.new_of([a, c]) == []


class Ctx:
    """A context that answers with these, one after the other."""

    def __init__(self, *texts):
        self.texts = list(texts)
        self.kept = []

    async def get_text(self, url, *, kept, **_):
        self.kept.append(kept.body)
        kept.body = self.texts.pop(0).encode()
        return kept.body.decode()

    def sdk(self, name):
        assert name == "feedparser"
        return feedparser


def test_what_was_no_feed_is_not_kept():
    """After an error page the whole is asked for again: a 304 would stand for that page."""
    good = RSS.format("<item><title>t</title></item>")

    async def go():
        ctx, feed = Ctx(good, "<html>", good), Newsfeed("https://a.example")
        first = await feed.fetch(ctx)
        with pytest.raises(NoFeedError):
            await feed.fetch(ctx)
        return first, await feed.fetch(ctx), ctx.kept

    first, third, kept = asyncio.run(go())
    assert first == third
    assert kept[0] is None
    assert kept[2] is None
