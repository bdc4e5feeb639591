"""Make what venues state of their markets: candles, mark prices, funding, liquidations."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field, frozen

from bond_sim.instruments import Instrument
from bond_sim.market import SLOT_NS, SyntheticMarket, Trade

MINUTE_NS = 60 * 1_000_000_000
FUNDING_NS = 8 * 3600 * 1_000_000_000


@frozen
class Minute:
    """A candle of a minute so far, in decimal texts; its volume is as the venue counts sizes."""

    start_ns: int
    at_ns: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int
    is_closed: bool


@frozen
class Stated:
    """What a venue says of a swap at a time."""

    at_ns: int
    mark_price: str
    index_price: str
    funding_rate: str
    next_funding_ns: int
    open_interest: str


@define
class Contracts:
    """States things of a synthetic market."""

    market: SyntheticMarket
    _minutes: dict[Instrument, tuple[int, int, list[Trade]]] = field(factory=dict)

    def minute(self, instrument: Instrument, end_ns: int) -> Minute | None:
        """Return the candle of the trades before a time; None before the minute's first."""
        slot, start = (end_ns - 1) // SLOT_NS, (end_ns - 1) // MINUTE_NS * MINUTE_NS
        known, done, trades = self._minutes.get(instrument, (0, 0, []))
        if known != start:
            done, trades = start // SLOT_NS - 1, []
        for each in range(done + 1, slot + 1):
            trades = trades + self.market.trades(instrument, each)
        self._minutes[instrument] = start, slot, trades
        if not trades:
            return None
        prices = [t.price for t in trades]
        places = len(instrument.lot.partition(".")[2])
        volume = sum(float(t.size) for t in trades)
        return Minute(
            start, end_ns, prices[0], max(prices, key=float), min(prices, key=float), prices[-1],
            f"{volume:.{places}f}", len(trades), end_ns == start + MINUTE_NS,
        )  # fmt: skip

    def stated(self, i: Instrument, at_ns: int) -> Stated:
        """Return what is said of a swap."""
        places = len(i.tick.partition(".")[2]) + 2
        mid = self.market.mid(i, at_ns)
        rate = 0.0001 + 0.00005 * self.market.noise(i, "funding", at_ns, FUNDING_NS)
        interest = 50_000.0 * (1 + 0.1 * self.market.noise(i, "interest", at_ns, FUNDING_NS))
        return Stated(
            at_ns, f"{mid:.{places}f}", f"{mid * 1.00005:.{places}f}", f"{rate:.8f}",
            (at_ns // FUNDING_NS + 1) * FUNDING_NS, f"{interest:.3f}",
        )  # fmt: skip

    def liquidations(self, i: Instrument, slot: int) -> Sequence[Trade]:
        """Return a slot's liquidations: one in about two seconds. Sides are the orders'."""
        trades = self.market.trades(i, slot)
        return trades[:1] if trades and trades[0].id % 13 == 0 else []
