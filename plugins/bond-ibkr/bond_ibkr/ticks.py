"""Make events of TWS's ticks.

TWS tells the time of a tick in whole seconds: that second is the event's time, and ticks of one
second keep their order by `seq`. It gives trades no id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import attrs

from bond_core.plugin import Candle, Custom, Event, Quote, Trade
from bond_ibkr.contracts import Listed

_NS = 1_000_000_000
BAR_S = 5


class TickReader(Protocol):
    """Makes events of what TWS calls its wrapper with; `listed` is the ticks' contract."""

    channel: str
    symbol: str
    listed: Listed

    def trade(
        self, time_s: int, price: float, size: float, attributes: Any, exchange: str,
        conditions: str, /,
    ) -> Event:  # fmt: skip
        """Return the event of a Last or AllLast tick."""
        ...

    def quote(
        self, time_s: int, bid: float, ask: float, bid_size: float, ask_size: float,
        attributes: Any, /,
    ) -> Event:  # fmt: skip
        """Return the event of a BidAsk tick."""
        ...

    def midpoint(self, time_s: int, price: float) -> Event:
        """Return the event of a MidPoint tick."""
        ...

    def bar(
        self, time_s: int, open_: float, high: float, low: float, close: float, volume: float
    ) -> Event:
        """Return the event of a real-time bar."""
        ...


@attrs.define(eq=False)
class Reader:
    """Reads the ticks of one subscription.

    Attributes:
        channel: The channel that it is for.
        symbol: What its events are called.
        listed: Its contract.
        order: Counts the ticks of a connector.
    """

    channel: str
    symbol: str
    listed: Listed
    order: Iterator[int]

    def trade(
        self, time_s: int, price: float, size: float, attributes: Any, exchange: str,
        _conditions: str,
    ) -> Event:  # fmt: skip
        """Return the trade of a Last or AllLast tick.

        One that exchanges don't report (odd lot, combo, derivative, average price), or that is
        past its limit, counts for volume and sets no price.
        """
        sets_price = not (attributes.unreported or attributes.pastLimit)
        return Trade(
            symbol=self.symbol,
            ts=time_s * _NS,
            price=price / self.listed.magnifier if sets_price else None,
            size=size,
            seq=next(self.order),
            venue=exchange,
            size_unit=self.listed.size_unit,
        )

    def quote(
        self, time_s: int, bid: float, ask: float, bid_size: float, ask_size: float,
        _attributes: Any,
    ) -> Event:  # fmt: skip
        """Return the quote of a BidAsk tick; a side without an offer has price 0 or -1."""
        in_base = self.listed.size_unit is None  # a quote has no place to say otherwise
        return Quote(
            symbol=self.symbol,
            ts=time_s * _NS,
            bid=self._price(bid),
            ask=self._price(ask),
            bid_size=bid_size if in_base and bid > 0 else None,
            ask_size=ask_size if in_base and ask > 0 else None,
            seq=next(self.order),
        )

    def midpoint(self, time_s: int, price: float) -> Event:
        """Return a MidPoint tick as a sample of the price."""
        return Quote(
            symbol=self.symbol, ts=time_s * _NS, last=self._price(price), seq=next(self.order)
        )

    def bar(
        self, time_s: int, open_: float, high: float, low: float, close: float, volume: float
    ) -> Event:
        """Return the candle of a real-time bar, which begins at `time_s`."""
        over = self.listed.magnifier
        return Candle(
            symbol=self.symbol,
            ts=(time_s + BAR_S) * _NS,
            length_ns=BAR_S * _NS,
            open=open_ / over,
            high=high / over,
            low=low / over,
            close=close / over,
            volume=volume,
            seq=next(self.order),
            start_ts=time_s * _NS,
            size_unit=self.listed.size_unit,
        )

    def _price(self, price: float) -> float | None:
        return price / self.listed.magnifier if price > 0 else None


RAW_TYPES: Mapping[str, str] = {
    "raw_last": "last",
    "raw_all_last": "all_last",
    "raw_bid_ask": "bid_ask",
    "raw_midpoint": "midpoint",
}
"""What ticks of a raw channel call themselves."""


@attrs.define(eq=False)
class RawReader:
    """Reads all that TWS says of a tick; attributes as of a Reader.

    Prices are in the contract's currency; of what is unknown the value is None.
    """

    channel: str
    symbol: str
    listed: Listed
    order: Iterator[int]

    def trade(
        self, time_s: int, price: float, size: float, attributes: Any, exchange: str,
        conditions: str,
    ) -> Event:  # fmt: skip
        """Return a Last or AllLast tick."""
        return self._tick(
            time_s,
            price=price / self.listed.magnifier,  # a spread's may be below 0
            size=size,
            exchange=exchange,
            special_conditions=conditions,
            past_limit=bool(attributes.pastLimit),
            unreported=bool(attributes.unreported),
        )

    def quote(
        self, time_s: int, bid: float, ask: float, bid_size: float, ask_size: float,
        attributes: Any,
    ) -> Event:  # fmt: skip
        """Return a BidAsk tick; a side without an offer has price 0 or -1, and is None."""
        return self._tick(
            time_s,
            bid_price=self._price(bid),
            ask_price=self._price(ask),
            bid_size=bid_size if bid > 0 else None,
            ask_size=ask_size if ask > 0 else None,
            bid_past_low=bool(attributes.bidPastLow),
            ask_past_high=bool(attributes.askPastHigh),
        )

    def midpoint(self, time_s: int, price: float) -> Event:
        """Return a MidPoint tick."""
        return self._tick(time_s, mid_point=self._price(price))

    def bar(
        self, time_s: int, open_: float, high: float, low: float, close: float, volume: float
    ) -> Event:
        """Return a bar: no raw channel asks for any."""
        return self._tick(time_s, open=open_, high=high, low=low, close=close, volume=volume)

    def _tick(self, time_s: int, **values: Any) -> Event:
        return Custom(
            symbol=self.symbol, ts=time_s * _NS, values=values, seq=next(self.order)
        )  # fmt: skip

    def _price(self, price: float) -> float | None:
        return price / self.listed.magnifier if price > 0 else None
