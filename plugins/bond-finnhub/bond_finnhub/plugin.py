"""Tell Bond what this plugin brings, without loading what opens connections."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from bond_core.plugin import Channel, ConnectorSpec, Secret, hookimpl, setting

HOST = "ws.finnhub.io"
CHANNEL = "trades"


@attrs.frozen
class FinnhubConfig:
    """Settings of `finnhub`."""

    key: Secret = setting(doc="A Finnhub API key", env="FINNHUB_API_KEY")


TRADES = Channel(
    name=CHANNEL,
    kind="trade",
    fields=(
        "price_avg", "price_open", "price_high", "price_low", "price_close", "vwap",
        "volume_sum", "trades",
    ),
    words={
        "price": "price", "prices": "price", "vwap": "vwap", "volume": "volume",
        "trade": "trades", "trades": "trades",
    },
    stale_s=90.0,  # a quiet connection is pinged about once a minute
)  # fmt: skip


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `finnhub`."""
    yield ConnectorSpec(
        name="finnhub",
        factory="bond_finnhub.connector:FinnhubConnector",
        config=FinnhubConfig,
        channels=(TRADES,),
        summary="Trades of American shares from Finnhub",
        simulator="bond_finnhub.simulator:FinnhubSimulator",
        default_symbol="stock",
        needs={"FINNHUB_API_KEY": "a key from finnhub.io/dashboard; the free plan will do"},
        hosts=(HOST,),
    )
