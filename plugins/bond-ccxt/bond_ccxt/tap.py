"""Take every trade and quote at the moment ccxt.pro has parsed it.

ccxt.pro hands data over through futures: between two awaits of `watch_trades` it reads on
whatever has arrived, and keeps the last 1,000 trades of a symbol and only the last quote. A
burst is cut short without a word. So nothing here waits for ccxt's results. All venues in
ccxt.pro put what they parse into dictionaries of the exchange object, by symbol:

    exchange.trades[symbol] = cache; cache.append(trade)
    exchange.tickers[symbol] = ticker, exchange.bidsasks[symbol] = ticker

and these are replaced by ones that look at what is put in. Everything happens inside
`handle_message`, so what one frame carried is emitted as one list, stamped with the time the
frame was handled. Only this one exchange object is touched, and no class of ccxt.

A frame that can't be read (cut short, a NaN for a price) would end ccxt's reading loop, again
without a word. Here it is left out and told as a gap, and the next one is read; many in a row
end the run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from bond_ccxt.books import Books
from bond_ccxt.markets import Markets
from bond_ccxt.native import READERS, Reading
from bond_ccxt.parse import read_quote, read_trade
from bond_ccxt.statements import STATEMENTS
from bond_ccxt.venues import Key, Venue
from bond_core.plugin import Context, Event, Note, Retryable, Subscription

MOST_UNREADABLE = 20
"""So many frames in a row that can't be read mean that the venue speaks otherwise than we do."""

_PARTS = 10_000
"""So many ids are remembered of each symbol's trades that came as parts of others."""

_HEARTBEAT_SLACK_NS = 1_000_000_000


class _Caches(dict[str, Any]):
    """ccxt's caches of trades: each hands on what is appended to it, and keeps nothing."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        super().__init__()
        self._take = take

    def __setitem__(self, symbol: str, cache: Any) -> None:
        if "append" not in vars(cache):  # most venues store the same cache for every trade
            for trade in cache:  # some fill a new cache before they store it
                self._take(trade)
            cache.clear()
            cache.append = self._take
        super().__setitem__(symbol, cache)


class _Tickers(dict[str, Any]):
    """ccxt's newest tickers by symbol; bybit reads them again, to apply differences."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        super().__init__()
        self._take = take

    def __setitem__(self, symbol: str, ticker: Any) -> None:
        super().__setitem__(symbol, ticker)
        self._take(ticker)


@attrs.define(eq=False)
class Tap:
    """Listens in on one ccxt.pro exchange object and tells `ctx` what it hears.

    Attributes:
        wanted: What to emit; the rest of what a venue sends is left out.
        asked: What was subscribed, by ccxt's name for it and by the venue's.
        noting: Says where the messages of a connection are recorded, if they are.
        books: Reads messages about order books; None where the venue has none for us.
        broken: Gets the exception that ends the run: the venue's own error, or too many frames
            in a row that can't be read.
    """

    ctx: Context
    exchange: Any
    venue: Venue
    wanted: set[Subscription] = attrs.field(factory=set)
    asked: dict[str | Key, set[Subscription]] = attrs.field(factory=dict)
    books: Books | None = None
    noting: Callable[[str], Note | None] = lambda _: None
    broken: asyncio.Future[None] = attrs.field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )
    markets: Markets = attrs.field(
        init=False, default=attrs.Factory(lambda self: Markets(self.exchange), takes_self=True)
    )
    _is_reading: bool = False
    _parts: dict[str, deque[int]] = attrs.field(factory=dict)
    _unreadable: int = 0
    _message: Any = None
    _handle: Callable[[Any, Any], None] = attrs.field(init=False)
    _events: dict[str, list[Event]] = attrs.field(init=False)
    _heard: dict[str, set[str]] = attrs.field(init=False)  # channel → confirmed symbols

    def __attrs_post_init__(self) -> None:
        """Put the taps in place."""
        # Retrieved here, too: a frame may break after the last one who waits has gone.
        self.broken.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._handle = self.exchange.handle_message
        self._events = {channel: [] for channel in self.venue.feeds}
        self._heard = {channel: set() for channel in self.venue.feeds}
        self.exchange.handle_message = self._on_message
        self.exchange.client = partial(self._client, self.exchange.client)
        for channel, feed in self.venue.feeds.items():
            if feed.kept_in is None:
                continue
            take = self._trade if channel == "trades" else self._quote
            store = _Caches(take) if channel == "trades" else _Tickers(take)
            setattr(self.exchange, feed.kept_in, store)

    def _client(self, open_client: Callable[[str], Any], url: str) -> Any:
        """Return ccxt's connection to an address, with its decoding guarded."""
        client = open_client(url)
        if "handle_text_or_binary_message" not in vars(client):
            decode = client.handle_text_or_binary_message
            hear = partial(self._on_frame, client, decode)
            if self.venue.id in READERS:
                reading = Reading(
                    self.markets,
                    self.venue.id,
                    client,
                    self.ctx.clock.now_ns,
                    self._number,
                    self._keep_parts,
                )
                hear = partial(self._on_native, reading.read, hear)
            if (note := self.noting(url)) is not None:
                hear = partial(_noted, note, hear)
            client.handle_text_or_binary_message = hear
        return client

    def _on_native(
        self, read: Callable[[str], tuple[str, list[Event]] | None],
        otherwise: Callable[[Any], None], data: Any,
    ) -> None:  # fmt: skip
        """Take a frame of trades or quotes by itself; hand any other on."""
        found = read(data) if data.__class__ is str else None
        if found is None:
            otherwise(data)
            return
        channel, events = found
        heard = self._heard[channel]
        for event in events:
            if event.symbol not in heard and not self._expected(channel, event.symbol):
                events = [e for e in events if e.symbol in heard]
                break
        if events:
            self._unreadable = 0
            self.ctx.emit(channel, events)

    def _number(self, client: Any, number: int) -> None:
        if self.books is not None:
            self.books.is_next(client, number)

    def _on_frame(self, client: Any, decode: Callable[[Any], None], data: Any) -> None:
        begins = None if self.books is None else self.books.wire.begins
        try:
            if begins is not None and isinstance(data, str) and data.startswith(begins):
                self._on_message(client, self.books.wire.decode(data))  # type: ignore[union-attr] # it has `begins`
            else:
                decode(data)
        except ValueError as error:  # no JSON, or no text; what follows raises nothing
            self._leave_out(error)

    def _on_message(self, client: Any, message: Any) -> None:
        import ccxt  # noqa: PLC0415 -- loaded by now; at the top it would load with this module

        self._message = message if isinstance(message, dict) else {}
        self._is_reading = True
        try:
            if not self._read(client):
                self._handle(client, message)
            if not any(self._events.values()):
                self._answers(client)
        except ccxt.BaseError as error:  # what the venue says of itself must reach the owner
            self._break(error)
        except Exception as error:  # noqa: BLE001 -- ccxt's parsers raise whatever they meet
            self._leave_out(error)
        finally:
            self._is_reading = False
            self._hand_on()

    def _read(self, client: Any) -> bool:
        """Read a message that ccxt needn't see; whether it was one."""
        if self.books is not None and self.books.take(client, self._message):
            return True
        read = STATEMENTS.get(self.venue.id)
        if read is None:
            return False
        now_ns = self.ctx.clock.now_ns()
        found = read(self._message, lambda id: self.markets.find(client, id), now_ns)
        for channel, event in found or ():
            self.take(channel, event)
        return found is not None

    def take(self, channel: str, event: Event) -> None:
        """Take an event that somebody may want; what one message carried stays together."""
        if self._expected(channel, event.symbol):
            self._events[channel].append(event)
            if not self._is_reading:
                self._hand_on()

    def _hand_on(self) -> None:
        for channel, events in self._events.items():
            if events:
                self._events[channel] = []
                self._unreadable = 0
                self.ctx.emit(channel, events)

    def _leave_out(self, error: Exception) -> None:
        """Tell that a frame can't be read: what it held is missing, in whichever channel."""
        why = f"a frame of {self.venue.id} can't be read: {type(error).__name__}: {error}"[:200]
        self._unreadable += 1
        if self._unreadable == 1:
            self.ctx.log.warning("%s", why, exc_info=error)
        if self._unreadable >= MOST_UNREADABLE:
            self._break(Retryable(f"{self._unreadable} frames in a row; {why}"))
            return
        now_ns = self.ctx.clock.now_ns()
        for channel in sorted({subscription.channel for subscription in self.wanted}):
            self.ctx.gap(channel, None, from_ns=now_ns, to_ns=now_ns, detail=why)
        if self.books is not None and self.books.wire.is_unchecked:
            self.books.lose_all("a message can't be read")

    def _break(self, error: Exception) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    def _trade(self, trade: Mapping[str, Any]) -> None:
        event = read_trade(trade, self.venue, self.exchange.markets)
        if self._expected("trades", event.symbol):
            self._events["trades"].append(event)
        if self.venue.trade_count is not None and event.seq:
            count = trade["info"].get(self.venue.trade_count)
            if count not in (None, "", "1"):
                self._keep_parts(event.symbol, event.seq, int(count))

    def _keep_parts(self, symbol: str, last: int, count: int) -> None:
        """Note the ids of trades that came as one, under the last one's id."""
        kept = self._parts.get(symbol)
        if kept is None:
            kept = self._parts[symbol] = deque(maxlen=_PARTS)
        kept.extend(range(last - count + 1, last))

    def parts(self, symbol: str) -> frozenset[int]:
        """Return the ids of trades that were heard as parts of others."""
        return frozenset(self._parts.get(symbol, ()))

    def _quote(self, ticker: Mapping[str, Any]) -> None:
        symbol = ticker["symbol"]
        if self._expected("quotes", symbol):
            market = self.exchange.markets.get(symbol, {})
            now_ns = self.ctx.clock.now_ns()
            event = read_quote(ticker, self._message, self.venue, market, now_ns)
            self._events["quotes"].append(event)

    def _expected(self, channel: str, symbol: str) -> bool:
        """Return whether somebody wants it; the first that arrives confirms its subscription."""
        if symbol not in self._heard[channel]:
            self.confirm(Subscription(channel, symbol))
        return symbol in self._heard[channel]

    def forget(self, subscription: Subscription) -> None:
        """Leave out from now on what may still arrive of it."""
        self.wanted.discard(subscription)
        self._heard[subscription.channel].discard(subscription.symbol)
        if subscription.channel == "book" and self.books is not None:
            self.books.forget(subscription.symbol)

    def _answers(self, client: Any) -> None:
        """Look for what the venue confirms, refuses, or says to show that it is alive."""
        message = self._message
        if message.get("channel") == "heartbeat":  # kraken: each second without other news
            for channel, symbols in self._heard.items():
                if symbols:
                    self.ctx.heartbeat(channel, self.ctx.clock.now_ns() - _HEARTBEAT_SLACK_NS)
            return
        if message.get("success") is False and message.get("method") == "subscribe":
            self._refused(message)  # kraken: ccxt tells nobody
        for key in self.venue.confirmed(message):
            names = _of_request(client, key) if isinstance(key, int) else (key,)
            for name in names:
                for subscription in self.asked.get(name, ()):
                    self.confirm(subscription)

    def confirm(self, subscription: Subscription) -> None:
        """Say once that a subscription stands."""
        channel, symbol = subscription.channel, subscription.symbol
        if subscription in self.wanted and symbol not in self._heard[channel]:
            self._heard[channel].add(symbol)
            self.ctx.live(channel, symbol)

    def _refused(self, message: Mapping[str, Any]) -> None:
        for subscription in self.wanted:
            if subscription.symbol == message.get("symbol"):
                reason = f"{self.venue.id} refused it: {message.get('error')}"
                self.ctx.failed(subscription.channel, subscription.symbol, reason)


def _of_request(client: Any, number: int) -> list[str]:
    """Return ccxt's names of the subscriptions that a request of this number asked for."""
    return [
        name
        for name, said in client.subscriptions.items()
        if isinstance(said, dict) and str(said.get("id")) == str(number)
    ]


def _noted(note: Note, hear: Callable[[Any], None], data: Any) -> None:
    if isinstance(data, str | bytes):
        note(data)
    hear(data)
