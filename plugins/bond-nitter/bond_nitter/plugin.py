"""Tell Bond what this plugin brings, without loading feedparser."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Capabilities, Channel, ConnectorSpec, hookimpl
from bond_nitter.config import CHANNEL, EVERY_S, NitterConfig

POSTS = Channel(
    name=CHANNEL,
    kind="post",
    fields=("tweets",),
    time="receive",
    gates=False,
    by_base=True,
    stale_s=3 * EVERY_S,  # three polls missed
)


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `nitter`."""
    yield ConnectorSpec(
        name="nitter",
        factory="bond_nitter.connector:NitterConnector",
        config=NitterConfig,
        channels=(POSTS,),
        summary="Posts on X (Twitter) by RSS, from the first Nitter instance that works",
        simulator="bond_nitter.simulator:NitterSimulator",
        default_symbol="asset",
        needs={
            "NITTER_INSTANCES": "addresses of Nitter instances with commas between: your own, or "
            "public ones from github.com/zedeus/nitter/wiki/Instances"
        },
        polls_every_s=EVERY_S,
        capabilities=Capabilities(mode="poll", requests_per_min=60),
    )
