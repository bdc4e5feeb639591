"""Tell Bond what this plugin brings, without loading its library."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Capabilities, Channel, ConnectorSpec, hookimpl
from bond_trends.config import CHANNEL, EVERY_S, TrendsConfig

TRENDS = Channel(
    name=CHANNEL,
    kind="trend",
    fields=("trends",),
    words={"trends": "trends", "search interest": "trends"},
    time="receive",
    gates=False,
    by_base=True,
    stale_s=3 * EVERY_S,  # three tellings missed
)


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `trends`."""
    yield ConnectorSpec(
        name="trends",
        aliases=("google.trends",),
        factory="bond_trends.connector:TrendsConnector",
        config=TrendsConfig,
        channels=(TRENDS,),
        summary="How much assets are searched for, from Google Trends; slow, and told from memory",
        simulator="bond_trends.simulator:TrendsSimulator",
        default_symbol="asset",
        hosts=("trends.google.com",),
        polls_every_s=EVERY_S,
        capabilities=Capabilities(mode="poll"),
        stability="experimental",
    )
