"""Tell Bond what this plugin brings, without loading tweepy."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Channel, ConnectorSpec, hookimpl
from bond_x.config import CHANNEL, XConfig

POSTS = Channel(
    name=CHANNEL,
    kind="post",
    fields=("tweets",),
    words={"tweets": "tweets", "tweet": "tweets"},
    time="receive",
    gates=False,
    by_base=True,
    stale_s=None,  # nobody posting means nothing; a dead connection is found by its keep-alives
)


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `x`."""
    yield ConnectorSpec(
        name="x",
        aliases=("twitter", "x.tweets"),
        factory="bond_x.connector:XConnector",
        config=XConfig,
        channels=(POSTS,),
        summary="Posts on X (Twitter) about assets, as they are written",
        simulator="bond_x.simulator:XSimulator",
        default_symbol="asset",
        needs={"X_BEARER": "the bearer token of an app with API access, from console.x.com"},
        hosts=("api.twitter.com",),
    )
