"""Tell Bond what this plugin brings, without loading ccxt."""

from __future__ import annotations

from collections.abc import Iterator

from bond_ccxt.config import CcxtConfig, TickerConfig
from bond_ccxt.venues import ALIASES, IDS_BY_ONE, PROVEN
from bond_core.plugin import Backfill, Capabilities, Channel, ConnectorSpec, hookimpl

PRICES = ("price_avg", "price_open", "price_high", "price_low", "price_close")
SIMULATOR = "bond_sim.simulator:Simulator"
SIMULATED = ("binance", "okx", "coinbaseexchange")

TRADES = Channel(
    name="trades",
    kind="trade",
    fields=(*PRICES, "vwap", "volume_sum", "trades"),
    words={
        "price": "price",
        "prices": "price",
        "ohlc": "price",
        "vwap": "vwap",
        "volume": "volume",
        "volumes": "volume",
        "trade": "trades",
        "trades": "trades",
    },
    ids_by_one=IDS_BY_ONE,
)

QUOTES = Channel(
    name="quotes",
    kind="quote",
    fields=("bid_avg", "ask_avg"),
    words={
        "bid": "bid",
        "bids": "bid",
        "ask": "ask",
        "asks": "ask",
        "quote": "quote",
        "quotes": "quote",
        "bbo": "quote",
    },
)

# A sample has a price and no size, so vwap isn't among its fields, and the last two stay null.
TICKER = Channel(
    name="ticker",
    kind="quote",
    fields=(*PRICES, "bid_avg", "ask_avg", "volume_sum", "trades"),
    words={"ticker": "price", "tickers": "price"},
    lateness_s=0.5,
    idle_s=5.5,  # every 5 s, plus lateness; the runtime scales both to the interval asked for
    stale_s=15.0,  # three polls missed
    default=False,
)


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `ccxt` (WebSocket) and `ccxt.ticker` (REST polling)."""
    yield ConnectorSpec(
        name="ccxt",
        factory="bond_ccxt.connector:CcxtConnector",
        config=CcxtConfig,
        channels=(TRADES, QUOTES),
        summary="Trades and best bid/ask of crypto exchanges, as they happen",
        venues=PROVEN,
        venue_aliases=ALIASES,
        simulator=SIMULATOR,
        simulated_venues=SIMULATED,
        capabilities=Capabilities(backfill=Backfill(channels=("trades",), most_requests=20)),
    )
    yield ConnectorSpec(
        name="ccxt.ticker",
        factory="bond_ccxt.ticker:TickerConnector",
        config=TickerConfig,
        channels=(TICKER,),
        summary="Last price, bid and ask of crypto exchanges, asked for every few seconds",
        venues=PROVEN,
        venue_aliases=ALIASES,
        simulator=SIMULATOR,
        simulated_venues=SIMULATED,
        polls_every_s=5.0,
        capabilities=Capabilities(mode="poll"),
    )
