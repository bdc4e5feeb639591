"""Read trades and quotes straight from a frame's text, where that pays: they come by the thousand.

ccxt.pro makes a dictionary of twenty entries of each trade, by a dozen calls an entry. Here the
few fields that an event has are decoded into typed structs, and everything else in the frame is
passed over. The values are those that `bond_ccxt.parse` makes of what ccxt has parsed; tests
hold the two to each other, to the last digit.

A frame is recognised by how it begins. What begins otherwise, or has not the fields it should
have, goes the long way through ccxt, so a venue that changes its format costs time, not data.
Formats: see `bond_ccxt.venues`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import inf
from typing import Any

import attrs
import msgspec

from bond_ccxt.markets import Markets, unit_of
from bond_ccxt.native_frames import (
    BinanceQuote,
    BinanceTrade,
    BybitQuote,
    BybitTrades,
    CoinbaseTickers,
    CoinbaseTrades,
    ExchangeTicker,
    ExchangeTrade,
    KrakenTickers,
    KrakenTrades,
    OkxTickers,
    OkxTrades,
)
from bond_ccxt.parse import Side, iso_ns, to_ns
from bond_core.plugin import Event, Quote, Trade

Read = Callable[[str, "Reading"], list[Event]]

_MS = 1_000_000
_OTHER: Mapping[str, Side] = {"buy": "sell", "sell": "buy", "BUY": "sell", "SELL": "buy"}
_LOWER: Mapping[str, Side] = {"buy": "buy", "sell": "sell", "Buy": "buy", "Sell": "sell"}


@attrs.define
class Market:
    """What an event needs of a market. `factor` is None where sizes are in base units as said."""

    symbol: str
    factor: Decimal | None
    unit: str | None

    def size(self, size: float) -> float:
        """Return a trade's size in base units, or in what `unit` says."""
        return size if self.factor is None else float(Decimal(repr(size)) * self.factor)

    def quoted(self, size: float | None) -> float | None:
        """Return a quote's size in base units; None where it isn't in any."""
        return None if size is None or self.unit is not None else self.size(size)


@attrs.define(eq=False)
class Reading:
    """Reads the frames of one connection.

    Attributes:
        client: ccxt's connection.
        now_ns: The clock.
        heard: Is told the number of each message, where messages are numbered.
        summed: Is told (symbol, last id, number) of trades that came as one.
    """

    markets: Markets
    venue: str
    client: Any
    now_ns: Callable[[], int]
    heard: Callable[[Any, int], None]
    summed: Callable[[str, int, int], None]
    _known: dict[str, Market] = attrs.field(factory=dict)
    _tops: dict[str, tuple[dict[float, float], dict[float, float]]] = attrs.field(factory=dict)

    def read(self, text: str) -> tuple[str, list[Event]] | None:
        """Return a channel, and the events of it in a frame.

        None if the frame is about something else, or is odd.
        """
        for begins, channel, read in READERS[self.venue]:
            if text.startswith(begins):
                try:
                    return channel, read(text, self)
                except (msgspec.MsgspecError, ValueError, KeyError):
                    return None
        return None

    def market(self, id: str) -> Market:
        """Return the market that the connection calls so."""
        found = self._known.get(id)
        if found is None:
            of = self.markets.find(self.client, id)
            size, unit = of.get("contractSize") or 1, unit_of(of)
            is_base = not of.get("contract") or unit is not None or size == 1
            factor = None if is_base else Decimal(repr(size))
            found = self._known[id] = Market(of["symbol"], factor, unit)
        return found

    def number(self, number: int) -> None:
        """Tell the number of the message being read."""
        self.heard(self.client, number)

    def trade(
        self, id: str, ts: int | None, price: float, size: float, side: Side,
        trade_id: str, seq: int,
    ) -> Trade:  # fmt: skip
        """Return a trade's event. ValueError: ccxt had better see it."""
        if not (0.0 < price < inf and 0.0 <= size < inf and ts is not None):
            raise ValueError("odd numbers")
        market = self._known.get(id) or self.market(id)
        if market.factor is not None:
            size = market.size(size)
        return Trade(
            market.symbol, ts, price, size, side, trade_id, seq, 0, self.venue, market.unit
        )

    def quote(
        self, id: str, ts: int | None, bid: float | None, ask: float | None,
        sizes: tuple[float | None, float | None], last: float | None = None,
    ) -> Quote:  # fmt: skip
        """Return a quote's event; without a time it happened now. ValueError: as of `trade`."""
        for value in (bid, ask, *sizes, last):
            if value is not None and not 0.0 <= value < inf:
                raise ValueError("odd numbers")
        market = self._known.get(id) or self.market(id)
        return Quote(
            market.symbol, self.now_ns() if ts is None else ts, bid, ask,
            market.quoted(sizes[0]), market.quoted(sizes[1]), last, venue=self.venue,
        )  # fmt: skip

    def top(self, id: str, frame: BybitQuote) -> tuple[dict[float, float], dict[float, float]]:
        """Return a market's best bid and ask, price to size, with what a message changes."""
        if frame.type == "snapshot":
            self._tops[id] = {}, {}
        for side, changes in zip(self._tops[id], (frame.data.b, frame.data.a), strict=True):
            for price, size in changes:
                side[price] = size
                if not size:
                    del side[price]
        return self._tops[id]


def _seq(trade_id: str) -> int:
    return int(trade_id) if trade_id.isdecimal() else 0


def _ms(value: int) -> int | None:
    return value * _MS if 10**11 <= value < 10**14 else to_ns(value)


_decode_binance_trade = msgspec.json.Decoder(BinanceTrade, strict=False).decode
_decode_binance_quote = msgspec.json.Decoder(BinanceQuote, strict=False).decode
_decode_okx_trades = msgspec.json.Decoder(OkxTrades, strict=False).decode
_decode_okx_tickers = msgspec.json.Decoder(OkxTickers, strict=False).decode
_decode_bybit_trades = msgspec.json.Decoder(BybitTrades, strict=False).decode
_decode_bybit_quote = msgspec.json.Decoder(BybitQuote, strict=False).decode
_decode_kraken_trades = msgspec.json.Decoder(KrakenTrades, strict=False).decode
_decode_kraken_tickers = msgspec.json.Decoder(KrakenTickers, strict=False).decode
_decode_coinbase_trades = msgspec.json.Decoder(CoinbaseTrades, strict=False).decode
_decode_coinbase_tickers = msgspec.json.Decoder(CoinbaseTickers, strict=False).decode
_decode_exchange_trade = msgspec.json.Decoder(ExchangeTrade, strict=False).decode
_decode_exchange_ticker = msgspec.json.Decoder(ExchangeTicker, strict=False).decode


def _binance_trade(text: str, r: Reading) -> list[Event]:
    t = _decode_binance_trade(text)
    side: Side = "sell" if t.m else "buy"
    return [r.trade(t.s, _ms(t.T), t.p, t.q, side, str(t.t), t.t)]


def _binance_quote(text: str, r: Reading) -> list[Event]:
    q = _decode_binance_quote(text)
    time = q.T if q.T is not None else q.E
    return [r.quote(q.s, None if time is None else _ms(time), q.b, q.a, (q.B, q.A))]


def _okx_trades(text: str, r: Reading) -> list[Event]:
    events: list[Event] = []
    for t in _decode_okx_trades(text).data:
        number = int(t.trade_id) if t.trade_id.isdecimal() else 0
        event = r.trade(t.inst_id, _ms(t.ts), t.px, t.sz, _LOWER[t.side], t.trade_id, number)
        if t.count > 1 and number:
            r.summed(event.symbol, number, t.count)
        events.append(event)
    return events


def _okx_tickers(text: str, r: Reading) -> list[Event]:
    return [
        r.quote(q.inst_id, _ms(q.ts), q.bid_px, q.ask_px, (q.bid_sz, q.ask_sz), q.last)
        for q in _decode_okx_tickers(text).data
    ]


def _bybit_trades(text: str, r: Reading) -> list[Event]:
    return [
        r.trade(t.s, _ms(t.T), t.p, t.v, _LOWER[t.S], t.i, _seq(t.i))
        for t in _decode_bybit_trades(text).data
    ]


def _bybit_quote(text: str, r: Reading) -> list[Event]:
    frame = _decode_bybit_quote(text)
    bids, asks = r.top(frame.data.s, frame)
    if len(bids) > 1 or len(asks) > 1:
        raise ValueError("more than one level")
    (bid, bid_size), (ask, ask_size) = (
        next(iter(side.items()), (None, None)) for side in (bids, asks)
    )
    ts = _ms(frame.cts if frame.cts is not None else frame.ts)
    return [r.quote(frame.data.s, ts, bid, ask, (bid_size, ask_size))]


def _kraken_trades(text: str, r: Reading) -> list[Event]:
    return [
        r.trade(
            t.symbol,
            iso_ns(t.timestamp),
            t.price,
            t.qty,
            _LOWER[t.side],
            str(t.trade_id),
            t.trade_id,
        )
        for t in _decode_kraken_trades(text).data
    ]


def _kraken_tickers(text: str, r: Reading) -> list[Event]:
    return [
        r.quote(
            q.symbol, None if q.timestamp is None else iso_ns(q.timestamp), q.bid, q.ask,
            (q.bid_qty, q.ask_qty), q.last,
        )
        for q in _decode_kraken_tickers(text).data
    ]  # fmt: skip


def _coinbase_trades(text: str, r: Reading) -> list[Event]:
    frame = _decode_coinbase_trades(text)
    r.number(frame.sequence_num)
    return [
        r.trade(
            t.product_id,
            iso_ns(t.time),
            t.price,
            t.size,
            _OTHER[t.side],
            t.trade_id,
            _seq(t.trade_id),
        )
        for event in frame.events
        for t in reversed(event.trades)  # the newest is first
    ]


def _coinbase_tickers(text: str, r: Reading) -> list[Event]:
    frame = _decode_coinbase_tickers(text)
    ts = iso_ns(frame.timestamp)
    r.number(frame.sequence_num)
    return [
        r.quote(q.product_id, ts, q.best_bid, q.best_ask,
                (q.best_bid_quantity, q.best_ask_quantity), q.price)
        for event in frame.events
        for q in event.tickers
    ]  # fmt: skip


def _exchange_trade(text: str, r: Reading) -> list[Event]:
    t = _decode_exchange_trade(text)
    ts, side, number = iso_ns(t.time), _OTHER[t.side], t.trade_id
    return [r.trade(t.product_id, ts, t.price, t.size, side, str(number), number)]


def _exchange_ticker(text: str, r: Reading) -> list[Event]:
    q = _decode_exchange_ticker(text)
    sizes = q.best_bid_size, q.best_ask_size
    return [r.quote(q.product_id, iso_ns(q.time), q.best_bid, q.best_ask, sizes, q.price)]


READERS: Mapping[str, tuple[tuple[str, str, Read], ...]] = {
    "binance": (
        ('{"e":"trade",', "trades", _binance_trade),
        ('{"u":', "quotes", _binance_quote),
        ('{"e":"bookTicker",', "quotes", _binance_quote),
    ),
    "okx": (
        ('{"arg":{"channel":"trades",', "trades", _okx_trades),
        ('{"arg":{"channel":"tickers",', "quotes", _okx_tickers),
    ),
    "bybit": (
        ('{"topic":"publicTrade.', "trades", _bybit_trades),
        ('{"topic":"orderbook.1.', "quotes", _bybit_quote),
    ),
    "kraken": (
        ('{"channel":"trade",', "trades", _kraken_trades),
        ('{"channel":"ticker",', "quotes", _kraken_tickers),
    ),
    "coinbase": (
        ('{"channel":"market_trades",', "trades", _coinbase_trades),
        ('{"channel":"ticker",', "quotes", _coinbase_tickers),
    ),
    "coinbaseexchange": (
        ('{"type":"match",', "trades", _exchange_trade),
        ('{"type":"ticker",', "quotes", _exchange_ticker),
    ),
}
"""By ccxt id: how a frame begins, the channel that it is of, and what reads it."""
