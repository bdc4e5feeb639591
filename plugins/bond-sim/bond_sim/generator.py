"""Send the synthetic market to whoever subscribed, slot by slot of the clock."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from bond_sim.faults import Faults
from bond_sim.instruments import Instrument
from bond_sim.market import SLOT_NS, SyntheticMarket
from bond_sim.venue import Desk, Venue
from bond_sim.venues import BY_NAME

_log = logging.getLogger(__name__)
_QUOTE_SLOTS = 5  # a quote every 250 ms
_DAY_SLOTS = 20  # a 24 h ticker every second
_STATED = frozenset({"candles", "funding", "liquidations"})
_BEHIND_SLOTS = 100  # further behind than 5 s, the machine slept: go on from now


async def generate(desk: Desk, market: SyntheticMarket, faults: Faults) -> None:
    """Send every slot's trades and quotes when it is over, until cancelled."""
    slot = desk.clock.now_ns() // SLOT_NS
    while True:
        await desk.clock.sleep_until((slot + 1) * SLOT_NS)
        for _, venue, wire, text in sorted(_frames(desk, market, slot)):
            await desk.clients.publish(faults, venue, wire, text)
        slot += 1
        behind = desk.clock.now_ns() // SLOT_NS - slot
        if behind > _BEHIND_SLOTS:
            _log.warning("the clock ran %d slots of 50 ms ahead; they are left out", behind)
            slot += behind


def _frames(desk: Desk, market: SyntheticMarket, slot: int) -> Iterator[tuple[int, str, str, str]]:
    """Give (time in ns, venue, wire, text) of all frames due at the end of a slot."""
    for name, wire in desk.clients.wires():
        venue = BY_NAME[name]
        instrument = desk.instrument(name, venue.about(wire).symbol)
        if instrument is not None:
            for at_ns, text in _of_wire(desk, market, venue, wire, instrument, slot):
                yield at_ns, name, wire, text


def _of_wire(
    desk: Desk, market: SyntheticMarket, venue: Venue, wire: str, instrument: Instrument, slot: int
) -> Iterator[tuple[int, str]]:
    """Give (time in ns, text) of one wire's frames."""
    end_ns = (slot + 1) * SLOT_NS
    channel = venue.about(wire).channel
    if channel == "trades":
        for trade in market.trades(instrument, slot):
            yield trade.at_ns, venue.trade(wire, instrument, trade)
    elif channel == "book":
        change = desk.books.change(venue.name, wire, instrument, end_ns)
        if change is not None:
            yield end_ns, venue.change(wire, instrument, change)
    elif channel in _STATED and desk.contracts is not None:
        if channel == "liquidations" or (slot + 1) % _DAY_SLOTS == 0:
            for text in venue.statement(wire, instrument, desk.contracts, end_ns):
                yield end_ns, text
    elif (slot + len(wire)) % (_QUOTE_SLOTS if channel == "quotes" else _DAY_SLOTS) == 0:
        quote = market.quote(instrument, end_ns)
        summary = market.summary(instrument, end_ns)
        yield end_ns, venue.quote(wire, instrument, quote, summary)
