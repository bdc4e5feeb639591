"""The settings of the connector."""

from __future__ import annotations

import attrs

from bond_core.plugin import setting

CHANNEL = "news"
EVERY_S = 60.0
FEEDS = (
    "https://www.coindesk.com/arc/outboundfeeds/rss/",
    "https://cointelegraph.com/rss",
    "https://decrypt.co/feed",
)
"""What is read where nobody says otherwise."""


@attrs.frozen
class NewsConfig:
    """Settings of `news`: which feeds, and which items of them."""

    feeds: str = setting(
        default=" ".join(FEEDS), env="NEWS_FEEDS", example="https://news.example/rss",
        doc="Addresses of RSS and Atom feeds, with spaces between",
    )  # fmt: skip
    url: str = setting(
        default="", doc="One feed to read instead of those", example="https://news.example/rss"
    )
    query: str = setting(
        default="", doc='Only items with these words: "a phrase", #tags', example='"rate cut"'
    )
    every_s: float = setting(default=EVERY_S, ge=15, le=86400, doc="Seconds between two polls")
