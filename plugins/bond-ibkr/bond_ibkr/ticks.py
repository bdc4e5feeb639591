"""Make events of TWS's ticks.

TWS tells the time of a tick in whole seconds: that second is the event's time, and ticks of one
second keep their order by `seq`. It gives trades no id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from bond_core.plugin import Candle, Event, Quote, Trade
from bond_ibkr.contracts import Listed

_NS = 1_000_000_000
BAR_S = 5


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
        self, time_s: int, price: float, size: float, attributes: Any, exchange: str
    ) -> Event:
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

    def quote(self, time_s: int, bid: float, ask: float, bid_size: float, ask_size: float) -> Event:
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
