"""Tell Bond what this plugin brings, without loading what opens connections."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from bond_alpaca.config import CryptoConfig, StocksConfig
from bond_core.plugin import Backfill, Capabilities, Channel, ConnectorSpec, hookimpl

HOST = "stream.data.alpaca.markets"
DATA_HOST = "data.alpaca.markets"
SIMULATOR = "bond_alpaca.simulator:AlpacaSimulator"
_WHERE = "from your dashboard at app.alpaca.markets, under API Keys; a paper account's will do"
NEEDS = {
    "ALPACA_API_KEY": f"the id of a key, {_WHERE}",
    "ALPACA_SECRET_KEY": "the secret that was shown with it",
}

# Alpaca allows 200 requests a minute, which a user's own programs want some of.
FETCHES = Capabilities(
    backfill=Backfill(
        channels=("trades",), most_events=50_000, most_requests=20, requests_per_min=60
    )
)

# Silence counts within regular hours; outside of them the connection's own life does. A share
# may well not trade for a while: `stale_sec` in a source says otherwise.
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
    """Describe `alpaca` (shares) and `alpaca.crypto`."""
    yield ConnectorSpec(
        name="alpaca",
        factory="bond_alpaca.connector:StocksConnector",
        config=StocksConfig,
        channels=(TRADES, QUOTES, BARS),
        summary="American shares from Alpaca: trades, best bid and ask, minute bars",
        simulator=SIMULATOR,
        default_symbol="stock",
        needs=NEEDS,
        hosts=(HOST, DATA_HOST),
        capabilities=FETCHES,
    )
    yield ConnectorSpec(
        name="alpaca.crypto",
        factory="bond_alpaca.connector:CryptoConnector",
        config=CryptoConfig,
        # Alpaca's own market of crypto is quiet: minutes pass between trades.
        channels=(attrs.evolve(TRADES, stale_s=900.0), QUOTES, attrs.evolve(BARS, stale_s=900.0)),
        summary="Crypto from Alpaca's own market: trades, best bid and ask, minute bars",
        simulator=SIMULATOR,
        needs=NEEDS,
        hosts=(HOST, DATA_HOST),
        capabilities=FETCHES,
    )
