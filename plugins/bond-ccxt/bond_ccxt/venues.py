"""What differs from venue to venue: how to subscribe through ccxt, confirm, and leave again.

Formats are the venues' own, from their public documentation:
binance  https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
okx      https://www.okx.com/docs-v5/en/#overview-websocket-subscribe
bybit    https://bybit-exchange.github.io/docs/v5/ws/connect
coinbase https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/websocket
coinbaseexchange https://docs.cdp.coinbase.com/exchange/websocket-feed/overview
kraken   https://docs.kraken.com/api/docs/websocket-v2/trade
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

Key = tuple[str, str]
"""A venue's name for a channel, and for a symbol."""


@attrs.frozen(kw_only=True)
class Feed:
    """How one of our channels is had from a venue.

    Attributes:
        watch: The ccxt.pro method that subscribes and waits; None where a REST method is
            polled instead.
        also: Further such methods, where one doesn't bring all of it.
        name: What the venue calls the channel; None where ccxt knows and we needn't.
        hash: How ccxt names the subscription, of a unified symbol as `{}`, the venue's name
            for the market as `{id}` or, in small letters, `{lower}`.
        batch: How many symbols one call may subscribe; 1 also means that it takes a symbol
            and not a list.
        kept_in: The exchange's attribute where ccxt puts what it has parsed; None where we
            read the venue's messages ourselves.
        ask: Makes the arguments of `watch` from the symbols.
        swaps: Whether only perpetual contracts have it.
        by_type: Whether the venue confirms it by kind of market (`SWAP`), not by market.
    """

    watch: str | None = None
    kept_in: str | None = None
    also: tuple[str, ...] = ()
    name: str | None = None
    hash: str | None = None
    batch: int = 100
    ask: Callable[[Sequence[str]], tuple[Any, ...]] | None = None
    swaps: bool = False
    by_type: bool = False

    def hash_of(self, market: Mapping[str, Any]) -> str:
        """Return ccxt's name for the subscription of a market."""
        names = {"id": market["id"], "lower": market.get("lowercaseId")}
        return "" if self.hash is None else self.hash.format(market["symbol"], **names)

    def arguments(self, symbols: Sequence[str]) -> tuple[Any, ...]:
        """Return what `watch` is called with."""
        if self.ask is not None:
            return self.ask(symbols)
        return (symbols[0] if self.batch == 1 else list(symbols),)


@attrs.frozen(kw_only=True)
class Venue:
    """A venue, as far as this plugin must know it.

    Attributes:
        id: Its ccxt id.
        feeds: Our channel → how it is had.
        trade_time: The key of a trade's time in the venue's own message, where that is finer
            than ccxt's milliseconds or needs no second parsing; None takes ccxt's.
        quote_time: Likewise of a quote; looked for in its own entry, then in the message.
        trade_count: The key that says how many trades, of ids up to its own, one entry stands for;
            None where each stands for one.
        maker_side: Whether the venue's `side` is the maker's.
        writes_unified: Whether its messages name markets by unified symbols, under `symbol`.
        confirmed: Returns what a message confirms: keys, or the number of the request.
        leave: Makes the message that unsubscribes: (channel, symbols, request number).
        pollable: Whether one REST request answers for many symbols with bid and ask.
        options: Options for ccxt.
    """

    id: str
    feeds: Mapping[str, Feed]
    trade_time: str | None = None
    quote_time: str | None = None
    trade_count: str | None = None
    maker_side: bool = False
    writes_unified: bool = False
    confirmed: Callable[[Mapping[str, Any]], Iterable[Key | int]] = lambda _: ()
    leave: Callable[[str, Sequence[str], int], Mapping[str, Any]] | None = None
    pollable: bool = True
    options: Mapping[str, Any] = attrs.field(factory=dict)


def _binance_confirmed(message: Mapping[str, Any]) -> Iterable[Key | int]:
    if "result" in message and message["result"] is None and "id" in message:
        yield int(message["id"])


def _binance_leave(channel: str, symbols: Sequence[str], number: int) -> Mapping[str, Any]:
    streams = [f"{symbol.lower()}@{channel}" for symbol in symbols]
    return {"method": "UNSUBSCRIBE", "params": streams, "id": number}


def _okx_confirmed(message: Mapping[str, Any]) -> Iterable[Key | int]:
    if message.get("event") == "subscribe":
        arg = message["arg"]
        yield arg["channel"], arg.get("instId") or arg["instType"]


def _okx_leave(channel: str, symbols: Sequence[str], _: int) -> Mapping[str, Any]:
    return {"op": "unsubscribe", "args": [{"channel": channel, "instId": s} for s in symbols]}


def _bybit_confirmed(message: Mapping[str, Any]) -> Iterable[Key | int]:
    if message.get("op") == "subscribe" and message.get("success") and message.get("req_id"):
        yield int(message["req_id"])


def _bybit_leave(channel: str, symbols: Sequence[str], number: int) -> Mapping[str, Any]:
    topics = [f"{channel}.{symbol}" for symbol in symbols]
    return {"op": "unsubscribe", "req_id": str(number), "args": topics}


def _coinbase_confirmed(message: Mapping[str, Any]) -> Iterable[Key | int]:
    if message.get("channel") == "subscriptions":
        for event in message.get("events", ()):
            for channel, products in event.get("subscriptions", {}).items():
                yield from ((channel, product) for product in products)


def _coinbase_leave(channel: str, symbols: Sequence[str], _: int) -> Mapping[str, Any]:
    return {"type": "unsubscribe", "channel": channel, "product_ids": list(symbols)}


def _exchange_confirmed(message: Mapping[str, Any]) -> Iterable[Key | int]:
    if message.get("type") == "subscriptions":
        for channel in message.get("channels", ()):
            yield from ((channel["name"], product) for product in channel["product_ids"])


def _exchange_leave(channel: str, symbols: Sequence[str], _: int) -> Mapping[str, Any]:
    return {"type": "unsubscribe", "channels": [channel], "product_ids": list(symbols)}


def _kraken_confirmed(message: Mapping[str, Any]) -> Iterable[Key | int]:
    if message.get("method") == "subscribe" and message.get("success"):
        yield message["result"]["channel"], message["result"]["symbol"]


def _kraken_leave(channel: str, symbols: Sequence[str], number: int) -> Mapping[str, Any]:
    params: dict[str, Any] = {"channel": channel, "symbol": list(symbols)}
    if channel == "ticker":
        params["event_trigger"] = "bbo"  # the same channel under another trigger is another one
    if channel == "book":
        params["depth"] = BOOK_DEPTH
    if channel == "ohlc":
        params["interval"] = 1
    return {"method": "unsubscribe", "params": params, "req_id": number}


_MANY = "watch_trades_for_symbols"
_BOOKS = "watch_order_book_for_symbols"
_CANDLES = "watch_ohlcv_for_symbols"
BOOK_DEPTH = 100
"""How many levels of a side Kraken is asked for: one of those that it offers."""


def _minutes(symbols: Sequence[str]) -> tuple[Any, ...]:
    return ([[symbol, "1m"] for symbol in symbols],)


def _deep(levels: int) -> Callable[[Sequence[str]], tuple[Any, ...]]:
    return lambda symbols: (list(symbols), levels)


_POLLED = Feed(swaps=True)

VENUES: Mapping[str, Venue] = {
    venue.id: venue
    for venue in (
        Venue(
            id="binance",
            feeds={
                "trades": Feed(watch=_MANY, kept_in="trades", name="trade", hash="trade::{}"),
                "quotes": Feed(
                    watch="watch_bids_asks", kept_in="bidsasks", name="bookTicker",
                    hash="bidask:bookTicker@{}",
                ),
                "book": Feed(watch=_BOOKS, name="depth@100ms", hash="orderbook::{}"),
                "candles": Feed(
                    watch=_CANDLES, name="kline_1m", hash="ohlcv::{}::1m", ask=_minutes
                ),
                "liquidations": Feed(
                    watch="watch_liquidations_for_symbols", name="forceOrder",
                    hash="{lower}@forceOrder", swaps=True,
                ),
                "funding": Feed(
                    watch="watch_mark_prices", name="markPrice@1s",
                    hash="markPrice:markPrice@{}", swaps=True,
                ),
                "open_interest": _POLLED,
            },
            trade_time="T",
            quote_time="T",  # futures only: a spot bookTicker has no time
            confirmed=_binance_confirmed,
            leave=_binance_leave,
            # ccxt would open a socket for every new list of symbols: one for all of them.
            options={
                "streamLimits": dict.fromkeys(("spot", "margin", "linear", "inverse"), 1),
                "subscriptionLimitByStream": dict.fromkeys(
                    ("spot", "margin", "linear", "inverse"), 1024  # the venue's own limit
                ),
            },
        ),
        Venue(
            id="okx",
            feeds={
                "trades": Feed(watch=_MANY, kept_in="trades", name="trades", hash="trades:{}"),
                "quotes": Feed(
                    watch="watch_tickers", kept_in="tickers", name="tickers", hash="tickers::{}"
                ),
                "book": Feed(watch=_BOOKS, name="books", hash="books:{}", ask=_deep(400)),
                "candles": Feed(
                    watch=_CANDLES, name="candle1m", hash="multi:candle1m:{}", ask=_minutes
                ),
                "liquidations": Feed(
                    watch="watch_liquidations_for_symbols", name="liquidation-orders",
                    swaps=True, by_type=True,
                ),
                "funding": Feed(
                    watch="watch_funding_rates", also=("watch_mark_prices",),
                    name="funding-rate", swaps=True,
                ),
                "open_interest": _POLLED,
            },
            trade_time="ts",
            quote_time="ts",
            trade_count="count",
            confirmed=_okx_confirmed,
            leave=_okx_leave,
        ),
        Venue(
            id="bybit",
            feeds={
                "trades": Feed(
                    watch=_MANY, kept_in="trades", name="publicTrade", hash="trade:{}", batch=10
                ),
                "quotes": Feed(
                    watch="watch_bids_asks", kept_in="bidsasks", name="orderbook.1",
                    hash="bidask:{}", batch=10,  # a spot request may name ten
                ),
                "book": Feed(
                    watch=_BOOKS, name="orderbook.200", hash="orderbook:{}", batch=10,
                    ask=_deep(200),
                ),
                "candles": Feed(
                    watch=_CANDLES, name="kline.1", hash="ohlcv::{}::1m", batch=10, ask=_minutes
                ),
                "liquidations": Feed(
                    watch="watch_liquidations", name="allLiquidation", hash="liquidations::{}",
                    batch=1, swaps=True,
                ),
                "funding": Feed(
                    watch="watch_tickers", name="tickers", hash="ticker:{}", batch=10, swaps=True
                ),
                "open_interest": _POLLED,
            },
            trade_time="T",
            quote_time="cts",
            confirmed=_bybit_confirmed,
            leave=_bybit_leave,
        ),
        Venue(
            id="coinbase",
            feeds={
                "trades": Feed(
                    watch=_MANY, kept_in="trades", name="market_trades", hash="market_trades::{}"
                ),
                "quotes": Feed(  # watch_tickers would take ticker_batch: every 5 s
                    watch="watch_ticker", kept_in="tickers", name="ticker", hash="ticker::{}",
                    batch=1,
                ),
                "book": Feed(watch=_BOOKS, name="level2", hash="level2::{}"),
            },
            trade_time="time",
            quote_time="timestamp",
            maker_side=True,
            confirmed=_coinbase_confirmed,
            leave=_coinbase_leave,
            pollable=False,
        ),
        Venue(
            id="coinbaseexchange",
            feeds={
                "trades": Feed(watch=_MANY, kept_in="trades", name="matches", hash="matches:{}"),
                "quotes": Feed(
                    watch="watch_tickers", kept_in="tickers", name="ticker", hash="ticker:{}"
                ),
                # `level2` wants a login; this one has the same messages, up to 50 ms apart.
                "book": Feed(
                    watch=_BOOKS, name="level2_batch", hash="level2:{id}",
                    ask=lambda symbols: (list(symbols), None, {"channels": ["level2_batch"]}),
                ),
            },
            trade_time="time",
            quote_time="time",
            maker_side=True,
            confirmed=_exchange_confirmed,
            leave=_exchange_leave,
            pollable=False,
        ),
        Venue(
            id="kraken",
            feeds={
                "trades": Feed(watch=_MANY, kept_in="trades", name="trade", hash="trade@{}"),
                "quotes": Feed(
                    watch="watch_bids_asks", kept_in="tickers", name="ticker", hash="ticker@{}"
                ),
                "book": Feed(
                    watch=_BOOKS, name="book", hash="orderbook@{}", ask=_deep(BOOK_DEPTH)
                ),
                "candles": Feed(
                    watch="watch_ohlcv", name="ohlc", hash="ohlcv@{}", batch=1,
                    ask=lambda symbols: (symbols[0], "1m"),
                ),
            },
            trade_time="timestamp",
            quote_time="timestamp",
            writes_unified=True,
            confirmed=_kraken_confirmed,
            leave=_kraken_leave,
        ),
    )
}  # fmt: skip

IDS_BY_ONE = ("binance", "coinbase", "coinbaseexchange", "kraken")
"""The venues whose trades of a market are numbered without a hole. Those of okx would be, but
one message may stand for several; bybit's ids are no numbers."""

PROVEN = tuple(VENUES)
"""The venues that tests cover, by ccxt id."""

UNPROVEN = (
    "binancecoinm", "binanceus", "binanceusdm", "bingx", "bitfinex", "bitget", "bithumb",
    "bitopro", "bitrue", "bitstamp", "bittrade", "bitvavo", "blofin", "bybiteu",
    "coinbaseinternational", "coincheck", "coinone", "cryptocom", "deepcoin", "deribit", "gate",
    "gemini", "hashkey", "hitbtc", "htx", "hyperliquid", "independentreserve", "krakenfutures",
    "kucoin", "kucoinfutures", "lbank", "luno", "mexc", "myokx", "ndax", "okxus", "onetrading",
    "paradex", "phemex", "poloniex", "toobit", "upbit", "whitebit",
)  # fmt: skip
"""Venues of ccxt.pro that no test covers, by ccxt id. Those are left out whose names are common
words or assets (`apex`, `bullish`, `derive`, `dydx`, `woo`): a sentence may mean something else."""

SIMULATED = ("binance", "okx", "bybit", "coinbase", "coinbaseexchange", "kraken")
"""The venues that bond-sim serves."""

ALIASES: Mapping[str, str] = {
    "binance spot": "binance",
    "binance.com": "binance",
    "okex": "okx",
    "by bit": "bybit",
    "coinbase advanced": "coinbase",
    "coinbase advanced trade": "coinbase",
    "coinbase exchange": "coinbaseexchange",
    "coinbase pro": "coinbaseexchange",
    "coinbasepro": "coinbaseexchange",
    "gdax": "coinbaseexchange",
    "binance us": "binanceus",
    "binance.us": "binanceus",
    "crypto.com": "cryptocom",
    "gate.io": "gate",
    "gateio": "gate",
    "huobi": "htx",
    "kraken futures": "krakenfutures",
    "kucoin futures": "kucoinfutures",
}
"""What people call a venue → its ccxt id."""


def unproven(id: str, has: Mapping[str, Any]) -> Venue:
    """Return how to try a venue that no test covers, from what ccxt says it `has`."""
    feeds: dict[str, Feed] = {}
    if has.get("watchTrades"):
        feeds["trades"] = Feed(watch="watch_trades", kept_in="trades", batch=1)
    if has.get("watchBidsAsks"):
        feeds["quotes"] = Feed(watch="watch_bids_asks", kept_in="bidsasks", batch=20)
    elif has.get("watchTicker"):
        feeds["quotes"] = Feed(watch="watch_ticker", kept_in="tickers", batch=1)
    if has.get("watchOrderBook"):
        feeds["book"] = Feed(watch="watch_order_book", batch=1)
    return Venue(id=id, feeds=feeds, pollable=bool(has.get("fetchTickers")))
