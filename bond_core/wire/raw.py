"""Encode a raw event, and what is told of its sources, as the JSON objects that clients get.

An item's `id` comes first and is known last, when it is appended: `tail_of` encodes the rest,
once, and `with_id` puts the id before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import msgspec
from msgspec import UNSET, UnsetType

from bond_core.log.offset import Offset
from bond_core.model.event import (
    Candle,
    Chain,
    Custom,
    Event,
    Funding,
    Liquidation,
    News,
    OpenInterest,
    OrderBook,
    Post,
    Quote,
    Trade,
    Trend,
)  # fmt: skip
from bond_core.model.record import Notice
from bond_core.wire.codec import notice_as_json
from bond_core.wire.times import NS, iso

_encode = msgspec.json.Encoder().encode


@attrs.frozen(kw_only=True)
class Marks:
    """What Bond says of an event; what is not so is left out of its JSON.

    Attributes:
        source: The name of the source that brought it.
        venue: Where it happened, if the event doesn't say.
        is_simulated: Whether it is made up.
        is_repaired: Whether it was fetched after the fact, for a hole.
    """

    source: str
    venue: str = ""
    is_simulated: bool = False
    is_repaired: bool = False


class _TradeItem(msgspec.Struct, gc=False):
    """A trade's item; written out, as they come by the ten thousand. What is not so is unset."""

    stream_id: str
    kind: str
    symbol: str | None
    source: str
    venue: str | None
    ts: str
    received: str
    event_id: str | None
    seq: int | UnsetType
    price: float | None
    size: float
    side: str | None
    size_unit: str | UnsetType
    symbols: Sequence[str] | UnsetType
    simulated: bool | UnsetType
    late: bool | UnsetType
    repaired: bool | UnsetType


def event_tail(
    stream_id: str, event: Event, marks: Marks, *, is_late: bool = False,
    symbols: Sequence[str] | None = None, depth: int | None = None,
) -> bytes:  # fmt: skip
    """Encode all of an event's item but its id; see `event_as_json` for what is in it.

    Raises:
        TypeError, ValueError: Something in it can't be JSON.
    """
    if event.__class__ is not Trade:
        body = event_as_json(event, marks, is_late=is_late, symbols=symbols, depth=depth)
        return tail_of(stream_id, body)
    t: Trade = event
    item = _TradeItem(
        stream_id, "trade", t.symbol or None, marks.source, t.venue or marks.venue or None,
        iso(t.ts), iso(t.recv_ts), t.id, t.seq or UNSET, t.price, t.size, t.side,
        UNSET if t.size_unit is None else t.size_unit, UNSET if symbols is None else symbols,
        marks.is_simulated or UNSET, is_late or UNSET, marks.is_repaired or UNSET,
    )  # fmt: skip
    return _encode(item)[1:]


def event_as_json(
    event: Event, marks: Marks, *, is_late: bool = False, symbols: Sequence[str] | None = None,
    depth: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return an event as a JSON object, without the stream's keys (`id`, `stream_id`).

    Args:
        event: As the source edge let it through.
        marks: What is so of all events that came with it.
        is_late: Whether it is older than its source's watermark.
        symbols: The stream's symbols that it is about, where its own is none of them.
        depth: Levels of each side of an order book; None for all.
    """
    body: dict[str, Any] = {
        "kind": event.kind,
        "symbol": event.symbol or None,
        "source": marks.source,
        "venue": event.venue or marks.venue or None,
        "ts": iso(event.ts),
        "received": iso(event.recv_ts),
        "event_id": event.id,
    }
    if event.seq:
        body["seq"] = event.seq
    if isinstance(event, OrderBook):
        body |= _book(event, depth)
    else:
        body |= _OWN[type(event)](event)
    if (unit := getattr(event, "size_unit", None)) is not None:
        body["size_unit"] = unit
    if symbols is not None:
        body["symbols"] = list(symbols)
    if marks.is_simulated:
        body["simulated"] = True
    if is_late:
        body["late"] = True
    if marks.is_repaired:
        body["repaired"] = True
    return body


@attrs.frozen(kw_only=True)
class SourceTold:
    """What a status item says of one source.

    Attributes:
        status: That of the symbol that does worst.
        reason: Why, where there is one.
        symbols: By symbol the statuses that are others than `status`; not more than a few.
        others: How many more there are.
        count: Events delivered since the item before.
        late: Those of them that were older than the source's watermark.
        lag_ms: Median of receive time less event time, of a sample of them.
    """

    status: str
    reason: str | None = None
    simulated: bool = False
    symbols: Mapping[str, str] = attrs.field(factory=dict)
    others: int = 0
    count: int = 0
    lag_ms: int | None = None
    late: int = 0
    duplicates: int = 0
    gaps: int = 0
    rejected: int = 0
    unrouted: int = 0


def status_as_json(
    at_ns: int, sources: Mapping[str, SourceTold], notices: Sequence[tuple[str | None, Notice]]
) -> dict[str, Any]:
    """Return a status item, without the stream's keys; a notice may be about one symbol."""
    return {
        "kind": "status",
        "symbol": None,
        "ts": iso(at_ns),
        "sources": {name: _source(told) for name, told in sources.items()},
        "notices": [
            notice_as_json(notice) | ({"symbol": symbol} if symbol else {})
            for symbol, notice in notices
        ],
    }


def tail_of(stream_id: str, body: dict[str, Any]) -> bytes:
    """Encode all of an item but its id.

    Raises:
        TypeError, ValueError: Something in it can't be JSON.
    """
    return _encode({"stream_id": stream_id, **body})[1:]


def with_id(offset: Offset, tail: bytes) -> bytes:
    """Return the whole item, once it has its id."""
    return b'{"id":"%d-%d",%b' % (offset.ms, offset.n, tail)


def _source(told: SourceTold) -> dict[str, Any]:
    body: dict[str, Any] = {"status": told.status}
    if told.reason is not None:
        body["reason"] = told.reason
    if told.symbols:
        body["symbols"] = dict(told.symbols)
    if told.others:
        body["other_symbols"] = told.others
    if told.simulated:
        body["simulated"] = True
    body |= {
        "count": told.count,
        "lag_ms": told.lag_ms,
        "late": told.late,
        "duplicates": told.duplicates,
        "gaps": told.gaps,
        "rejected": told.rejected,
    }
    if told.unrouted:
        body["unrouted"] = told.unrouted
    return body


def _time(ns: int | None) -> str | None:
    return iso(ns) if ns else None


def _trade(e: Trade) -> dict[str, Any]:
    return {"price": e.price, "size": e.size, "side": e.side}


def _quote(e: Quote) -> dict[str, Any]:
    return {
        "bid": e.bid, "ask": e.ask, "bid_size": e.bid_size, "ask_size": e.ask_size, "last": e.last,
    }  # fmt: skip


def _book(e: OrderBook, depth: int | None) -> dict[str, Any]:
    return {
        "bids": e.bids[:depth], "asks": e.asks[:depth], "is_snapshot": e.is_snapshot,
        "sequence": e.sequence,
    }  # fmt: skip


def _candle(e: Candle) -> dict[str, Any]:
    whole, rest = divmod(e.length_ns, NS)
    return {
        "length_sec": e.length_ns / NS if rest else whole, "start": _time(e.start_ts),
        "open": e.open, "high": e.high, "low": e.low, "close": e.close, "volume": e.volume,
        "is_closed": e.is_closed,
    }  # fmt: skip


def _liquidation(e: Liquidation) -> dict[str, Any]:
    return {"price": e.price, "size": e.size, "side": e.side}


def _funding(e: Funding) -> dict[str, Any]:
    return {"rate": e.rate, "next": _time(e.next_ts), "mark_price": e.mark_price}


def _open_interest(e: OpenInterest) -> dict[str, Any]:
    return {"amount": e.amount, "value": e.value}


def _post(e: Post) -> dict[str, Any]:
    return {
        "text": e.text, "author": e.author, "url": e.url, "engagement": e.engagement,
        "written": _time(e.own_ts),
    }  # fmt: skip


def _news(e: News) -> dict[str, Any]:
    return {"text": e.text, "publisher": e.publisher, "url": e.url, "written": _time(e.own_ts)}


def _chain(e: Chain) -> dict[str, Any]:
    return {"chain": e.chain, "type": e.type, "amount": e.amount, "height": e.height}


def _trend(e: Trend) -> dict[str, Any]:
    return {
        "keyword": e.keyword, "value": e.value, "rising": e.rising, "written": _time(e.own_ts),
    }  # fmt: skip


def _custom(e: Custom) -> dict[str, Any]:
    return {"values": e.values}


_OWN: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    Trade: _trade, Quote: _quote, Candle: _candle, Liquidation: _liquidation, Funding: _funding,
    OpenInterest: _open_interest, Post: _post, News: _news, Chain: _chain, Trend: _trend,
    Custom: _custom,
}  # fmt: skip
"""What each kind says of its own, beside what all have."""
