"""Tell Bond what this plugin brings, without loading ib_async."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Channel, CommandSpec, ConnectorSpec, ServerSpec, hookimpl
from bond_ibkr.config import IbkrConfig, IbServerConfig

PRICES = ("price_avg", "price_open", "price_high", "price_low", "price_close")

# TWS gives whole seconds, and ticks of one second may follow those of the next: hence lateness.
# A stock may be silent for a while in its trading hours; outside of them the connector beats.
LATENESS_S = 1.0
STALE_S = 60.0

TRADES = Channel(
    name="trades",
    kind="trade",
    fields=(*PRICES, "vwap", "volume_sum", "trades"),
    words={
        "price": "price", "prices": "price", "ohlc": "price", "vwap": "vwap",
        "volume": "volume", "volumes": "volume", "trade": "trades", "trades": "trades",
    },
    lateness_s=LATENESS_S,
    stale_s=STALE_S,
    event_type="Last",
)  # fmt: skip

ALL_TRADES = Channel(
    name="all_trades",
    kind="trade",
    fields=TRADES.fields,
    lateness_s=LATENESS_S,
    stale_s=STALE_S,
    default=False,
    event_type="AllLast",
)

QUOTES = Channel(
    name="quotes",
    kind="quote",
    fields=("bid_avg", "ask_avg"),
    words={
        "bid": "bid", "bids": "bid", "ask": "ask", "asks": "ask",
        "quote": "quote", "quotes": "quote", "bbo": "quote",
    },
    lateness_s=LATENESS_S,
    stale_s=STALE_S,
    event_type="BidAsk",
)  # fmt: skip

MIDPOINTS = Channel(
    name="midpoints",
    kind="quote",
    fields=PRICES,
    lateness_s=LATENESS_S,
    stale_s=STALE_S,
    default=False,
    event_type="MidPoint",
)

CANDLES = Channel(
    name="candles",
    kind="candle",
    fields=("candle_open", "candle_high", "candle_low", "candle_close", "candle_volume"),
    time="receive",  # as other venues' candles: what was last told counts
    gates=False,
    stale_s=STALE_S,
    default=False,
)


RAW = tuple(
    # A quiet contract is no broken connection: Desk.watch proves that TWS is alive.
    Channel(name=name, kind="custom", fields=(), stale_s=None)
    for name in ("raw_last", "raw_all_last", "raw_bid_ask", "raw_midpoint")
)
"""All that TWS says of a tick, for `/stream` and `bond ib`."""


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `ibkr`."""
    yield ConnectorSpec(
        name="ibkr",
        factory="bond_ibkr.connector:IbkrConnector",
        config=IbkrConfig,
        channels=(TRADES, QUOTES, CANDLES, ALL_TRADES, MIDPOINTS),
        raw=RAW,
        summary="Tick-by-tick trades, quotes and midpoints of Interactive Brokers, by TWS",
        simulator="bond_ibkr.simulator:TwsSimulator",
        default_symbol="stock",
    )


@hookimpl
def bond_server_parts() -> Iterator[ServerSpec]:
    """Describe the routes below `/stream`."""
    yield ServerSpec(
        name="ibkr.stream",
        factory="bond_ibkr.server.routes:IbServer",
        prefix="/stream",
        config=IbServerConfig,
        summary="Ticks of an Interactive Brokers contract as Server-Sent Events",
    )


@hookimpl
def bond_commands() -> Iterator[CommandSpec]:
    """Describe `bond ib`."""
    yield CommandSpec(
        name="ib",
        factory="bond_ibkr.server.command:run",
        arguments="bond_ibkr.server.command:add_arguments",
        config=IbServerConfig,
        summary="print ticks of an Interactive Brokers contract",
    )
