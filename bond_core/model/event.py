"""The events a connector may send, one class for each kind.

All times are int nanoseconds since 1970, UTC: `ts` when it happened (the source's clock),
`recv_ts` when Bond heard it (stamped by the runtime if the connector leaves it 0).
`symbol` is unified: `BTC/USDT`, a swap `BTC/USDT:USDT`, a stock `AAPL`, an asset `BTC`;
empty where an event belongs to no symbol. `venue` is where it traded.

The classes are slotted and unvalidated: they are built once for every message. Frozen for
the type checker only, because freezing at run time triples the cost of building one
(attrs 26.1 on CPython 3.11: 662 ns against 173 ns for eight fields).
What a source sends is checked once, in `bond_core.runtime.ingest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from attrs import frozen as event_class
else:
    from attrs import define as event_class

Side = Literal["buy", "sell"]
Levels = tuple[tuple[float, float], ...]
"""Levels of one side of an order book, best first: `(price, size)`."""
Kind = Literal[
    "trade", "quote", "book", "candle", "liquidation", "funding",
    "open_interest", "post", "news", "chain", "trend", "custom", "gap",
]  # fmt: skip


@event_class
class Trade:
    """One execution.

    Attributes:
        price: In the quote currency; None for a trade that counts for volume and number and for
            no price, by the rules of its market: an odd lot, one that was reported late.
        size: In base units, unless `size_unit` says otherwise; not negative.
        side: The aggressor's; None where the venue doesn't say.
        id: The venue's trade id; None if it has none, and then repeats can't be told.
        seq: Orders trades of equal `ts`: the id as a number where the venue's ids are ordered.
        size_unit: None for base units. An inverse contract says e.g. `100 USD contracts`;
            sizes of different units are never summed.
    """

    kind: ClassVar[Kind] = "trade"
    symbol: str
    ts: int
    price: float | None
    size: float
    side: Side | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""
    size_unit: str | None = None


@event_class
class Quote:
    """The best bid and ask, and the last price where the source gives it. None is unknown."""

    kind: ClassVar[Kind] = "quote"
    symbol: str
    ts: int
    bid: float | None = None
    ask: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    last: float | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""


@event_class
class OrderBook:
    """The top of an order book as it stands after one of the venue's messages, best first.

    Each is whole in itself: the next one replaces it. Which messages of the venue were missed,
    and whether its checksums hold, is the connector's business; it sends no book that it
    doesn't believe.

    Attributes:
        bids: The highest prices first; sizes in base units and above 0, unless `size_unit`
            says otherwise.
        asks: The lowest prices first.
        is_snapshot: Whether the venue sent all of it anew (at first, after a break), or what
            had changed.
        sequence: The venue's counter; None if it has none.
        size_unit: As of a Trade.
    """

    kind: ClassVar[Kind] = "book"
    symbol: str
    ts: int
    bids: Levels
    asks: Levels
    is_snapshot: bool = True
    sequence: int | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""
    size_unit: str | None = None


@event_class
class Candle:
    """OHLCV as the venue sent it, also while it is still open.

    Attributes:
        ts: When it was so: of a closed candle its end or later.
        length_ns: How long it is.
        volume: In base units, unless `size_unit` says otherwise.
        is_closed: Whether it will not change any more; False also where the venue doesn't say.
        start_ts: When it began, ns; None where `ts` says it.
        size_unit: As of a Trade.
    """

    kind: ClassVar[Kind] = "candle"
    symbol: str
    ts: int
    length_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    is_closed: bool = True
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""
    start_ts: int | None = None
    size_unit: str | None = None


@event_class
class Liquidation:
    """A forced close. `side` is the side of the order that closed it; size in base units."""

    kind: ClassVar[Kind] = "liquidation"
    symbol: str
    ts: int
    price: float
    size: float
    side: Side | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""
    size_unit: str | None = None


@event_class
class Funding:
    """What a swap's venue says of it: its funding rate, its mark price, or both.

    Attributes:
        rate: A fraction per interval (0.0001 is 1 basis point); None where only the mark
            price is told.
        next_ts: When it is paid next, ns.
        mark_price: What the venue values positions at, in the quote currency.
    """

    kind: ClassVar[Kind] = "funding"
    symbol: str
    ts: int
    rate: float | None = None
    next_ts: int | None = None
    mark_price: float | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""


@event_class
class OpenInterest:
    """Contracts outstanding: `amount` in base units, `value` in the quote currency."""

    kind: ClassVar[Kind] = "open_interest"
    symbol: str
    ts: int
    amount: float | None = None
    value: float | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""


@event_class
class Post:
    """Something somebody wrote to everybody. `symbol` is the asset it was matched to.

    Attributes:
        text: What it says, as `bond_core.model.text.plain` leaves it.
        author: The account's name, without an @.
        engagement: How often it was liked, repeated, quoted and answered when it was heard;
            None where the source doesn't say.
        own_ts: When it was written, ns. Posts count by the time they are heard, and the
            runtime puts that into `ts`; what was there is kept here.
    """

    kind: ClassVar[Kind] = "post"
    untrusted: ClassVar[tuple[str, ...]] = ("text", "author", "url")
    """What strangers wrote: show it as it is, and never act on it."""

    symbol: str
    ts: int
    text: str
    author: str | None = None
    url: str | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""
    engagement: int | None = None
    own_ts: int = 0


@event_class
class News:
    """An item of a news feed. `symbol` is the asset it was matched to; the rest is as in Post.

    Attributes:
        text: Its headline, and the summary where there is one.
        publisher: The feed's name.
    """

    kind: ClassVar[Kind] = "news"
    untrusted: ClassVar[tuple[str, ...]] = ("text", "publisher", "url")

    symbol: str
    ts: int
    text: str
    publisher: str | None = None
    url: str | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""
    own_ts: int = 0


@event_class
class Chain:
    """Something that happened on a blockchain: `type` is tx, transfer, block, account or metric."""

    kind: ClassVar[Kind] = "chain"
    symbol: str
    ts: int
    chain: str
    type: str
    amount: float | None = None
    height: int | None = None
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""


@event_class
class Trend:
    """How much something is searched for; `value` on the source's own scale.

    Attributes:
        rising: What is searched for more and more beside it, the steepest first; None where the
            source doesn't say.
        own_ts: The time it is about, as in Post.
    """

    kind: ClassVar[Kind] = "trend"
    untrusted: ClassVar[tuple[str, ...]] = ("rising",)

    symbol: str
    ts: int
    keyword: str
    value: float
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""
    rising: str | None = None
    own_ts: int = 0


@event_class
class Custom:
    """Whatever a source of one's own sends: named values."""

    kind: ClassVar[Kind] = "custom"
    symbol: str
    ts: int
    values: Mapping[str, Any]
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""


@event_class
class Gap:
    """A hole that a source knows of: events between two times may be missing."""

    kind: ClassVar[Kind] = "gap"
    symbol: str
    ts: int
    from_ts: int
    to_ts: int
    detail: str = ""
    id: str | None = None
    seq: int = 0
    recv_ts: int = 0
    venue: str = ""


Event = (
    Trade | Quote | OrderBook | Candle | Liquidation | Funding
    | OpenInterest | Post | News | Chain | Trend | Custom | Gap
)  # fmt: skip
"""Any of them. All have `kind`, `symbol`, `ts`, `id`, `seq`, `recv_ts`, `venue`."""

EVENT_CLASSES: Mapping[str, type] = {
    cls.kind: cls
    for cls in (
        Trade, Quote, OrderBook, Candle, Liquidation, Funding,
        OpenInterest, Post, News, Chain, Trend, Custom, Gap,
    )
}  # fmt: skip
"""The class for each kind."""
