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
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from bond_ccxt.parse import read_quote, read_trade
from bond_ccxt.venues import Key, Venue
from bond_core.plugin import Context, Event, Subscription

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
        broken: Gets the exception when a frame can't be handled: ccxt would go deaf without
            a word, because its reading loop ends there.
    """

    ctx: Context
    exchange: Any
    venue: Venue
    wanted: set[Subscription] = attrs.field(factory=set)
    asked: dict[str | Key, Subscription] = attrs.field(factory=dict)
    broken: asyncio.Future[None] = attrs.field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )
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
        for channel, feed in self.venue.feeds.items():
            take = self._trade if channel == "trades" else self._quote
            store = _Caches(take) if channel == "trades" else _Tickers(take)
            setattr(self.exchange, feed.kept_in, store)

    def _on_message(self, client: Any, message: Any) -> None:
        self._message = message if isinstance(message, dict) else {}
        try:
            self._handle(client, message)
            if not any(self._events.values()):
                self._answers(client)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it must reach the owner
            if not self.broken.done():
                self.broken.set_exception(error)
        finally:
            for channel, events in self._events.items():
                if events:
                    self._events[channel] = []
                    self.ctx.emit(channel, events)

    def _trade(self, trade: Mapping[str, Any]) -> None:
        event = read_trade(trade, self.venue, self.exchange.markets)
        if self._expected("trades", event.symbol):
            self._events["trades"].append(event)

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
                subscription = self.asked.get(name)
                if subscription is not None:
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
