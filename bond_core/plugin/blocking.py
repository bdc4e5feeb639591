"""A connector around a vendor's library that blocks: its code runs in a thread of its own.

    class Acme(BlockingConnector):
        channel = "trades"
        client_factory = "acme_sdk:Client"

        def connect(self, client_factory, ctx):
            return client_factory(key=self.config.key.reveal())

        def listen(self, client, ctx):
            client.subscribe(ctx.symbols())
            for t in client:
                yield Trade(symbol=t.s, ts=t.ns, price=t.p, size=t.q)

`listen` is a plain generator. Where it is to end, it is told so between two events, and a
client that waits inside its library is closed, which is how such libraries are made to return.
When what is wanted changes, it is begun anew with a fresh client.
"""  # fmt: skip

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from itertools import groupby
from typing import Any

from bond_core.errors import Retryable
from bond_core.model.event import Event
from bond_core.plugin.context import Context, Subscription

BUFFERED = 4096
"""So many events may wait for the event loop; then the library is not read on."""

END_WITHIN_S = 0.8
"""How long a thread may take to end once its client is closed. Real seconds, as it blocks."""

Heard = Event | tuple[str, Event | None]
"""An event, or a channel and an event of it; None says that there is nothing new there."""


class Stopped(BaseException):
    """Raised in the thread of a connector that is to end; nothing for `except Exception`."""


class BlockingConnector(ABC):
    """A connector whose library blocks.

    Attributes:
        channel: The channel of what `listen` yields without one.
        client_factory: `package.module:attribute` that makes the library's client; imported
            in the thread. A test or a simulator may put another in its place.
    """

    channel: str | None = None
    client_factory: str

    def __init__(self, config: Any) -> None:
        self.config = config
        self._left_behind: threading.Thread | None = None

    @abstractmethod
    def listen(self, client: Any, ctx: BlockingContext) -> Iterable[Heard]:
        """Yield events as they come, for ever; in the thread.

        Wait with `ctx.pause` where the library doesn't. An answer with nothing new in it is
        yielded as `("channel", None)`: it proves that the source is alive.
        """

    def connect(self, client_factory: Any, ctx: BlockingContext) -> Any:
        """Return a client; in the thread."""
        return client_factory()

    def close(self, client: Any) -> None:
        """Make the client let go, also of who waits in it. Called from another thread."""
        client.close()

    async def run(self, ctx: Context) -> None:
        """Run `listen` in a thread, anew with each change of what is wanted."""
        if self._left_behind is not None and self._left_behind.is_alive():
            raise Retryable("the library still hangs where it was left")
        self._left_behind = None
        while True:
            wanted = await ctx.wanted.changed(frozenset())
            thread = _Thread(self, ctx, wanted)
            changed = asyncio.create_task(ctx.wanted.changed(wanted))
            try:
                first: set[asyncio.Future[Any]] = {thread.over, changed}
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if thread.over.done():
                    return thread.over.result()
            finally:
                changed.cancel()
                if not await thread.end():
                    self._left_behind = thread.thread
                    ctx.log.error("its library does not return when closed; left behind")
            if self._left_behind is not None:
                raise Retryable("the library does not return when its client is closed")


class BlockingContext:
    """What a blocking connector is handed: safe to use in its thread.

    Attributes:
        log: A logger that shows no secret.
        simulated_at: See Context.
    """

    def __init__(self, ctx: Context, wanted: frozenset[Subscription]) -> None:
        self.log: logging.Logger = ctx.log
        self.simulated_at = ctx.simulated_at
        self._ctx = ctx
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._is_over = threading.Event()
        self._waiting: Future[None] | None = None

    def channels(self) -> tuple[str, ...]:
        """Return the channels that are wanted, in order."""
        return tuple(sorted({each.channel for each in self._wanted}))

    def symbols(self, channel: str | None = None) -> tuple[str, ...]:
        """Return the symbols that are wanted, of one channel or of all, in order."""
        return tuple(sorted({s.symbol for s in self._wanted if channel in (None, s.channel)}))

    def cursor(self, channel: str, symbol: str) -> str | None:
        """See Context."""
        return self._ctx.cursor(channel, symbol)

    def now_ns(self) -> int:
        """Return the wall-clock time in ns."""
        return self._ctx.clock.now_ns()

    def pause(self, seconds: float) -> None:
        """Wait so many seconds of Bond's clock; ends at once where the connector is to end."""
        self.check()
        self._waiting = asyncio.run_coroutine_threadsafe(_sleep(self._ctx, seconds), self._loop)
        if self.is_over:
            self._waiting.cancel()
        with suppress(CancelledError):
            self._waiting.result()
        self.check()

    def failed(self, channel: str, symbol: str, reason: str) -> None:
        """See Context."""
        self._loop.call_soon_threadsafe(self._ctx.failed, channel, symbol, reason)

    def reject(self, why: str, *, n: int = 1) -> None:
        """See Context."""
        self._loop.call_soon_threadsafe(lambda: self._ctx.reject(why, n=n))

    def sdk(self, name: str) -> Any:
        """See Context."""
        return self._ctx.sdk(name)

    @property
    def is_over(self) -> bool:
        """Whether the connector is to end, or has."""
        return self._is_over.is_set()

    def check(self) -> None:
        """Return, unless the connector is to end."""
        if self.is_over:
            raise Stopped

    def end(self) -> None:
        """Have the connector end; by whoever runs it."""
        self._is_over.set()
        if self._waiting is not None:
            self._waiting.cancel()


async def _sleep(ctx: Context, seconds: float) -> None:
    await ctx.clock.sleep(seconds)


class _Thread:
    """One run of `listen`, and the way of its events to the event loop.

    Attributes:
        over: Done when the thread has ended, with the error that ended it.
    """

    def __init__(
        self, connector: BlockingConnector, ctx: Context, wanted: frozenset[Subscription]
    ) -> None:
        self._connector = connector
        self._ctx = ctx
        self._wanted = wanted
        self._inner = BlockingContext(ctx, wanted)
        self._loop = asyncio.get_running_loop()
        self._heard: list[tuple[str, Event | None]] = []
        self._is_told = False  # that there is something to take
        self._hearing = threading.Lock()
        self._has_room = threading.Event()
        self._is_live = False
        self._client: Any = None
        self._closing = threading.Lock()
        self.over: asyncio.Future[None] = self._loop.create_future()
        name = f"listen {type(connector).__name__}"
        # A daemon: what hangs in a library must not keep the process from ending.
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    async def end(self) -> bool:
        """Make the thread end; whether it did."""
        self._inner.end()
        self._has_room.set()
        if not self.over.done():
            closing = threading.Thread(target=self._close, name="close a client", daemon=True)
            closing.start()  # it may hang as well
            await asyncio.wait({self.over}, timeout=END_WITHIN_S)
        if self.over.done():
            self.over.exception()  # seen
        return self.over.done()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._listen()
        except Exception as raised:  # noqa: BLE001 -- handed to who awaits it
            error = raised
        except Stopped:
            pass
        except BaseException as raised:  # noqa: BLE001 -- sys.exit in a library, say
            error = RuntimeError(f"it raised {type(raised).__name__}: {raised}")
        finally:
            self._close()
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._finish, error)

    def _listen(self) -> None:
        inner, connector = self._inner, self._connector
        factory = inner.sdk(connector.client_factory)
        inner.check()
        self._client = connector.connect(factory, inner)
        inner.check()
        events = connector.listen(self._client, inner)
        try:
            for each in events:
                self._put(self._with_channel(each))
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()

    def _put(self, heard: tuple[str, Event | None]) -> None:
        self._inner.check()
        if len(self._heard) >= BUFFERED:
            self._has_room.clear()
            if len(self._heard) >= BUFFERED:
                self._has_room.wait()
            self._inner.check()
        with self._hearing:
            self._heard.append(heard)
            is_told, self._is_told = self._is_told, True
        if not is_told:  # what comes before the loop takes it goes along
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        """Hand on what was heard; in the event loop."""
        if self._inner.is_over:
            return
        with self._hearing:
            heard, self._heard, self._is_told = self._heard, [], False
        self._has_room.set()
        if heard and not self._is_live:
            self._is_live = True
            for each in sorted(self._wanted):
                self._ctx.live(each.channel, each.symbol)
        for (channel, is_event), run in groupby(heard, lambda h: (h[0], h[1] is not None)):
            if is_event:
                self._ctx.emit(channel, [event for _, event in run if event is not None])
            else:
                self._ctx.heartbeat(channel)

    def _with_channel(self, heard: Heard) -> tuple[str, Event | None]:
        if isinstance(heard, tuple):
            return heard
        if self._connector.channel is None:
            raise AttributeError(
                f"{type(self._connector).__name__}.listen yields events without a channel: set "
                '`channel` on the class, or yield ("trades", event)'
            )
        return self._connector.channel, heard

    def _finish(self, error: BaseException | None) -> None:
        self._take()
        if self.over.done():
            return
        # What a library raises because its client was closed is no news.
        if error is None or self._inner.is_over:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)

    def _close(self) -> None:
        with self._closing:
            client, self._client = self._client, None
        if client is None:
            return
        try:
            self._connector.close(client)
        except Exception:
            self._inner.log.debug("closing its client failed", exc_info=True)
