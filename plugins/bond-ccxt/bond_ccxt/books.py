"""Keep the order books of one session: built from the venue's messages, checked, got anew.

ccxt.pro subscribes, and hands every message over before it reads it; book messages stay here.
(ccxt builds books too. It doesn't tell which message of a book was missed, computes Kraken's
checksum from numbers that have lost their zeros, and conflates by design.)

A book that can't be right is not shown: what was missed is told as a gap, an event without
levels says that nothing is known, and the book is asked for again, after a pause that grows
while it keeps going wrong. Its other symbols, and trades and quotes, go on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from bond_ccxt.book import Book, Side, Update
from bond_ccxt.book_wires import BOOK_WIRES, BookWire
from bond_ccxt.markets import Markets, scale_of, unit_of
from bond_ccxt.parse import to_ns
from bond_core.clock import NS
from bond_core.plugin import Context, Event, OrderBook

if TYPE_CHECKING:
    from bond_ccxt.tap import Tap

CHANNEL = "book"
SNAPSHOT_LEVELS = 1000
MOST_BUFFERED = 5000
"""So many updates are kept while a snapshot is on its way; older ones are let go."""

FetchBook = Callable[[str, int], Awaitable[Mapping[str, Any]]]

_ATTEMPTS = 6
_CALM_NS = 60 * NS
_LONGEST_PAUSE_S = 30.0


@attrs.define(eq=False, kw_only=True)
class Keeping:
    """What is known of one symbol's book.

    Attributes:
        book: None until the venue has sent all of it.
        depth: How many levels the venue tells of, where it matters.
        ts: Of the newest event, ns.
        made: How many events were made of it.
        waiting: Updates that came before it, where it comes over HTTP.
        is_asked: Whether it is on its way.
        losses: How often it went wrong lately.
        lost_ns: When it last did, on the monotonic clock.
    """

    book: Book | None = None
    depth: int
    ts: int = 0
    made: int = 0
    waiting: list[Update] = attrs.field(factory=list)
    is_asked: bool = False
    losses: int = 0
    lost_ns: int = 0


@attrs.define(eq=False)
class Books:
    """The books of one ccxt.pro exchange object.

    Attributes:
        emit: Takes an event of the channel `book`.
        again: Has the venue send a symbol's book anew: unsubscribes and subscribes.
        tasks: Owns what fetches snapshots and waits.
        fetch_book: Asks the venue for a symbol's book, with so many levels a side, over HTTP.
    """

    ctx: Context
    exchange: Any
    wire: BookWire
    emit: Callable[[Event], None]
    again: Callable[[str], None]
    tasks: asyncio.TaskGroup
    markets: Markets
    fetch_book: FetchBook
    _kept: dict[str, Keeping] = attrs.field(factory=dict)
    _numbers: dict[str, int] = attrs.field(factory=dict)  # of the newest message, by address

    def want(self, symbol: str) -> None:
        """Keep a symbol's book from now on."""
        self._kept.setdefault(symbol, Keeping(depth=self.wire.depth or 0))

    def forget(self, symbol: str) -> None:
        """Keep it no longer."""
        self._kept.pop(symbol, None)

    def take(self, client: Any, message: Mapping[str, Any]) -> bool:
        """Read a message if it is about a book; whether it was."""
        if not self._kept:
            return False
        number = message.get("sequence_num")
        if isinstance(number, int) and not self.is_next(client, number):
            return message.get("channel") == "l2_data"
        if (told := self.wire.told_depth(message)) is not None and told[0] in self._kept:
            self._kept[told[0]].depth = told[1]
        updates = self.wire.read(message, lambda id: self.markets.find(client, id))
        if updates is None:
            return False
        for update in updates:
            keeping = self._kept.get(update.symbol)
            if keeping is not None:
                self._update(keeping, update)
        return True

    def lose_all(self, why: str) -> None:
        """Get every book anew: a message that can't be read may have been about any."""
        for symbol, keeping in self._kept.items():
            if keeping.book is not None:
                self._lose(symbol, keeping, why)

    def is_next(self, client: Any, number: int) -> bool:
        """Look at the number of a connection's message: none is left out, and none repeats."""
        if not self.wire.numbered:
            return True
        last = self._numbers.get(client.url)
        if last is not None and number <= last:
            return False
        self._numbers[client.url] = number
        if last is not None and number > last + 1:
            missing = number - last - 1
            self.lose_all(f"{missing} messages are missing before number {number}")
        return True

    def _update(self, keeping: Keeping, update: Update) -> None:
        book = keeping.book
        if update.is_snapshot:
            self._begin(keeping, update)
        elif book is None:
            if self.wire.by_rest:
                keeping.waiting.append(update)
                del keeping.waiting[:-MOST_BUFFERED]
                self._fetch_soon(update.symbol, keeping)
        else:
            self._apply(keeping, book, update)

    def _begin(self, keeping: Keeping, update: Update) -> None:
        market = self.exchange.markets[update.symbol]
        scale = scale_of(market)
        book = Book(
            symbol=update.symbol, venue=self.exchange.id,
            bids=Side(-1, scale), asks=Side(1, scale),
            size_unit=unit_of(market), ts=keeping.ts, made=keeping.made,
        )  # fmt: skip
        keeping.book, keeping.is_asked = book, False
        self._take(keeping, book, update)

    def _apply(self, keeping: Keeping, book: Book, update: Update) -> None:
        fit = self.wire.fit(book, update)
        if fit is None:
            said = f"number {update.first or update.before or update.last}"
            self._lose(update.symbol, keeping, f"after number {book.number} came {said}")
        elif fit == "follows":
            self._take(keeping, book, update)

    def _take(self, keeping: Keeping, book: Book, update: Update) -> None:
        try:
            book.take(update, self.wire.depth and keeping.depth)
        except ValueError as error:
            self._lose(update.symbol, keeping, f"a message of its book can't be read: {error}")
            return
        if self.wire.checksum is not None and update.checksum is not None:
            found = self.wire.checksum(book)
            if found != update.checksum:
                why = f"the book's checksum is {found} and should be {update.checksum}"
                self._lose(update.symbol, keeping, why)
                return
        if book.is_crossed:
            why = "the book is crossed: its best bid is not below its best ask"
            self._lose(update.symbol, keeping, why)
            return
        event = book.event(
            is_snapshot=update.is_snapshot, ts=update.ts, now_ns=self.ctx.clock.now_ns()
        )
        keeping.ts, keeping.made = book.ts, book.made
        self.emit(event)

    def _lose(self, symbol: str, keeping: Keeping, why: str) -> None:
        """Tell that a book went wrong, show none, and have it sent anew."""
        now_ns, monotonic_ns = self.ctx.clock.now_ns(), self.ctx.clock.monotonic_ns()
        keeping.book, keeping.waiting = None, []
        keeping.losses = keeping.losses + 1 if monotonic_ns - keeping.lost_ns < _CALM_NS else 1
        keeping.lost_ns = monotonic_ns
        from_ns = keeping.ts or now_ns
        self.ctx.gap(
            CHANNEL, symbol, from_ns=from_ns, to_ns=max(from_ns, now_ns),
            detail=f"{self.exchange.id} {symbol}: {why}; the book is asked for again",
        )  # fmt: skip
        keeping.made += 1
        keeping.ts = from_ns
        self.emit(
            OrderBook(
                symbol=symbol, ts=from_ns, bids=(), asks=(), seq=keeping.made,
                venue=self.exchange.id, size_unit=unit_of(self.exchange.markets[symbol]),
            )
        )  # fmt: skip
        keeping.is_asked = True
        self.tasks.create_task(self._ask_again(symbol, keeping))

    async def _ask_again(self, symbol: str, keeping: Keeping) -> None:
        if keeping.losses > 1:
            pause_s = min(_LONGEST_PAUSE_S, 0.5 * 2 ** (keeping.losses - 1))
            await self.ctx.clock.sleep(pause_s)
        if self._kept.get(symbol) is not keeping:
            return
        if self.wire.by_rest:
            keeping.is_asked = False  # the next update asks for a snapshot
        else:
            self.again(symbol)

    def _fetch_soon(self, symbol: str, keeping: Keeping) -> None:
        if not keeping.is_asked:
            keeping.is_asked = True
            self.tasks.create_task(self._fetch(symbol, keeping))

    async def _fetch(self, symbol: str, keeping: Keeping) -> None:
        """Fetch a snapshot over HTTP at the venue's pace, and take in what came meanwhile."""
        import ccxt  # noqa: PLC0415 -- loaded by now; at the top it would load with this module

        for attempt in range(_ATTEMPTS):
            try:
                found = await self.fetch_book(symbol, SNAPSHOT_LEVELS)
            except ccxt.OperationFailed as error:
                if self._kept.get(symbol) is keeping:
                    why = f"no snapshot of the book: {type(error).__name__}"
                    self._lose(symbol, keeping, why)
                return
            if self._kept.get(symbol) is not keeping:
                return
            number = int(found["nonce"])
            newer = [update for update in keeping.waiting if (update.last or 0) > number]
            if not newer or (newer[0].first or 0) <= number + 1 or newer[0].before == number:
                self._begin_fetched(symbol, keeping, found, newer)
                return
            # It is older than all that was kept, so something would be left out.
            await self.ctx.clock.sleep(0.2 * 2**attempt)
        if self._kept.get(symbol) is keeping:
            self._lose(symbol, keeping, f"{_ATTEMPTS} snapshots of the book were too old")

    def _begin_fetched(
        self, symbol: str, keeping: Keeping, found: Mapping[str, Any], newer: Sequence[Update]
    ) -> None:
        keeping.waiting = []
        ms = found.get("timestamp")  # futures only
        snapshot = Update(
            symbol=symbol, is_snapshot=True, last=int(found["nonce"]),
            bids=[(repr(level[0]), repr(level[1])) for level in found["bids"]],
            asks=[(repr(level[0]), repr(level[1])) for level in found["asks"]],
            ts=to_ns(ms) if ms else newer[0].ts if newer else None,
        )  # fmt: skip
        self._begin(keeping, snapshot)
        for update in newer:
            if keeping.book is not None:
                self._apply(keeping, keeping.book, update)


def open_books(
    ctx: Context, tap: Tap, again: Callable[[str, str], None], tasks: asyncio.TaskGroup,
    fetch_book: FetchBook,
) -> Books | None:  # fmt: skip
    """Return what keeps the books of a session; None where we have no reading of its venue.

    Args:
        ctx: Is told of gaps.
        tap: Takes the events.
        again: Unsubscribes from a channel of a symbol, and subscribes again.
        tasks: See Books.
        fetch_book: See Books.
    """
    wire = BOOK_WIRES.get(tap.venue.id)
    if wire is None:
        return None
    wire.prepare(tap.exchange)
    return Books(
        ctx=ctx, exchange=tap.exchange, wire=wire, emit=partial(tap.take, CHANNEL),
        again=partial(again, CHANNEL), tasks=tasks, markets=tap.markets, fetch_book=fetch_book,
    )  # fmt: skip
