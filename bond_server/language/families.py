"""The families of sources that English knows, installed or not, and the words for each.

A sentence compiles against these offline; whether a plugin is there is found out when the
stream is bound. What an installed connector says of itself wins (`vocabulary.with_plugins`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from bond_core.plugin.specs import Channel

TRADE_FIELDS = (
    "price_avg", "price_open", "price_high", "price_low", "price_close",
    "vwap", "volume_sum", "trades",
)  # fmt: skip
QUOTE_FIELDS = ("bid_avg", "ask_avg")


@attrs.frozen(kw_only=True)
class Family:
    """A source type as the language sees it.

    Attributes:
        type: The source type in specs.
        names: What people call the source itself.
        channels: What it brings; a channel's `words` are the words that ask for it.
        of: Whether it is of crypto markets, of stocks, of assets by name, or of nothing in
            particular (then its source has no symbols).
        named: The words its bare name stands for (`twitter` → tweets).
    """

    type: str
    channels: tuple[Channel, ...]
    of: Literal["market", "stock", "asset", "nothing"]
    names: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def _words(*groups: str) -> Mapping[str, str]:
    """Return word → field word of `field word: word, word` lines; the field word is one too."""
    table: dict[str, str] = {}
    for group in groups:
        field_word, _, words = group.partition(":")
        table[field_word] = field_word
        table |= {word.strip(): field_word for word in words.split(",") if word.strip()}
    return table


_PRICE = (
    "price: prices, px, last price, worth, market price, spot price, value, quotation, "
    "open, opening price, open price, first price, close, closes, closing price, close price, "
    "last traded price"
)
_VOLUME = (
    "volume: volumes, vol, traded volume, trading volume, turnover, traded, amount traded, "
    "is traded, are traded"
)
_TRADES = (
    "trades: trade, executions, fills, prints, aggtrade, aggtrades, aggregate trades, "
    "trade count, number of trades"
)
_VWAP = "vwap: volume weighted average price, volume weighted price"
_BID = "bid: bids, best bid, bid price"
_ASK = "ask: asks, best ask, offer, offers, ask price"

_TRADES_CHANNEL = Channel(
    name="trades", kind="trade", fields=TRADE_FIELDS, words=_words(_PRICE, _VOLUME, _TRADES, _VWAP)
)
_QUOTES_CHANNEL = Channel(
    name="quotes", kind="quote", fields=QUOTE_FIELDS, words=_words(_BID, _ASK)
)

BUNDLED: tuple[Family, ...] = (
    Family(
        type="ccxt",
        of="market",
        names=("ccxt",),
        channels=(
            _TRADES_CHANNEL,
            _QUOTES_CHANNEL,
            Channel(
                name="book", kind="book", fields=("bids", "asks"), default=False,
                words=_words(
                    "orderbook: order book, order books, orderbooks, book, l2, level 2, "
                    "level two, market depth, depth of market, dom, limit order book, "
                    "depth chart, depth charts"
                ),
            ),
            Channel(
                name="funding", kind="funding", fields=("funding_rate", "mark_price"),
                default=False,
                words=_words(
                    "funding_rate: funding rate, funding rates, funding",
                    "mark_price: mark price, mark prices, mark",
                ),
            ),
            Channel(
                name="open_interest", kind="open_interest", fields=("open_interest",),
                default=False, words=_words("open_interest: open interest, oi"),
            ),
        ),
    ),
    Family(
        type="equities",
        of="stock",
        channels=(_TRADES_CHANNEL, _QUOTES_CHANNEL),
    ),
    Family(
        type="twitter",
        of="asset",
        names=("twitter", "x.tweets", "x tweets", "x.com", "twitter feed", "twitter data"),
        named=("tweets",),
        channels=(
            Channel(
                name="posts", kind="post", fields=("tweets",), gates=False, by_base=True,
                time="receive",
                words=_words(
                    "tweets: tweet, tweeting, tweeted, tweet count, tweet counts, tweet volume, "
                    "number of tweets, twitter mentions, twitter posts, posts, x posts, "
                    "social posts, social media, twitter activity, tweets count, "
                    "tweets volume, volume of tweets"
                ),
            ),
        ),
    ),
    Family(
        type="nitter",
        of="asset",
        names=("nitter",),
        named=("tweets",),
        channels=(
            Channel(
                name="posts", kind="post", fields=("tweets",), gates=False, by_base=True,
                time="receive",
            ),
        ),
    ),
    Family(
        type="onchain",
        of="asset",
        names=("onchain.grpc",),
        named=("onchain",),
        channels=(
            Channel(
                name="chain", kind="chain", fields=("onchain_count",), scope="stream",
                words=_words(
                    "onchain: on-chain, on-chain activity, onchain activity, on-chain data, "
                    "onchain data, chain activity, on-chain events, onchain events, "
                    "blockchain activity, on-chain metrics, onchain metrics",
                    "tx: txs, txns, txn, transactions, transaction, on-chain transactions, "
                    "on-chain tx, onchain tx, onchain transactions, on-chain txs, on-chain txns",
                    "transfers: transfer, on-chain transfers, onchain transfers, "
                    "token transfers",
                    "blocks: block, new blocks, on-chain blocks, onchain blocks",
                ),
            ),
        ),
    ),
    Family(
        type="liquidations",
        of="asset",
        names=("liquidation feed",),
        named=("liquidations",),
        channels=(
            Channel(
                name="liquidations", kind="liquidation", fields=("liquidations",), by_base=True,
                words=_words("liquidations: liquidation, liqs, liq, forced liquidations, rekt"),
            ),
        ),
    ),
    Family(
        type="news",
        of="asset",
        names=("news feed", "newswire"),
        named=("news",),
        channels=(
            Channel(
                name="news", kind="news", fields=("news",), gates=False, by_base=True,
                time="receive",
                words=_words("news: headlines, headline, articles, news articles, news headlines"),
            ),
        ),
    ),
    Family(
        type="trends",
        of="asset",
        names=("google trends", "google.trends", "google trend"),
        named=("trends",),
        channels=(
            Channel(
                name="trends", kind="trend", fields=("trends",), gates=False, by_base=True,
                time="receive",
                words=_words(
                    "trends: trend, search interest, search trends, search volume, searches, "
                    "googling, googled, google searches, google search interest, "
                    "google search volume"
                ),
            ),
        ),
    ),
    Family(
        type="custom",
        of="nothing",
        names=("custom", "custom.ws", "custom websocket", "custom web socket", "custom feed",
               "custom ws", "custom source", "my websocket", "own websocket", "websocket"),
        named=("custom",),
        channels=(
            Channel(
                name="custom", kind="custom", fields=("custom_count",), scope="stream",
                words=_words("custom"),
            ),
        ),
    ),
)  # fmt: skip

# Words that ask for several others at once; `market` is all that a market's default feeds bring.
COMBINED: Mapping[str, tuple[str, ...]] = {
    phrase: words
    for phrases, words in (
        ("market data|market feed|market information|everything", ("market",)),
        (("bid ask|bid and ask|bids and asks|bid ask prices|quotes|quote|bbo|top of book|"
          "best bid and ask|best bid ask|book ticker|bookticker|best bid and offer|l1|level 1|"
          "bid ask quotes"),
         ("bid", "ask")),
        ("ticker|tickers", ("price", "volume", "bid", "ask")),
        ("buy and sell volume|buy/sell volume|buying and selling volume",
         ("buy_volume", "sell_volume")),
    )
    for phrase in phrases.split("|")
}  # fmt: skip

EVENT_TYPES: Mapping[str, str] = {"tx": "tx", "transfers": "transfer", "blocks": "block"}
# Words whose fields are counts or sums: of several windows they add up.
SUMS = frozenset({
    "volume", "trades", "tweets", "twitter", "news", "liquidations", "onchain", "tx", "transfers",
    "blocks", "buy_volume", "sell_volume", "liquidation_volume",
})  # fmt: skip
SWAP_WORDS = frozenset({"funding_rate", "mark_price", "open_interest"})
STOCK_PROVIDERS: Mapping[str, str] = {
    "alpaca": "alpaca", "polygon": "polygon", "polygon.io": "polygon", "finnhub": "finnhub",
    "ibkr": "ibkr", "interactive brokers": "ibkr", "ib": "ibkr", "massive": "polygon",
}  # fmt: skip
# Assets that are chains of their own, as `chain` says them; only `sol` is heard today.
CHAINS: Mapping[str, str] = {
    "SOL": "sol", "ETH": "eth", "BTC": "btc", "BNB": "bnb", "AVAX": "avax", "TRX": "trx",
    "NEAR": "near", "SUI": "sui", "APT": "apt", "POL": "pol", "ARB": "arb",
}  # fmt: skip

CHAIN_WORDS = frozenset({"onchain", "tx", "transfers", "blocks"})

VENUES: Mapping[str, str] = {
    name.strip(): group.partition(":")[0]
    for group in (
        "binance: binance spot", "binanceus: binance us, binance.us",
        "binanceusdm: binance futures, binance usdm", "okx: okex", "bybit",
        "coinbase: coinbase advanced, cb", "coinbaseexchange: coinbase exchange, coinbase pro",
        "kraken", "krakenfutures: kraken futures", "kucoin: ku coin",
        "kucoinfutures: kucoin futures",
        "gate: gate.io, gateio", "htx: huobi", "mexc", "bitget", "bitstamp", "bitfinex: bfx",
        "bitmex", "deribit", "gemini", "cryptocom: crypto.com, crypto com", "bithumb", "upbit",
        "poloniex", "phemex", "bitmart", "lbank", "whitebit", "hitbtc", "coinex", "bingx",
        "woo: woox, woo x", "hyperliquid", "dydx exchange", "bitflyer", "coincheck", "bitvavo",
        "exmo", "luno", "bitso", "okcoin", "ascendex", "probit", "bitrue", "paradex", "bitbank",
        "backpack", "bitopro", "independentreserve: independent reserve", "blockchaincom",
        "mercado: mercado bitcoin",
    )
    for name in (group.partition(":")[0], *group.partition(":")[2].split(","))
    if name.strip()
}  # fmt: skip
