"""Tell Bond what this plugin brings, without loading feedparser."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Capabilities, Channel, ConnectorSpec, hookimpl
from bond_news.config import CHANNEL, EVERY_S, NewsConfig

NEWS = Channel(
    name=CHANNEL,
    kind="news",
    fields=("news",),
    words={"news": "news", "headlines": "news"},
    time="receive",
    gates=False,
    by_base=True,
    stale_s=3 * EVERY_S,  # three polls missed
)


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `news`."""
    yield ConnectorSpec(
        name="news",
        factory="bond_news.connector:NewsConnector",
        config=NewsConfig,
        channels=(NEWS,),
        summary="News items about assets, from RSS and Atom feeds",
        simulator="bond_news.simulator:NewsSimulator",
        default_symbol="asset",
        hosts=("www.coindesk.com", "cointelegraph.com", "decrypt.co"),
        polls_every_s=EVERY_S,
        capabilities=Capabilities(mode="poll", requests_per_min=60),
    )
