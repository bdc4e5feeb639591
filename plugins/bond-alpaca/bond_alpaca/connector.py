"""Listen to Alpaca's stream of shares, or of crypto: one connection for everybody.

    connected → auth → authenticated → subscribe → subscription, then data

Each request is answered, in order, by `subscription` or by an error about it. A request that
is refused for want of room is made again symbol by symbol, so that those there is room for
are heard and the others fail with the reason.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from bond_alpaca import messages as m
from bond_alpaca.config import CryptoConfig, StocksConfig
from bond_alpaca.history import fetch
from bond_alpaca.plugin import HOST
from bond_alpaca.refusals import HARMLESS, LIMIT, OF_THE_REQUEST, error_of, why_refused
from bond_core.plugin import (
    Candle,
    Context,
    Event,
    Hole,
    Page,
    Quote,
    Retryable,
    Subscription,
    WebSocket,
    WebSocketConnector,
    is_us_session,
)

AUTHENTICATE_S = 10.0
"""How long Alpaca may take to authenticate. Real seconds, as for connecting."""

_BETA = frozenset({"boats"})
_MINUTE_NS = 60_000_000_000
_LOT = 100
_CHANNELS = ("trades", "quotes", "bars")
_HALTS = {"2": "halted", "H": "halted", "P": "halted", "3": "resumed", "T": "resumed"}


class AlpacaConnector(WebSocketConnector):
    """What both have in common."""

    confirms = True
    keepalive_every_s = 10.0
    feed: str
    path: str
    has_pairs: bool
    elsewhere: str

    def __init__(self, config: CryptoConfig) -> None:
        super().__init__(config)
        self._begin()

    def _begin(self) -> None:
        """Forget the connection before."""
        self._authenticated = asyncio.Event()
        self._is_sent = False
        self._held: set[Subscription] = set()
        self._asked: deque[tuple[Subscription, ...]] = deque()  # empty: of what can't be counted
        self._refused: list[Subscription] = []
        self._times = m.Times()

    def url(self, ctx: Context) -> str:
        """See WebSocketConnector."""
        return f"{ctx.simulated_at or f'wss://{HOST}'}{self.path}"

    def open(self, ctx: Context) -> AbstractAsyncContextManager[WebSocket]:
        """See WebSocketConnector."""
        self._begin()
        return super().open(ctx)

    async def subscribe(self, ws: WebSocket, ctx: Context, added: Sequence[Subscription]) -> None:
        """See WebSocketConnector."""
        if not self._is_sent:
            self._is_sent = True
            key, secret = self.config.key.reveal(), self.config.secret.reveal()
            await ws.send_json({"action": "auth", "key": key, "secret": secret})
        try:
            async with asyncio.timeout(AUTHENTICATE_S):
                await self._authenticated.wait()
        except TimeoutError:
            raise Retryable(f"Alpaca did not answer to the key in {AUTHENTICATE_S:g} s") from None
        mine = [s for s in added if ("/" in s.symbol) is self.has_pairs]
        for other in sorted(set(added) - set(mine)):
            ctx.failed(other.channel, other.symbol, self.elsewhere.format(other.symbol))
        if mine:
            self._held.update(mine)
            await self._ask(ws, "subscribe", tuple(mine))
            await self._also(ws, "subscribe", mine)

    async def unsubscribe(
        self, ws: WebSocket, ctx: Context, removed: Sequence[Subscription]
    ) -> None:
        """See WebSocketConnector."""
        mine = [s for s in removed if s in self._held]
        if mine:
            self._held.difference_update(mine)
            await self._ask(ws, "unsubscribe", tuple(mine))
            await self._also(ws, "unsubscribe", mine)

    async def keepalive(self, ws: WebSocket, ctx: Context) -> None:
        """Ask one by one for what was refused together; and whether Alpaca is there at all."""
        refused, self._refused = self._refused, []
        for subscription in refused:
            if subscription in self._held:
                await self._ask(ws, "subscribe", (subscription,))
        if self._held and not self._asked and self._is_quiet(ctx):
            self._asked.append(())
            await ws.send_json({"action": "subscribe", **_by_channel((min(self._held),))})

    async def backfill(self, ctx: Context, hole: Hole) -> Page:
        """Fetch trades that were missed; see bond_core.plugin.Backfills."""
        return await fetch(ctx, hole, self.config, self.feed)

    def parse(self, frame: str | bytes, ctx: Context) -> Iterator[tuple[str, Event]]:
        """See WebSocketConnector."""
        for message in m.read(frame, lambda: ctx.reject("a message has not the form it should")):
            if isinstance(message, m.TradeMessage):
                trade = m.trade_of(message, self._times)
                if trade is not None:
                    yield "trades", trade
            elif isinstance(message, m.QuoteMessage):
                yield "quotes", self._quote(message)
            elif isinstance(message, m.BarMessage):
                yield "bars", self._bar(message)
            else:
                self._control(message, ctx)

    async def _ask(self, ws: WebSocket, action: str, what: tuple[Subscription, ...]) -> None:
        self._asked.append(what if action == "subscribe" else ())
        await ws.send_json({"action": action, **_by_channel(what)})

    async def _also(self, ws: WebSocket, action: str, what: Sequence[Subscription]) -> None:
        """Ask for what goes with it."""

    def _is_quiet(self, ctx: Context) -> bool:
        """Whether silence means nothing now, so that Alpaca's answer has to show that it lives."""
        return False

    def _control(self, message: m.Message, ctx: Context) -> None:
        match message:
            case m.Success(msg="authenticated"):
                self._authenticated.set()
            case m.Refusal(code=code, msg=said):
                self._refusal(code, said, ctx)
            case m.Subscribed():
                self._subscribed(message, ctx)
            case m.CancelMessage():
                detail = f"the exchange took back a trade of {message.s:g} at {message.p:g}"
                self._taken_back(message.S, message.t, "cancelled", detail, ctx)
            case m.CorrectionMessage():
                was, true = f"{message.os:g} at {message.op:g}", f"{message.cs:g} at {message.cp:g}"
                detail = f"the exchange corrected a trade of {was}: it was {true}"
                self._taken_back(message.S, message.t, "corrected", detail, ctx)
            case m.StatusMessage(sc=code) if code in _HALTS:
                why = message.rm or message.rc
                detail = f"{message.S}: {message.sm or code}{f' ({why})' if why else ''}"
                at_ns = self._times.ns(message.t)
                for channel in ("trades", "quotes"):
                    ctx.tell(channel, message.S, code=_HALTS[code], detail=detail, at_ns=at_ns)

    def _refusal(self, code: int, said: str, ctx: Context) -> None:
        if code == HARMLESS:
            return
        # A plan that has the feed may still lack one of its channels.
        of_the_request = OF_THE_REQUEST | ({409} if self._authenticated.is_set() else set())
        if code not in of_the_request or not self._asked:
            raise error_of(code, said, feed=self.feed)
        while code == LIMIT and len(self._asked) > 1 and not self._asked[0]:
            self._asked.popleft()  # nothing that is counted: it was never answered
        asked = self._asked.popleft()
        if len(asked) > 1:
            self._refused += asked
        for subscription in asked if len(asked) == 1 else ():
            ctx.failed(subscription.channel, subscription.symbol, why_refused(code, said))

    def _subscribed(self, message: m.Subscribed, ctx: Context) -> None:
        has = {"trades": message.trades, "quotes": message.quotes, "bars": message.bars}
        confirmed = {Subscription(channel, s) for channel, all_ in has.items() for s in all_}
        if self._asked and not self._asked[0]:
            self._asked.popleft()
        self._asked = deque(each for each in self._asked if not each or not confirmed >= {*each})
        for subscription in sorted(confirmed & self._held):
            ctx.live(subscription.channel, subscription.symbol)
        if self._is_quiet(ctx):
            for channel in sorted({s.channel for s in confirmed & self._held}):
                ctx.heartbeat(channel)

    def _taken_back(self, symbol: str, at: str, code: str, what: str, ctx: Context) -> None:
        detail = f"{symbol}: {what}; records that counted it are not changed"
        ctx.tell("trades", symbol, code=code, detail=detail, at_ns=self._times.ns(at))

    def _quote(self, q: m.QuoteMessage) -> Quote:
        raise NotImplementedError

    def _bar(self, b: m.BarMessage) -> Candle:
        # What a late trade changed comes again under the same start: as it was, it is a repeat.
        return Candle(
            symbol=b.S, ts=self._times.ns(b.t), length_ns=_MINUTE_NS, open=b.o, high=b.h, low=b.low,
            close=b.c, volume=b.v, id=f"{b.t} {b.o} {b.h} {b.low} {b.c} {b.v}",
        )  # fmt: skip


class StocksConnector(AlpacaConnector):
    """The connector `alpaca`."""

    has_pairs = False
    elsewhere = "{} is no share: the source type alpaca.crypto has pairs such as BTC/USD"

    def __init__(self, config: StocksConfig) -> None:
        super().__init__(config)
        self.feed = config.feed
        self.path = f"/{'v1beta1' if config.feed in _BETA else 'v2'}/{config.feed}"

    async def _also(self, ws: WebSocket, action: str, what: Sequence[Subscription]) -> None:
        """Ask for halts of what is heard, and for bars that late trades changed."""
        extras: dict[str, Any] = {"statuses": sorted({s.symbol for s in what})}
        bars = [s.symbol for s in what if s.channel == "bars"]
        if bars:
            extras["updatedBars"] = bars
        if action == "unsubscribe":
            heard = {s.symbol for s in self._held}
            extras["statuses"] = [s for s in extras["statuses"] if s not in heard]
        extras = {channel: symbols for channel, symbols in extras.items() if symbols}
        if extras:
            self._asked.append(())
            await ws.send_json({"action": action, **extras})

    def _is_quiet(self, ctx: Context) -> bool:
        return not is_us_session(ctx.clock.now_ns())

    def _quote(self, q: m.QuoteMessage) -> Quote:
        return Quote(
            symbol=q.S, ts=self._times.ns(q.t), bid=q.bp or None, ask=q.ap or None,
            bid_size=q.bs * _LOT if q.bp else None, ask_size=q.ask_size * _LOT if q.ap else None,
        )  # fmt: skip


class CryptoConnector(AlpacaConnector):
    """The connector `alpaca.crypto`."""

    feed = "crypto"
    path = "/v1beta3/crypto/us"
    has_pairs = True
    elsewhere = "{} is no pair: the source type alpaca has shares such as AAPL"

    def _quote(self, q: m.QuoteMessage) -> Quote:
        return Quote(
            symbol=q.S, ts=self._times.ns(q.t), bid=q.bp or None, ask=q.ap or None,
            bid_size=q.bs if q.bp else None, ask_size=q.ask_size if q.ap else None,
        )  # fmt: skip


def _by_channel(what: Sequence[Subscription]) -> dict[str, list[str]]:
    found = {channel: [s.symbol for s in what if s.channel == channel] for channel in _CHANNELS}
    return {channel: symbols for channel, symbols in found.items() if symbols}
