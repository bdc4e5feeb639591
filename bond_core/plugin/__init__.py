"""Everything that a plugin's author imports.

    from bond_core.plugin import Channel, ConnectorSpec, hookimpl

    @hookimpl
    def bond_connectors():
        yield ConnectorSpec(name="acme", factory="bond_acme.connector:Acme", ...)

What has its name here stays; the modules behind it may be arranged anew. A module is imported
when a name of it is first used: a plugin that only says what it brings loads no more than that.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bond_core.errors import AnsweredError, Fatal, Retryable
    from bond_core.model.event import (
        Candle,
        Chain,
        Custom,
        Event,
        Funding,
        Gap,
        Kind,
        Liquidation,
        News,
        OpenInterest,
        OrderBook,
        Post,
        Quote,
        Trade,
        Trend,
    )
    from bond_core.model.mentions import Mentions, Phrases, search_terms
    from bond_core.model.text import plain
    from bond_core.model.us_session import is_us_session
    from bond_core.plugin.aggregator import Aggregator
    from bond_core.plugin.backfill import Backfills, Hole, Page
    from bond_core.plugin.blocking import BlockingConnector, BlockingContext
    from bond_core.plugin.connector import Connector, Message, PollingConnector, Rereads
    from bond_core.plugin.context import Context, Kept, Note, Subscription, Subscriptions, WebSocket
    from bond_core.plugin.hookspecs import GROUP, ApiInfo, hookimpl
    from bond_core.plugin.message_arrays import MessageArrays
    from bond_core.plugin.serving import (
        Answer,
        Asked,
        Ear,
        EventFlow,
        Handler,
        Heard,
        Host,
        Route,
        ServerPart,
    )
    from bond_core.plugin.sink import Reply, Sink, SinkContext
    from bond_core.plugin.specs import (
        AggregatorSpec,
        Backfill,
        Batching,
        Capabilities,
        Channel,
        CommandSpec,
        ConnectorSpec,
        NoConfig,
        ServerSpec,
        SinkSpec,
    )
    from bond_core.plugin.syndication import Item, Newsfeed, read_feed
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
    "Answer",
    "AnsweredError",
    "ApiInfo",
    "Asked",
    "Backfill",
    "Backfills",
    "Batching",
    "BlockingConnector",
    "BlockingContext",
    "ByVenue",
    "Candle",
    "Capabilities",
    "Chain",
    "Change",
    "Channel",
    "CommandSpec",
    "Connector",
    "ConnectorSpec",
    "Context",
    "Count",
    "Custom",
    "Ear",
    "Event",
    "EventFlow",
    "Fatal",
    "First",
    "Fold",
    "Funding",
    "Gap",
    "Handler",
    "Heard",
    "Hole",
    "Host",
    "Item",
    "Kept",
    "Kind",
    "Last",
    "Liquidation",
    "Max",
    "Mentions",
    "Message",
    "MessageArrays",
    "Metric",
    "Min",
    "News",
    "Newsfeed",
    "NoConfig",
    "Note",
    "OpenInterest",
    "OrderBook",
    "Page",
    "Phrases",
    "PollingConnector",
    "Post",
    "Quote",
    "Reduce",
    "Reply",
    "Rereads",
    "Retryable",
    "Rolling",
    "Route",
    "Secret",
    "ServerPart",
    "ServerSpec",
    "Sink",
    "SinkContext",
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
    "is_us_session",
    "plain",
    "read_feed",
    "search_terms",
    "setting",
    "structure",
]

_MODULES: dict[str, tuple[str, ...]] = {
    "bond_core.errors": (
        "AnsweredError",
        "Fatal",
        "Retryable",
    ),
    "bond_core.model.event": (
        "Candle",
        "Chain",
        "Custom",
        "Event",
        "Funding",
        "Gap",
        "Kind",
        "Liquidation",
        "News",
        "OpenInterest",
        "OrderBook",
        "Post",
        "Quote",
        "Trade",
        "Trend",
    ),
    "bond_core.model.us_session": ("is_us_session",),
    "bond_core.model.mentions": (
        "Mentions",
        "Phrases",
        "search_terms",
    ),
    "bond_core.model.text": ("plain",),
    "bond_core.plugin.aggregator": ("Aggregator",),
    "bond_core.plugin.backfill": (
        "Backfills",
        "Hole",
        "Page",
    ),
    "bond_core.plugin.blocking": (
        "BlockingConnector",
        "BlockingContext",
    ),
    "bond_core.plugin.connector": (
        "Connector",
        "Message",
        "PollingConnector",
        "Rereads",
    ),
    "bond_core.plugin.context": (
        "Context",
        "Kept",
        "Note",
        "Subscription",
        "Subscriptions",
        "WebSocket",
    ),
    "bond_core.plugin.hookspecs": (
        "GROUP",
        "ApiInfo",
        "hookimpl",
    ),
    "bond_core.plugin.message_arrays": ("MessageArrays",),
    "bond_core.plugin.serving": (
        "Answer",
        "Asked",
        "Ear",
        "EventFlow",
        "Handler",
        "Heard",
        "Host",
        "Route",
        "ServerPart",
    ),
    "bond_core.plugin.sink": (
        "Reply",
        "Sink",
        "SinkContext",
    ),
    "bond_core.plugin.specs": (
        "AggregatorSpec",
        "Backfill",
        "Batching",
        "Capabilities",
        "Channel",
        "CommandSpec",
        "ConnectorSpec",
        "NoConfig",
        "ServerSpec",
        "SinkSpec",
    ),
    "bond_core.plugin.syndication": (
        "Item",
        "Newsfeed",
        "read_feed",
    ),
    "bond_core.plugin.websocket": ("WebSocketConnector",),
    "bond_core.settings": (
        "Secret",
        "setting",
        "structure",
    ),
    "bond_core.windows.plan": (
        "ByVenue",
        "Change",
        "Count",
        "First",
        "Fold",
        "Last",
        "Max",
        "Metric",
        "Min",
        "Reduce",
        "Rolling",
        "Sum",
        "VenueWindow",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import what is asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
