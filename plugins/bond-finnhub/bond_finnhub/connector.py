"""Listen to trades at Finnhub: one connection for everybody.

Finnhub confirms nothing and names no symbol when it refuses one, so what is asked for is
remembered in its order: where there is room for 50, the last of 53 are the three refused.

Source: https://finnhub.io/docs/api/websocket-trades.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote

import msgspec

from bond_core.plugin import (
    Context,
    Fatal,
    Retryable,
    Subscription,
    Trade,
    WebSocket,
    WebSocketConnector,
    is_us_session,
)
from bond_finnhub.plugin import CHANNEL, HOST, FinnhubConfig

_TOO_MANY = "too many symbols"
_TAKEN_PAUSE_S = 30.0
_MS = 1_000_000


class Row(msgspec.Struct):
    """A trade: price, symbol, time in ms, volume. A volume of 0 is a price without a trade."""

    p: float
    s: str
    t: int
    v: float


class Message(msgspec.Struct):
    """Any message: `trade`, `ping` or `error`."""

    type: str
    data: list[msgspec.Raw] = []
    msg: str = ""


_message = msgspec.json.Decoder(Message)
_row = msgspec.json.Decoder(Row)


class FinnhubConnector(WebSocketConnector):
    """The connector `finnhub`."""

    channel = CHANNEL

    def __init__(self, config: FinnhubConfig) -> None:
        super().__init__(config)
        self._sent: list[str] = []
        self._refused: list[str] = []

    def url(self, ctx: Context) -> str:
        """See WebSocketConnector."""
        return f"{ctx.simulated_at or f'wss://{HOST}'}/?token={quote(self.config.key.reveal())}"

    @asynccontextmanager
    async def open(self, ctx: Context) -> AsyncIterator[WebSocket]:
        """See WebSocketConnector.

        Raises:
            Fatal: The key is wrong.
            Retryable: Another program has the key's connection, or Finnhub can't be reached.
        """
        self._sent, self._refused = [], []
        opening = super().open(ctx)
        try:
            ws = await opening.__aenter__()
        except (Fatal, Retryable) as error:
            raise _translated(error) from error
        try:
            yield ws
        finally:
            await opening.__aexit__(None, None, None)

    async def subscribe(self, ws: WebSocket, ctx: Context, added: Sequence[Subscription]) -> None:
        """See WebSocketConnector."""
        for subscription in added:
            await self._ask(ws, subscription.symbol)

    async def unsubscribe(
        self, ws: WebSocket, ctx: Context, removed: Sequence[Subscription]
    ) -> None:
        """See WebSocketConnector. What there was no room for is asked for again."""
        for subscription in removed:
            symbol = subscription.symbol
            if symbol in self._refused:
                self._refused.remove(symbol)
                continue
            self._sent.remove(symbol)
            await ws.send_json({"type": "unsubscribe", "symbol": symbol})
            if self._refused:
                await self._ask(ws, self._refused.pop(0))

    def parse(self, frame: str | bytes, ctx: Context) -> Iterator[Trade]:
        """See WebSocketConnector."""
        message = _message.decode(frame)
        if message.type == "trade":
            for raw in message.data:
                try:
                    row = _row.decode(raw)
                except msgspec.DecodeError:
                    ctx.reject("a trade has not the form it should")
                    continue
                if row.v == 0:
                    ctx.reject("a price without a trade")
                    continue
                yield Trade(symbol=row.s, ts=row.t * _MS, price=row.p, size=row.v)
        elif message.type == "ping":
            # It says that Finnhub lives, which is all there is to say while nothing is traded.
            if not is_us_session(ctx.clock.now_ns()):
                ctx.heartbeat(CHANNEL)
        elif message.type == "error":
            self._refuse(message.msg, ctx)

    async def _ask(self, ws: WebSocket, symbol: str) -> None:
        self._sent.append(symbol)
        await ws.send_json({"type": "subscribe", "symbol": symbol})

    def _refuse(self, said: str, ctx: Context) -> None:
        words = said.lower()
        if _TOO_MANY in words and self._sent:
            symbol = self._sent.pop()
            self._refused.append(symbol)
            why = (
                "the key's plan allows no more symbols at once (the free one about 50): ask for "
                f"fewer, or take another plan. Finnhub says: {said}"
            )
            ctx.failed(CHANNEL, symbol, why)
        elif "key" in words or "token" in words:
            raise _wrong_key(f"Finnhub says: {said}")
        else:
            ctx.reject(f"Finnhub says: {said[:200]}")


def _translated(error: Fatal | Retryable) -> Fatal | Retryable:
    """Return what an opening that was refused means."""
    if error.http_status in (401, 403):
        return _wrong_key(error.detail)
    if error.http_status == 429:
        return Retryable(
            "Finnhub allows a key one connection, and another program has it, or connected too "
            f"often: end it, or let it listen to this server. All streams here share one "
            f"({error.detail})",
            retry_after_s=_TAKEN_PAUSE_S,
        )
    return error


def _wrong_key(said: str) -> Fatal:
    return Fatal(
        f"Finnhub refuses the key in FINNHUB_API_KEY; finnhub.io/dashboard shows it: {said}",
        fix="export FINNHUB_API_KEY=…",
    )
