"""What a `DataStream` hands out: `StreamMessage`, one thing that happened to one symbol."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

StreamType = Literal["ticker", "trade", "kline", "depth"]
Level = Sequence[float]
"""A level of an order book: price, size."""


@attrs.frozen(kw_only=True)
class StreamMessage:
    """One trade, update of a candle, or order book. What isn't known is None, never zero.

    Attributes:
        symbol: As it was asked for: `BTCUSDT`.
        timestamp: When it happened, by the source's clock; aware, UTC.
        stream_type: What was asked for.
        provider: Who it comes from: a venue (`binance`), or a vendor (`alpaca`).
        price: Of the trade; of a candle its close so far.
        volume: Size of the trade, or the candle's volume so far, in base units unless `raw`
            says `size_unit`.
        bid: The best bid; in a ticker as last heard, None where the provider sends no quotes.
        ask: Likewise.
        open: Of the candle, as the next three.
        start: When the candle began.
        interval: How long it is: `1m`.
        is_closed: Whether it won't change any more.
        is_partial: Whether it was heard only in part: the stream began within it.
        made_by: `venue`: the candle is its own; `bond`: built from the trades that were heard.
        bids: Levels of the order book, best first; empty where it isn't known just now.
        asks: Likewise.
        side: `buy` or `sell`: who took the trade; None where the venue doesn't say.
        trade_id: The venue's own id of the trade.
        simulated: Whether it is made up.
        late: Whether it came after newer ones had, or was fetched after a gap.
        notices: What happened since the symbol's message before, as in records: gaps, failovers.
        raw: The item or record that it was read from.
    """

    symbol: str
    timestamp: dt.datetime
    stream_type: StreamType
    provider: str | None = None
    price: float | None = None
    volume: float | None = None
    bid: float | None = None
    ask: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    start: dt.datetime | None = None
    interval: str | None = None
    is_closed: bool | None = None
    is_partial: bool = False
    made_by: Literal["venue", "bond"] | None = None
    bids: Sequence[Level] | None = None
    asks: Sequence[Level] | None = None
    side: str | None = None
    trade_id: str | None = None
    simulated: bool = False
    late: bool = False
    notices: tuple[Mapping[str, Any], ...] = ()
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all but `raw` as a dict that JSON takes; times are ISO 8601."""
        fields = attrs.asdict(
            self, recurse=False, filter=attrs.filters.exclude(attrs.fields(StreamMessage).raw)
        )
        for name in ("timestamp", "start"):
            if fields[name] is not None:
                fields[name] = fields[name].isoformat().replace("+00:00", "Z")
        return fields | {"notices": [dict(notice) for notice in self.notices]}


def moment(text: str) -> dt.datetime:
    """Return a time as the server writes it; what is finer than microseconds is cut off."""
    return dt.datetime.fromisoformat(text)
