"""Everything that a plugin's author imports.

    from bond_core.plugin import Channel, ConnectorSpec, hookimpl

    @hookimpl
    def bond_connectors():
        yield ConnectorSpec(name="acme", factory="bond_acme.connector:Acme", ...)

What has its name here stays; the modules behind it may be arranged anew.
"""

from bond_core.errors import Fatal, Retryable
from bond_core.model.event import (
    Candle,
    Chain,
    Custom,
    Event,
    Funding,
    Gap,
    Kind,
    Liquidation,
    OpenInterest,
    OrderBook,
    Post,
    Quote,
    Trade,
    Trend,
)
from bond_core.plugin.aggregator import Aggregator
from bond_core.plugin.connector import Connector, PollingConnector
from bond_core.plugin.context import Context, Subscription, Subscriptions, WebSocket
from bond_core.plugin.hookspecs import GROUP, ApiInfo, hookimpl
from bond_core.plugin.sink import Sink
from bond_core.plugin.specs import (
    AggregatorSpec,
    Capabilities,
    Channel,
    ConnectorSpec,
    NoConfig,
    SinkSpec,
)
from bond_core.plugin.websocket import WebSocketConnector
from bond_core.settings import Secret, setting, structure
from bond_core.windows.plan import (
    ByVenue,
    Change,
    Count,
    First,
    Fold,
    Last,
    Max,
    Metric,
    Min,
    Reduce,
    Rolling,
    Sum,
    VenueWindow,
)

__all__ = [
    "GROUP",
    "Aggregator",
    "AggregatorSpec",
    "ApiInfo",
    "ByVenue",
    "Candle",
    "Capabilities",
    "Chain",
    "Change",
    "Channel",
    "Connector",
    "ConnectorSpec",
    "Context",
    "Count",
    "Custom",
    "Event",
    "Fatal",
    "First",
    "Fold",
    "Funding",
    "Gap",
    "Kind",
    "Last",
    "Liquidation",
    "Max",
    "Metric",
    "Min",
    "NoConfig",
    "OpenInterest",
    "OrderBook",
    "PollingConnector",
    "Post",
    "Quote",
    "Reduce",
    "Retryable",
    "Rolling",
    "Secret",
    "Sink",
    "SinkSpec",
    "Subscription",
    "Subscriptions",
    "Sum",
    "Trade",
    "Trend",
    "VenueWindow",
    "WebSocket",
    "WebSocketConnector",
    "hookimpl",
    "setting",
    "structure",
]
