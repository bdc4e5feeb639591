"""A connector over a WebSocket, of which an author writes three things: where, what, how to read.

    class Acme(WebSocketConnector):
        channel = "trades"

        def url(self, ctx):
            return "wss://stream.acme.example/v1"

        async def subscribe(self, ws, ctx, added):
            await ws.send_json({"subscribe": [s.symbol for s in added]})

        def parse(self, frame, ctx):
            m = json.loads(frame)
            if m["type"] == "trade":
                yield Trade(symbol=m["s"], ts=m["t"] * 1_000_000, price=m["p"], size=m["q"])

Connecting, subscribing anew, pauses, liveness and cancellation are not among them.
"""  # fmt: skip

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from bond_core.errors import Retryable
from bond_core.model.event import Event
from bond_core.plugin.context import Context, Subscription, WebSocket
from bond_core.plugin.unreadable import MAX_UNREADABLE, UNREADABLE

_AT_ONCE = 128
"""So many frames are read before everything else gets a turn: what they held is handed on."""

Heard = Event | tuple[str, Event]
"""An event, or a channel and an event of it."""


class WebSocketConnector(ABC):
    """A connector that keeps one WebSocket open and follows what is wanted on it.

    Attributes:
        channel: The channel of what `parse` yields without one.
        confirms: Whether the source says which subscriptions it has taken, and `parse` calls
            `ctx.live(channel, symbol)` then. Otherwise the first frame after subscribing
            counts as its word.
        keepalive_every_s: Seconds between two calls of `keepalive`; None for sources that
            make do with the WebSocket's own pings, which are sent in any case.
    """

    channel: str | None = None
    confirms: bool = False
    keepalive_every_s: float | None = None

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def url(self, ctx: Context) -> str:
        """Return where to connect; from `ctx.simulated_at` where that is set."""

    @abstractmethod
    async def subscribe(self, ws: WebSocket, ctx: Context, added: Sequence[Subscription]) -> None:
        """Ask for what is wanted from now on; on a fresh connection that is everything.

        `ctx.cursor(channel, symbol)` is where to go on after, if the source can.
        """

    @abstractmethod
    def parse(self, frame: str | bytes, ctx: Context) -> Iterable[Heard] | None:
        """Return or yield the events of a frame; none for one that isn't about events.

        ValueError, TypeError, KeyError and the like say that it can't be read: it is counted
        as rejected, and the next one is read. What is told is the error's class, as its text
        may hold what the source said; or its attribute `why`, if it has one.
        """

    async def unsubscribe(  # noqa: B027 -- may be left out
        self, ws: WebSocket, ctx: Context, removed: Sequence[Subscription]
    ) -> None:
        """Ask no longer for these. Without it they keep coming, and are dropped."""

    def why_silent(self, channel: str) -> str | None:
        """Return what is heard in place of a channel's events, for the reason of a stale feed."""
        return None

    async def keepalive(self, ws: WebSocket, ctx: Context) -> None:  # noqa: B027 -- as above
        """Send what the source wants to hear now and then."""

    def open(self, ctx: Context) -> AbstractAsyncContextManager[WebSocket]:
        """Return the connection to be opened; for sources that want headers or a subprotocol."""
        return ctx.ws(self.url(ctx))

    async def run(self, ctx: Context) -> None:
        """Connect, follow what is wanted, and read, until that fails or is cancelled."""
        await ctx.wanted.changed(frozenset())
        async with self.open(ctx) as ws, asyncio.TaskGroup() as tasks:
            unconfirmed: set[Subscription] = set()
            tasks.create_task(self._follow(ws, ctx, unconfirmed))
            if self.keepalive_every_s is not None:
                tasks.create_task(self._keep_alive(ws, ctx, self.keepalive_every_s))
            await self._read(ws, ctx, unconfirmed)

    async def _follow(self, ws: WebSocket, ctx: Context, unconfirmed: set[Subscription]) -> None:
        held: frozenset[Subscription] = frozenset()
        while True:
            wanted = await ctx.wanted.changed(held)
            added, removed = sorted(wanted - held), sorted(held - wanted)
            held = wanted
            if removed:
                unconfirmed.difference_update(removed)
                await self.unsubscribe(ws, ctx, removed)
            if added:
                await self.subscribe(ws, ctx, added)
                unconfirmed.update(added)

    async def _keep_alive(self, ws: WebSocket, ctx: Context, every_s: float) -> None:
        while True:
            await ctx.clock.sleep(every_s)
            await self.keepalive(ws, ctx)

    async def _read(self, ws: WebSocket, ctx: Context, unconfirmed: set[Subscription]) -> None:
        unreadable = in_a_row = 0
        async for frame in ws:  # what has come is had without a pause, hundreds of frames
            in_a_row += 1
            if in_a_row == _AT_ONCE:
                in_a_row = 0
                await asyncio.sleep(0)
            fault = self._take(frame, ctx, unconfirmed)
            if fault is None:
                unreadable = 0
                continue
            unreadable += 1
            what = getattr(fault, "why", type(fault).__name__)
            ctx.reject(f"a message could not be read ({what})")
            if unreadable == MAX_UNREADABLE:
                raise Retryable(f"{unreadable} messages in a row could not be read, last: {what}")

    def _take(
        self, frame: str | bytes, ctx: Context, unconfirmed: set[Subscription]
    ) -> Exception | None:
        """Emit what a frame holds; return why it could not be read, if so."""
        fault: Exception | None = None
        heard: list[Heard] = []
        try:
            for each in self.parse(frame, ctx) or ():
                heard.append(each)  # noqa: PERF402 -- what it yields before it fails is good
        except UNREADABLE as error:
            fault = error
        if fault is None and unconfirmed and not self.confirms:
            for subscription in sorted(unconfirmed):
                ctx.live(subscription.channel, subscription.symbol)
            unconfirmed.clear()
        run: list[Event] = []
        its: str | None = None
        for each in heard:
            channel, event = each if isinstance(each, tuple) else (self.channel, each)
            if channel is None:
                raise AttributeError(
                    f"{type(self).__name__}.parse yields events without a channel: set `channel` "
                    'on the class, or yield ("trades", event)'
                )
            if channel != its and run:
                ctx.emit(str(its), run)
                run = []
            its = channel
            run.append(event)
        if run:
            ctx.emit(str(its), run)
        return fault
