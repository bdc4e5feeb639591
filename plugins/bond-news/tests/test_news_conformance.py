"""The conformance kit, on a feed as a publisher sends it."""

from __future__ import annotations

from typing import ClassVar

from bond_core.testing import ConnectorConformance

FEED = """<?xml version="1.0"?><rss version="2.0"><channel>
<title>The Coin</title>{}</channel></rss>"""
ITEM = """<item><title>{}</title><guid isPermaLink="false">{}</guid>
<pubDate>Tue, 18 Nov 2098 10:00:00 GMT</pubDate></item>"""


def feed(*items):
    """Return a feed of (headline, id)."""
    return FEED.format("".join(ITEM.format(*item) for item in items))


class TestNews(ConnectorConformance):
    spec = "news"
    config: ClassVar = {"url": "https://news.example/rss"}
    bad_configs: ClassVar = {"too often": {"every_s": 1.0}, "no text": {"url": 5}}
    symbols = ("BTC",)
    cassette: ClassVar = [feed(("BTC up", 1)), feed(("Bitcoin down", 2), ("BTC up", 1))]
    later: ClassVar = [feed(("BTC sideways", 3))]
    empty: ClassVar = feed()
