"""Read Massive's messages: arrays of objects that `ev` tells apart.

Source: https://massive.com/docs/websocket/stocks (trades, quotes, aggregates). Times are ms.
"""

from __future__ import annotations

import msgspec

from bond_core.plugin import Candle, MessageArrays, Quote, Trade
from bond_polygon.conditions import is_trade, sets_price

_MS = 1_000_000


class Status(msgspec.Struct, tag_field="ev", tag="status"):
    """How a request went, or why the connection ends."""

    status: str
    message: str = ""


class TradeMessage(msgspec.Struct, tag_field="ev", tag="T"):
    """A trade. `ds` is its size with what is below one share; `t` is the tape's time."""

    sym: str
    p: float
    t: int
    s: float = 0
    ds: str | None = None
    i: str = ""
    x: int = 0
    c: list[int] = []
    q: int = 0
    trfi: int = 0


class QuoteMessage(msgspec.Struct, tag_field="ev", tag="Q"):
    """Best bid and ask of all exchanges; a side that isn't there is left out or 0."""

    sym: str
    t: int
    bp: float = 0
    ap: float = 0
    bs: float = 0
    ask_size: float = msgspec.field(name="as", default=0)
    q: int = 0


class MinuteMessage(msgspec.Struct, tag_field="ev", tag="AM"):
    """An aggregate, from `s` to `e`."""

    sym: str
    o: float
    h: float
    c: float
    v: float
    s: int
    e: int
    low: float = msgspec.field(name="l")


class SecondMessage(MinuteMessage, tag_field="ev", tag="A"):
    """The same of a second."""


Message = Status | TradeMessage | QuoteMessage | MinuteMessage | SecondMessage

read = MessageArrays[Message](Message).read


def trade_of(t: TradeMessage) -> Trade | None:
    """Return a trade, or None for what is none. ValueError: its size is no number."""
    if not is_trade(t.c):
        return None
    return Trade(
        symbol=t.sym, ts=t.t * _MS, price=t.p if sets_price(t.c) else None,
        size=t.s if t.ds is None else float(t.ds), seq=t.q,
        # Unique for a share, exchange and reporting facility, and begun anew each day.
        id=f"{t.x}.{t.trfi}.{t.i}@{t.t}" if t.i else None,
    )  # fmt: skip


def quote_of(q: QuoteMessage) -> Quote:
    """Return a quote; sizes are in shares."""
    return Quote(
        symbol=q.sym, ts=q.t * _MS, bid=q.bp or None, ask=q.ap or None, seq=q.q,
        bid_size=q.bs if q.bp else None, ask_size=q.ask_size if q.ap else None,
    )  # fmt: skip


def candle_of(a: MinuteMessage) -> Candle:
    """Return an aggregate as a candle."""
    return Candle(
        symbol=a.sym, ts=a.s * _MS, length_ns=(a.e - a.s) * _MS, open=a.o, high=a.h, low=a.low,
        close=a.c, volume=a.v, id=f"{a.s} {a.o} {a.h} {a.low} {a.c} {a.v}",
    )  # fmt: skip
