"""Say what this package brings."""

from attrs import frozen

from bond_core.plugin import (
    AggregatorSpec,
    Capabilities,
    Channel,
    ConnectorSpec,
    Secret,
    SinkSpec,
    hookimpl,
    setting,
)


@frozen
class TwinConfig:
    key: Secret = setting(doc="The key")
    every_s: float = setting(default=5.0, ge=0.5, le=100, example=2.0, doc="Between two polls")
    depth: str = setting(default="full", choices=("full", "brief"), doc="How much of it")
    legacy: bool = setting(default=False, doc="As it was before")


@frozen
class FileConfig:
    path: str = setting(doc="Where to")
    key: Secret | None = setting(default=None, doc="The key")


@frozen
class HookConfig:
    url: str = setting(doc="Where to", example="https://hooks.twin.example")


TRADES = Channel(
    name="trades", kind="trade", fields=("price_close", "volume_sum", "trades"), lateness_s=0.5
)
QUOTES = Channel(name="quotes", kind="quote", fields=("bid_avg", "ask_avg"))
TRADE_FIELDS = ("twin_mean", "twin_median", "twin_last", "twin_range")


@hookimpl
def bond_connectors():
    yield ConnectorSpec(
        name="twin.poll",
        factory="bond_twin.poll:Poll",
        config=TwinConfig,
        channels=(QUOTES,),
        summary="Quotes, by polling",
        capabilities=Capabilities(mode="poll"),
    )
    yield ConnectorSpec(
        name="twin.push",
        factory="bond_twin.push:Push",
        config=TwinConfig,
        channels=(TRADES,),
        summary="Trades over a WebSocket",
        capabilities=Capabilities(resumable=True),
    )
    yield ConnectorSpec(
        name="twin.raw",
        factory="bond_twin.raw:Raw",
        config=TwinConfig,
        channels=(TRADES,),
        summary="Trades over a WebSocket, from a loop of its own",
    )
    yield ConnectorSpec(
        name="twin.lib",
        factory="bond_twin.lib:Lib",
        config=TwinConfig,
        channels=(QUOTES,),
        summary="Quotes through a library that blocks",
        capabilities=Capabilities(runs_in="thread"),
    )


@hookimpl
def bond_aggregators():
    yield AggregatorSpec(
        name="twin.fields",
        kind="trade",
        fields=TRADE_FIELDS,
        factory="bond_twin.fields:Fields",
        summary="Fields of each kind of plan",
    )


@hookimpl
def bond_sinks():
    yield SinkSpec(
        name="twin.file", factory="bond_twin.file:File", config=FileConfig, summary="JSON lines"
    )
    yield SinkSpec(
        name="twin.hook", factory="bond_twin.hook:Hook", config=HookConfig, summary="Posts"
    )
