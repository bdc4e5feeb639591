"""Tell Bond what this plugin brings."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Channel, ConnectorSpec, hookimpl
from bond_websocket.config import CustomConfig

# English says `custom`; which of the other channels there are, each mapping says.
CHANNELS = (
    Channel(
        name="trades",
        kind="trade",
        fields=(
            "price_avg", "price_open", "price_high", "price_low", "price_close",
            "vwap", "volume_sum", "trades",
        ),
    ),
    Channel(name="quotes", kind="quote", fields=("bid_avg", "ask_avg")),
    Channel(name="liquidations", kind="liquidation", fields=("liquidations",), stale_s=None),
    Channel(
        name="funding",
        kind="funding",
        fields=("funding_rate", "mark_price"),
        stale_s=180.0,
        time="receive",
        gates=False,
    ),
    Channel(
        name="open_interest",
        kind="open_interest",
        fields=("open_interest",),
        stale_s=180.0,
        time="receive",
        gates=False,
    ),
    Channel(
        name="custom", kind="custom", fields=("custom_count",), scope="stream", gates=False,
        words={"custom": "custom"},
    ),
)  # fmt: skip


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `custom`."""
    yield ConnectorSpec(
        name="custom",
        factory="bond_websocket.connector:CustomConnector",
        config=CustomConfig,
        channels=CHANNELS,
        summary="Any public WebSocket: what to send, and by a mapping what its messages mean",
        aliases=("custom.ws", "websocket"),
        simulator="bond_websocket.simulator:CustomSimulator",
        config_tells=True,
        stability="experimental",
    )
