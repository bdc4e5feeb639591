"""Tell Bond what this plugin brings, without loading ccxt."""

from __future__ import annotations

from collections.abc import Iterator

from bond_ccxt.config import CcxtConfig, TickerConfig
from bond_ccxt.venues import ALIASES, IDS_BY_ONE, PROVEN, SIMULATED, UNPROVEN
from bond_core.plugin import Backfill, Capabilities, Channel, ConnectorSpec, hookimpl

PRICES = ("price_avg", "price_open", "price_high", "price_low", "price_close")
SIMULATOR = "bond_sim.simulator:Simulator"
LIQUIDATING = ("binance", "okx", "bybit")
"""The venues whose liquidations are heard."""

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

# English's words for these are Bond's own (bond_server.language.families).
BOOK = Channel(
    name="book",
    kind="book",
    fields=("bids", "asks", "bid_depth", "ask_depth", "book_imbalance"),
    stale_s=60.0,  # small markets stand still for long
    default=False,
)

CANDLES = Channel(
    name="candles",
    kind="candle",
    fields=("candle_open", "candle_high", "candle_low", "candle_close", "candle_volume"),
    stale_s=180.0,  # a minute without a trade sends none
    time="receive",  # what was last told is what counts, however old a candle's start is
    gates=False,
    default=False,
)

FUNDING = Channel(
    name="funding",
    kind="funding",
    fields=("funding_rate", "mark_price"),
    stale_s=180.0,  # okx tells the rate every minute or so
    time="receive",
    gates=False,
    default=False,
)

OPEN_INTEREST = Channel(
    name="open_interest",
    kind="open_interest",
    fields=("open_interest",),
    stale_s=60.0,  # four rounds of requests missed
    time="receive",
    gates=False,
    default=False,
)

LIQUIDATIONS = Channel(
    name="liquidations",
    kind="liquidation",
    fields=("liquidations",),
    lateness_s=1.0,  # binance gathers them for up to a second
    stale_s=None,
    by_base=True,
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
    """Describe `ccxt` and `ccxt.liquidations` (WebSocket) and `ccxt.ticker` (REST polling)."""
    yield ConnectorSpec(
        name="ccxt",
        factory="bond_ccxt.connector:CcxtConnector",
        config=CcxtConfig,
        channels=(TRADES, QUOTES, BOOK, FUNDING, OPEN_INTEREST, CANDLES),
        summary="Trades, best bid/ask and order books of crypto exchanges, as they happen",
        venues=(*PROVEN, *UNPROVEN),
        venue_aliases=ALIASES,
        simulator=SIMULATOR,
        simulated_venues=SIMULATED,
        capabilities=Capabilities(backfill=Backfill(channels=("trades",), most_requests=20)),
    )
    yield ConnectorSpec(
        name="ccxt.liquidations",
        aliases=("liquidations",),
        factory="bond_ccxt.liquidations:LiquidationsConnector",
        config=CcxtConfig,
        channels=(LIQUIDATIONS,),
        summary="Liquidations of an asset's linear swaps, as crypto exchanges report them",
        venues=LIQUIDATING,
        venue_aliases={name: id for name, id in ALIASES.items() if id in LIQUIDATING},
        simulator=SIMULATOR,
        simulated_venues=tuple(id for id in SIMULATED if id in LIQUIDATING),
    )
    yield ConnectorSpec(
        name="ccxt.ticker",
        factory="bond_ccxt.ticker:TickerConnector",
        config=TickerConfig,
        channels=(TICKER,),
        summary="Last price, bid and ask of crypto exchanges, asked for every few seconds",
        venues=(*PROVEN, *UNPROVEN),
        venue_aliases=ALIASES,
        simulator=SIMULATOR,
        simulated_venues=SIMULATED,
        polls_every_s=5.0,
        capabilities=Capabilities(mode="poll"),
    )
