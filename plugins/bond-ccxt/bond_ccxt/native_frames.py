"""What is read of venues' trade and quote frames: typed structs, for msgspec to decode into.

Numbers are decoded from texts where the venue writes texts. Names are the venues' own (`instId`
is `inst_id`).
"""

from __future__ import annotations

from msgspec import Struct

# A struct's fields are all that is decoded; whatever else is in a frame is passed over.


class BinanceTrade(Struct, gc=False):
    """`trade`: s market, t id, p price, q size, T time in ms, m whether the buyer is the maker."""

    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool


class BinanceQuote(Struct, gc=False):
    """`bookTicker`: b, B best bid and its size, a, A ask; T and E, in ms, of futures only."""

    s: str
    b: float
    B: float
    a: float
    A: float
    T: int | None = None
    E: int | None = None


class OkxTrade(Struct, gc=False, rename="camel"):
    """One entry of `trades`."""

    inst_id: str
    trade_id: str
    px: float
    sz: float
    side: str
    ts: int
    count: int = 1


class OkxTrades(Struct, gc=False):
    """A message of `trades`."""

    data: list[OkxTrade]


class OkxTicker(Struct, gc=False, rename="camel"):
    """One entry of `tickers`."""

    inst_id: str
    last: float
    ask_px: float
    ask_sz: float
    bid_px: float
    bid_sz: float
    ts: int


class OkxTickers(Struct, gc=False):
    """A message of `tickers`."""

    data: list[OkxTicker]


class BybitTrade(Struct, gc=False):
    """One entry of `publicTrade`: T time in ms, s market, S taker's side, v size, p price, i id."""

    T: int
    s: str
    S: str
    v: float
    p: float
    i: str


class BybitTrades(Struct, gc=False):
    """A message of `publicTrade`."""

    data: list[BybitTrade]


class BybitTop(Struct, gc=False):
    """What `orderbook.1` has: s market, b bids, a asks."""

    s: str
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]


class BybitQuote(Struct, gc=False):
    """A message of `orderbook.1`."""

    type: str
    ts: int
    data: BybitTop
    cts: int | None = None


class KrakenTrade(Struct, gc=False):
    """One entry of `trade`."""

    symbol: str
    side: str
    price: float
    qty: float
    trade_id: int
    timestamp: str


class KrakenTrades(Struct, gc=False):
    """A message of `trade`."""

    data: list[KrakenTrade]


class KrakenTicker(Struct, gc=False):
    """One entry of `ticker`."""

    symbol: str
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float
    last: float | None = None
    timestamp: str | None = None


class KrakenTickers(Struct, gc=False):
    """A message of `ticker`."""

    data: list[KrakenTicker]


class CoinbaseTrade(Struct, gc=False):
    """One entry of `market_trades`; its side is the maker's."""

    product_id: str
    trade_id: str
    price: float
    size: float
    time: str
    side: str


class CoinbaseTradesEvent(Struct, gc=False):
    """Some of them, the newest first."""

    trades: list[CoinbaseTrade]


class CoinbaseTrades(Struct, gc=False):
    """A message of `market_trades`."""

    sequence_num: int
    events: list[CoinbaseTradesEvent]


class CoinbaseTicker(Struct, gc=False):
    """One entry of `ticker`."""

    product_id: str
    price: float
    best_bid: float
    best_bid_quantity: float
    best_ask: float
    best_ask_quantity: float


class CoinbaseTickersEvent(Struct, gc=False):
    """Some of them."""

    tickers: list[CoinbaseTicker]


class CoinbaseTickers(Struct, gc=False):
    """A message of `ticker`; its time is that of all in it."""

    sequence_num: int
    timestamp: str
    events: list[CoinbaseTickersEvent]


class ExchangeTrade(Struct, gc=False):
    """Coinbase Exchange's `match`; its side is the maker's."""

    trade_id: int
    side: str
    size: float
    price: float
    product_id: str
    time: str


class ExchangeTicker(Struct, gc=False):
    """Coinbase Exchange's `ticker`; sizes are missing in old recordings."""

    product_id: str
    price: float
    best_bid: float
    best_ask: float
    time: str
    best_bid_size: float | None = None
    best_ask_size: float | None = None
