"""Say what a venue's protocol must offer to be played."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web
from attrs import frozen

from bond_core.clock import Clock
from bond_sim.books import BookChange, BookClock, BookState
from bond_sim.clients import Client, Clients
from bond_sim.contracts import Contracts
from bond_sim.instruments import Instrument
from bond_sim.market import Market, Quote, Summary, Trade
from bond_sim.subscriptions import Subscription

MS = 1_000_000
"""Nanoseconds in a millisecond."""


@frozen
class Desk:
    """What a venue works with: its market, the time, its clients."""

    market: Market
    clock: Clock
    clients: Clients
    carried: Callable[[str, str], bool]  # (venue, wire): is there ever anything on it?
    books: BookClock
    contracts: Contracts | None  # None where a recording is played

    def instrument(self, venue: str, id: str) -> Instrument | None:
        """Return the market that the venue calls `id`."""
        return self.market.instruments.get((venue, id))

    def listed(self, venue: str) -> list[Instrument]:
        """Return every market of a venue."""
        return [i for i in self.market.instruments.values() if i.venue == venue]


@frozen
class Seen:
    """What a recorded frame says about its market."""

    symbol: str
    trades: Sequence[Trade] = ()
    quote: Quote | None = None


class Venue(Protocol):
    """One venue's wire protocol: pure, but for the REST handlers.

    A wire is one stream as the venue addresses it, `btcusdt@trade` or `trades:BTC-USDT`.
    """

    @property
    def name(self) -> str:
        """Return the venue's ccxt id, which is also its prefix."""
        ...

    @property
    def socket_paths(self) -> Sequence[str]:
        """Return the route patterns of its WebSockets, under its prefix."""
        ...

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers by route pattern, under the venue's prefix."""
        ...

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return how a data frame looks on a socket opened at `path`."""
        ...

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do what a client's frame asks, and return the answers."""
        ...

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        ...

    def about(self, wire: str) -> Subscription:
        """Return what a wire carries."""
        ...

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return the data frame for a trade."""
        ...

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return the data frame for a quote or a 24 h ticker."""
        ...

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return the data frames that whoever subscribes to a book gets first."""
        ...

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return the data frame for a change of a book."""
        ...

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return the data frames of any other wire that are due at a time."""
        ...

    def recorded(self, message: Any) -> list[tuple[str, Any]]:
        """Return (wire, payload) for all that a recorded frame carries; empty: no data frame.

        The first is what was recorded; more are frames made of it for a channel that the
        recording has not but clients like to use.
        """
        ...

    def seen(self, message: Any) -> Seen:
        """Return what a recorded data frame says, for the REST answers."""
        ...

    def retimed(self, message: Any, shift_ns: int) -> Any:
        """Return a recorded data frame with every time in it moved by `shift_ns`."""
        ...

    def read_instrument(self, id: str, tick: str, lot: str) -> Instrument:
        """Return the market that the venue calls `id`. ValueError: it cannot be told."""
        ...


def subscribe(venue: Venue, client: Client, wire: str, desk: Desk) -> list[str]:
    """Let a client have a wire; return the data frames that it gets at once."""
    is_first = not desk.clients.wanted(venue.name, wire)
    desk.clients.subscribe(client, wire)
    about = venue.about(wire)
    instrument = desk.instrument(venue.name, about.symbol)
    if about.channel != "book" or instrument is None:
        return []
    now_ns = desk.clock.now_ns()
    state = desk.books.opening(venue.name, wire, instrument, now_ns, is_first=is_first)
    if state is None:
        return []
    return [client.dress(wire, text) for text in venue.opening(wire, instrument, state)]


def at_ns(ms: int | str) -> int:
    """Turn a venue's milliseconds into ns."""
    return int(ms) * MS
