"""Note what ccxt asks a venue for over HTTP, and read a venue's recorded messages again.

What arrives over WebSockets can't be read without what was asked for beside it: what the markets
are, and the first state of some order books. Where messages are recorded these are noted, too,
as messages of a connection called `ASKED`:

    {"markets": [{"symbol": "BTC/USDT", …}, …]}             ccxt's market structures
    {"book": "BTC/USDT", "found": {"bids": …, "nonce": …}}  ccxt's order book structure

Reading again takes an exchange object that is connected to nothing: its clients are handed the
messages as ccxt's own would be.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import attrs

from bond_ccxt.books import open_books
from bond_ccxt.config import CcxtConfig
from bond_ccxt.exchange import Session, open_session
from bond_ccxt.listing import Listing
from bond_ccxt.tap import Tap
from bond_core.plugin import Context, Message, Note, Retryable

ASKED = "ccxt:asked"
"""Stands for the URL of what was asked for over HTTP."""


@attrs.define(eq=False)
class Notes:
    """Notes what is asked for, where messages are recorded."""

    exchange: Any
    _note: Note | None
    _noted: set[str] = attrs.field(factory=set)

    def markets(self, symbols: Iterable[str]) -> None:
        """Note the markets of these symbols, those that were not noted yet."""
        known = self.exchange.markets
        new = sorted({symbol for symbol in symbols if symbol in known} - self._noted)
        if self._note is not None and new:
            self._noted.update(new)
            self._note(json.dumps({"markets": [known[symbol] for symbol in new]}))

    async def fetch_book(self, symbol: str, levels: int) -> Any:
        """Fetch an order book through ccxt, and note it."""
        found = await self.exchange.fetch_order_book(symbol, levels)
        if self._note is not None:
            self._note(json.dumps({"book": symbol, "found": found}))
        return found


@attrs.define(eq=False)
class _Answers:
    """Hands out the order books that were fetched then, in place of fetching them."""

    _books: dict[str, list[Any]] = attrs.field(factory=dict)
    _asking: dict[str, asyncio.Future[Any]] = attrs.field(factory=dict)

    async def fetch_book(self, symbol: str, _: int) -> Any:
        """Wait for the book that was fetched next."""
        books = self._books.get(symbol)
        if books:
            return books.pop(0)
        self._asking[symbol] = asyncio.get_running_loop().create_future()
        return await self._asking[symbol]

    async def put(self, symbol: str, found: Any) -> None:
        """Hand one out, and let it be taken in."""
        asking = self._asking.pop(symbol, None)
        if asking is None or asking.done():
            self._books.setdefault(symbol, []).append(found)
            return
        asking.set_result(found)
        for _ in range(3):  # it is taken in by the task that waited
            await asyncio.sleep(0)


async def read_again(
    ctx: Context, config: CcxtConfig, listing: Listing, messages: AsyncIterator[Message]
) -> None:
    """Read a venue's recorded messages, until cancelled.

    Args:
        ctx: Is told what they hold.
        config: Says which venue.
        listing: Is given the markets that were noted.
        messages: The recorded ones. Each session of the venue begins with a new `ASKED`.
    """
    session, number = await _session(config, ctx), None
    sessions = [session]
    try:
        async with asyncio.TaskGroup() as tasks:
            tap, answers = _tap(ctx, session, tasks)
            _leave_out_what_was_asked(ctx, tap)
            async for message in messages:
                if message.url != ASKED:
                    if number is None:
                        _leave_out_all(ctx, "what its markets are is not in the recording")
                        continue
                    client = session.exchange.client(message.url)
                    client.send = _send_nothing
                    client.handle_text_or_binary_message(message.data)
                    continue
                if number not in (None, message.connection):
                    session = await _session(config, ctx)
                    sessions.append(session)
                    tap, answers = _tap(ctx, session, tasks)
                if number != message.connection:
                    number, listing.markets = message.connection, []
                said = json.loads(message.data)
                if "book" in said:
                    await answers.put(said["book"], said["found"])
                else:
                    _learn_markets(said["markets"], ctx, tap, listing)
    finally:
        for each in sessions:
            await each.close()


async def _session(config: CcxtConfig, ctx: Context) -> Session:
    session = await open_session(config, ctx)
    session.exchange.enableRateLimit = False
    session.exchange.markets = {}
    session.exchange.fetch = _ask_nobody  # some messages have ccxt ask for more
    return session


def _tap(ctx: Context, session: Session, tasks: asyncio.TaskGroup) -> tuple[Tap, _Answers]:
    tap, answers = Tap(ctx, session.exchange, session.venue), _Answers()
    tap.books = open_books(ctx, tap, lambda *_: None, tasks, answers.fetch_book)
    return tap, answers


def _learn_markets(markets: list[Any], ctx: Context, tap: Tap, listing: Listing) -> None:
    listing.markets = [*(listing.markets or ()), *markets]
    tap.exchange.set_markets(listing.markets)
    tap.wanted.update(ctx.wanted.current())
    for each in tap.wanted:
        if each.channel == "book" and tap.books is not None:
            tap.books.want(each.symbol)


def _leave_out_what_was_asked(ctx: Context, tap: Tap) -> None:
    """Say which channels don't come of messages, or not of messages alone."""
    for each in sorted(ctx.wanted.current()):
        feed = tap.venue.feeds.get(each.channel)
        if feed is None or feed.watch is None:
            ctx.failed(each.channel, each.symbol, f"{each.channel} is asked for over HTTP")
        elif each.channel == "book" and tap.books is None:
            ctx.failed(each.channel, each.symbol, "its order books are made by ccxt")


def _leave_out_all(ctx: Context, why: str) -> None:
    for each in sorted(ctx.wanted.current()):
        ctx.failed(each.channel, each.symbol, why)


async def _send_nothing(_: Any) -> None:
    """Stand in for sending: nobody is there."""


async def _ask_nobody(*_: Any, **__: Any) -> Any:
    raise Retryable("recorded messages are read here: nothing is asked for over HTTP")
