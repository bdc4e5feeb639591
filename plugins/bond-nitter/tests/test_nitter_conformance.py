"""The conformance kit, on a feed as an instance sends it."""

from __future__ import annotations

from typing import ClassVar

from bond_core.testing import ConnectorConformance

FEED = """<?xml version="1.0" encoding="UTF-8"?>
<rss xmlns:dc="http://purl.org/dc/elements/1.1/" version="2.0"><channel>
<title>Search results</title>{}</channel></rss>"""
ITEM = """<item><title>{}</title><dc:creator>@lena</dc:creator>
<pubDate>Tue, 18 Nov 2098 10:00:00 GMT</pubDate>
<guid>https://one.example/lena/status/{}#m</guid></item>"""


def feed(*items):
    """Return a feed of (text, number)."""
    return FEED.format("".join(ITEM.format(*item) for item in items))


class TestNitter(ConnectorConformance):
    spec = "nitter"
    # No `env`: instances are public addresses, and stand in reasons and in what they say.
    config: ClassVar = {"instances": "https://one.example"}
    bad_configs: ClassVar = {"too often": {"every_s": 1.0}, "no text": {"query": 5}}
    symbols = ("BTC",)
    cassette: ClassVar = [feed(("BTC up", 1)), feed(("bitcoin down", 2), ("BTC up", 1))]
    later: ClassVar = [feed(("BTC sideways", 3))]
    empty: ClassVar = feed()
