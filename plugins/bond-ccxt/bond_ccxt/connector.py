"""Listen to one venue's trades and quotes over its WebSocket, through ccxt.pro.

    ctx.wanted -> Watches.follow -> ccxt.pro subscribes -> frames -> Tap -> ctx.emit

The tasks here only keep subscriptions alive: they wait in ccxt's `watch_…` until it fails.
Symbols that are wanted at the same moment are subscribed together, in few requests; a symbol
that comes later gets a request of its own, and the others notice nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

import attrs

from bond_ccxt.backfill import fetch
from bond_ccxt.books import open_books
from bond_ccxt.config import CcxtConfig
from bond_ccxt.errors import translate
from bond_ccxt.exchange import Session, open_session
from bond_ccxt.listing import Listing
from bond_ccxt.parse import read_book
from bond_ccxt.polling import poll_open_interest
from bond_ccxt.rereading import ASKED, Notes, read_again
from bond_ccxt.symbols import why_no_swap, why_not
from bond_ccxt.tap import Tap
from bond_core.plugin import Context, Hole, Message, Page, Retryable, Subscription

_Group = tuple[str, tuple[str, ...]]
"""A channel, and the symbols of it that one call of ccxt watches."""


class CcxtConnector:
    """The connector `ccxt`: one instance for each venue."""

    def __init__(self, config: CcxtConfig) -> None:
        self.config = config
        self.listing = Listing()
        self._open: tuple[Session, Tap] | None = None

    async def run(self, ctx: Context) -> None:
        """Listen until cancelled.

        Raises:
            Retryable: The venue can't be reached, closed the connection, or answered with an
                error that may pass.
            Fatal: The venue refuses, or doesn't exist.
        """
        session = await open_session(self.config, ctx)
        try:
            await self.listing.load(session.exchange, ctx.clock)
            tap = Tap(ctx, session.exchange, session.venue, noting=ctx.noting)
            self._open = session, tap
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_until_broken(tap))
                notes = Notes(session.exchange, ctx.noting(ASKED))
                watches = Watches(ctx, session, self.listing, tap, tasks, notes)
                tap.books = open_books(ctx, tap, watches.again, tasks, notes.fetch_book)
                await watches.follow()
        except BaseExceptionGroup as errors:
            raise translate(_first(errors), self.config.venue) from errors
        except Exception as error:
            said = translate(error, self.config.venue)
            if said is error:
                raise
            raise said from error
        finally:
            self._open = None
            await session.close()

    async def reread(self, ctx: Context, messages: AsyncIterator[Message]) -> None:
        """Read recorded messages again; see bond_core.plugin.Rereads."""
        await read_again(ctx, self.config, self.listing, messages)

    async def backfill(self, ctx: Context, hole: Hole) -> Page:
        """Fetch trades that were missed, through the session that listens.

        Raises:
            Retryable: There is none at the moment, or the venue doesn't answer.
            Fatal: The venue refuses, or has no such request.
        """
        if self._open is None:
            raise Retryable(f"{self.config.venue} is not connected")
        session, tap = self._open
        try:
            return await fetch(session, hole, tap.parts(hole.symbol))
        except Exception as error:
            said = translate(error, self.config.venue)
            if said is error:
                raise
            raise said from error


@attrs.define(eq=False)
class Watches:
    """The subscriptions of one session, each group of them kept alive by a task."""

    ctx: Context
    session: Session
    listing: Listing
    tap: Tap
    tasks: asyncio.TaskGroup
    notes: Notes
    _running: dict[_Group, list[asyncio.Task[None]]] = attrs.field(factory=dict)
    _requests: int = 1_000_000  # far from the numbers ccxt gives its own

    async def follow(self) -> None:
        """Keep to what is wanted, for ever."""
        known: frozenset[Subscription] = frozenset()
        while True:
            wanted = await self.ctx.wanted.changed(known)
            new = wanted - known
            self._stop(known - wanted)
            await self.listing.renew(
                self.session.exchange, self.ctx.clock, [s.symbol for s in new], self.ctx.log
            )
            self.notes.markets(s.symbol for s in new)
            self._start(new)
            known = wanted

    def _start(self, new: Iterable[Subscription]) -> None:
        markets = self.session.exchange.markets
        by_kind: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for subscription in sorted(new):
            channel, symbol = subscription.channel, subscription.symbol
            feed = self.session.venue.feeds.get(channel)
            reason = why_not(symbol, self.session.venue.id, markets)
            if feed is None:
                reason = f"{self.session.venue.id} has no {channel} here"
            elif reason is None and feed.swaps:
                reason = why_no_swap(symbol, markets)
            if reason is not None:
                self.ctx.failed(channel, symbol, reason)
                continue
            self._expect(subscription)
            market = markets[symbol]
            # One request is about markets of one kind: some venues have a socket for each.
            by_kind[channel, str(market["type"]), str(market.get("subType"))].append(symbol)
        for (channel, _, _), symbols in by_kind.items():
            for part in _parts(symbols, self.session.venue.feeds[channel].batch):
                self._watch((channel, part))

    def _expect(self, subscription: Subscription) -> None:
        """Tell the tap what to listen for, and by which names the venue will confirm it."""
        feed = self.session.venue.feeds[subscription.channel]
        market = self.session.exchange.markets[subscription.symbol]
        self.tap.wanted.add(subscription)
        if subscription.channel == "book" and self.tap.books is not None:
            self.tap.books.want(subscription.symbol)
        if feed.hash is not None:
            self.tap.asked.setdefault(feed.hash_of(market), set()).add(subscription)
        if feed.name is not None:
            unified = self.session.venue.writes_unified
            name = subscription.symbol if unified else market["id"]
            if feed.by_type:
                name = market["type"].upper()
            self.tap.asked.setdefault((feed.name, name), set()).add(subscription)

    def _watch(self, group: _Group) -> None:
        channel, symbols = group
        feed = self.session.venue.feeds[channel]
        if feed.watch is None:
            keeping = [poll_open_interest(self.ctx, self.session, self.tap, symbols)]
        else:
            keeping = [self._keep(group, method) for method in (feed.watch, *feed.also)]
        self._running[group] = [self.tasks.create_task(each) for each in keeping]

    async def _keep(self, group: _Group, method: str) -> None:
        """Subscribe, and wait for the subscription to fail."""
        import ccxt  # noqa: PLC0415 -- loaded by now; at the top it would load with this module

        channel, symbols = group
        feed = self.session.venue.feeds[channel]
        watch = getattr(self.session.exchange, method)
        while True:
            try:
                found = await watch(*feed.arguments(symbols))
                if channel == "book":  # of a venue that we have no reading of
                    self.tap.take(channel, read_book(found, self.session.venue))
            except ccxt.UnsubscribeError:
                continue  # the late answer to an unsubscription met a new subscription
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # ccxt cancels what waits for a client that it closes; a task that ended so
                # would end without a word, and its symbols with it.
                raise Retryable(f"{self.session.venue.id}: ccxt closed the connection") from error

    def _stop(self, gone: frozenset[Subscription]) -> None:
        """End what nobody wants any more, and leave what shared its request untouched."""
        leaving: dict[str, list[str]] = defaultdict(list)
        for subscription in sorted(gone & self.tap.wanted):
            self.tap.forget(subscription)
            leaving[subscription.channel].append(subscription.symbol)
        for channel, symbols in leaving.items():
            self._regroup(channel, set(symbols))
            self._leave(channel, symbols)

    def _regroup(self, channel: str, gone: set[str]) -> None:
        """Give each group with such a symbol a new task, that watches what is left of it."""
        for group in [g for g in self._running if g[0] == channel and gone & set(g[1])]:
            for task in self._running.pop(group):
                task.cancel()
            left = tuple(symbol for symbol in group[1] if symbol not in gone)
            if left:
                self._watch((channel, left))

    def again(self, channel: str, symbol: str) -> None:
        """Unsubscribe from one symbol, and subscribe again."""
        self._leave(channel, [symbol])
        self._regroup(channel, {symbol})
        self._watch((channel, (symbol,)))

    def _leave(self, channel: str, symbols: Sequence[str]) -> None:
        """Unsubscribe at the venue, and have ccxt forget that it was subscribed.

        Not by ccxt's `un_watch_…`: of these six venues three have none, and coinbase's hangs
        unless it is about the last subscription of the connection.
        """
        venue, exchange = self.session.venue, self.session.exchange
        feed = venue.feeds[channel]
        if venue.leave is None or feed.name is None or feed.hash is None:
            return  # ccxt knows no way, nor do we: it goes on arriving, and the tap leaves it out
        names = {feed.hash_of(exchange.markets[symbol]): symbol for symbol in symbols}
        for client in list(exchange.clients.values()):
            mine = [names[name] for name in names if client.subscriptions.pop(name, None)]
            if mine and not client.closed():
                self._requests += 1
                if not venue.writes_unified:
                    mine = [exchange.markets[symbol]["id"] for symbol in mine]
                message = venue.leave(feed.name, mine, self._requests)
                self.tasks.create_task(self._send(client, message))

    async def _send(self, client: Any, message: Any) -> None:
        """Send at the venue's pace, behind what ccxt has still to send."""
        if self.session.exchange.enableRateLimit:
            await client.throttle(self.session.exchange.options.get("ws", {}).get("cost", 1))
        await client.send(message)


async def _until_broken(tap: Tap) -> None:
    await tap.broken


def _parts(symbols: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(symbols), size):
        yield tuple(symbols[start : start + size])


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group of errors began with."""
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
