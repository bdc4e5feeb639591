"""Build an order book around a best bid and ask."""

from __future__ import annotations

from bond_sim.instruments import Instrument
from bond_sim.market import Quote


def levels(instrument: Instrument, quote: Quote, depth: int) -> tuple[list[list[str]], ...]:
    """Return bids and asks as [price, size], best first, at most 100 a side.

    The first level is the quote; below it a level a tick, of growing size.
    """
    tick = float(instrument.tick)
    places = len(instrument.tick.partition(".")[2])
    size_places = len(instrument.lot.partition(".")[2])

    def side(price: str, size: str, step: float) -> list[list[str]]:
        first, unit = float(price), float(size or 0)
        return [[price, size]] + [
            [f"{first + n * step:.{places}f}", f"{unit * (1 + 0.1 * n):.{size_places}f}"]
            for n in range(1, min(depth, 100))
            if first + n * step > 0
        ]

    return side(quote.bid, quote.bid_size, -tick), side(quote.ask, quote.ask_size, tick)
