"""Tell Bond what this plugin brings, without loading massive."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Backfill, Capabilities, Channel, ConnectorSpec, hookimpl
from bond_polygon.config import API_HOST, FEEDS, PolygonConfig

# Silence counts within regular hours; outside of them the connection's own life does.
TRADES = Channel(
    name="trades",
    kind="trade",
    fields=(
        "price_avg", "price_open", "price_high", "price_low", "price_close", "vwap",
        "volume_sum", "trades",
    ),
    words={
        "price": "price", "prices": "price", "vwap": "vwap", "volume": "volume",
        "trade": "trades", "trades": "trades",
    },
    stale_s=60.0,
)  # fmt: skip
QUOTES = Channel(
    name="quotes",
    kind="quote",
    fields=("bid_avg", "ask_avg"),
    words={"bid": "bid", "bids": "bid", "ask": "ask", "asks": "ask"},
    stale_s=60.0,
)
BARS = Channel(
    name="bars",
    kind="candle",
    fields=("candle_open", "candle_high", "candle_low", "candle_close", "candle_volume"),
    stale_s=180.0,  # a minute without a trade has none
    time="receive",  # what was last told is what counts, however old a bar's start is
    gates=False,
    default=False,
)


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `polygon`."""
    yield ConnectorSpec(
        name="polygon",
        aliases=("massive",),
        factory="bond_polygon.connector:PolygonConnector",
        config=PolygonConfig,
        channels=(TRADES, QUOTES, BARS),
        summary="American shares from Polygon (Massive): trades, best bid and ask, aggregates",
        simulator="bond_polygon.simulator:PolygonSimulator",
        default_symbol="stock",
        needs={
            "POLYGON_API_KEY": (
                "a key from massive.com/dashboard (polygon.io as was); its plan must have "
                "real-time data"
            )
        },
        hosts=(*FEEDS.values(), API_HOST),
        capabilities=Capabilities(
            backfill=Backfill(
                channels=("trades",), most_events=50_000, most_requests=20, requests_per_min=60
            )
        ),
    )
