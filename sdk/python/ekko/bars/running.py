"""Run a stream manager once: hear its streams, and call back for what they bring."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from ekko.bars.calling import LOG, Callbacks
from ekko.bars.clock import Clock
from ekko.bars.inbox import Inbox, Ticks
from ekko.bars.market import Market
from ekko.bars.model import EventType, StreamEvent, Tick
from ekko.bars.specs import Spec

_AT_ONCE = 200
"""So many ticks are handed out before everything else gets a turn."""

Hear = Callable[[Spec, Market, Callable[[], None]], Awaitable[None]]
"""Hears a stream for a market until it ends; calls what it is handed once that is open."""


class Running:
    """One run, from `start` to `stop`, and what is known of it afterwards.

    Args:
        market: Takes in what is heard.
        inbox: Where it leaves what is to be told.
        callbacks: Who is told.
        hear: Hears a stream.
        health: Returns what health callbacks get.
        health_every_s: How often they are called.
    """

    def __init__(
        self, market: Market, inbox: Inbox, callbacks: Callbacks, *, hear: Hear,
        health: Callable[[], Any], health_every_s: float, clock: Clock,
    ) -> None:  # fmt: skip
        self.market = market
        self.inbox = inbox
        self._callbacks = callbacks
        self._hear = hear
        self._health = health
        self._health_every_s = health_every_s
        self._clock = clock
        self._owner: asyncio.Task[None] | None = None
        self._calling: asyncio.Task[None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._owner is not None

    async def start(self, specs: Sequence[Spec]) -> None:
        """Hear streams; returns when all are open. Raises what kept the first of them from it."""
        opened = [asyncio.get_running_loop().create_future() for _ in specs]
        self._owner = asyncio.create_task(self._run(specs, opened), name="ekko stream manager")
        try:
            await asyncio.gather(*opened)
        except BaseException:
            for each in opened:
                each.cancel()
            await self.stop()
            raise

    async def stop(self) -> None:
        """Hear no more, and call back no more. Does nothing when stopped."""
        owner, self._owner = self._owner, None
        if owner is None:
            return
        self.inbox.is_closed = True
        owner.cancel()
        if asyncio.current_task() is not self._calling:  # a callback may stop it
            await asyncio.wait([owner])

    async def _run(self, specs: Sequence[Spec], opened: Sequence[asyncio.Future[None]]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._calling = tasks.create_task(self._call_back(), name="ekko callbacks")
                tasks.create_task(self._look_after(), name="ekko health")
                for spec, each in zip(specs, opened, strict=True):
                    tasks.create_task(self._listen(spec, each), name="ekko hearing")
        except ExceptionGroup as error:
            LOG.exception("the stream manager was stopped by a bug")
            self.market.failures.append(f"a bug: {_cause(error)!r}")
            self._owner = None
            for each in opened:
                _done(each)

    async def _listen(self, spec: Spec, opened: asyncio.Future[None]) -> None:
        """Hear one stream; how it ends is told, and ends no other."""
        try:
            await self._hear(spec, self.market, partial(_done, opened))
            why = "the stream ended"
        except Exception as error:  # noqa: BLE001 - told, or raised by start
            cause = _cause(error)
            if not opened.done():
                opened.set_exception(cause)
                return
            why = f"{type(cause).__name__}: {cause}"
        _done(opened)
        symbols = spec["symbols"]
        more = f" and {len(symbols) - 3} more" if len(symbols) > 3 else ""
        why = f"{', '.join(symbols[:3])}{more}: {why}"
        LOG.error("nothing more is heard of %s", why)
        self.market.failures.append(why)
        self._tell_health()

    async def _look_after(self) -> None:
        while True:
            await self._clock.sleep(self._health_every_s)
            self._tell_health()

    def _tell_health(self) -> None:
        self.inbox.put(EventType.HEALTH, StreamEvent(EventType.HEALTH, self._health()))

    async def _call_back(self) -> None:
        """Hand out what waits, in order."""
        inbox, handed = self.inbox, 0
        while True:
            await inbox.stirred.wait()
            inbox.stirred.clear()
            while not inbox.is_closed and (item := inbox.take()) is not None:
                if isinstance(item, Ticks):
                    await self._call_ticks(item, inbox)
                    handed += len(item.trades)
                else:
                    await self._callbacks.call(item.type, item.argument, inbox)
                    handed += 1
                if handed >= _AT_ONCE:
                    handed = 0
                    await asyncio.sleep(0)

    async def _call_ticks(self, ticks: Ticks, inbox: Inbox) -> None:
        source, call = ticks.source, self._callbacks.call
        simulated = self.market.health.source(source).simulated
        for t in ticks.trades:
            if inbox.is_closed:
                return
            tick = Tick(
                t.symbol, t.price, t.size, t.side, t.ts, t.recv_ts, source, t.id, simulated,
                ticks.repaired,
            )  # fmt: skip
            await call(EventType.TICK, StreamEvent(EventType.TICK, tick), inbox)


def _done(opened: asyncio.Future[None]) -> None:
    if not opened.done():
        opened.set_result(None)


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
