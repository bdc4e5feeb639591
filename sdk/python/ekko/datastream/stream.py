"""Stream prices by symbol: `DataStream`, with an iterator, with callbacks, for many at once."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, Self

from ekko.client import EkkoClient
from ekko.datastream.asking import Asked, asked_for, check
from ekko.datastream.hosts import Host, LocalHost, RemoteHost
from ekko.datastream.message import StreamMessage
from ekko.datastream.messages import Messages
from ekko.datastream.reading import Reader

Callback = Callable[[StreamMessage], object]
"""Is called with each message; where it returns something to await, that is awaited."""

_Deliver = Callable[[StreamMessage], Awaitable[None]]

log = logging.getLogger("ekko")


class DataStream:
    """Live prices, trades, candles and order books, by symbol.

        async for tick in DataStream().stream("BTCUSDT"):
            print(tick.price)

    Streams run in this process; with `api_url` or EKKO_API_URL, on a Bond server. Dropped
    connections are made again. What was lost is told in the next message's `notices`, how the
    sources do in the log `ekko`, and when nothing will come any more, by an error.

    Args:
        api_url: Where a Bond server is; None, or `"local"`, is this process.
        api_key: The server's API key; else EKKO_API_KEY.
        simulate: Stream made-up markets; each message says so. BOND_SIMULATE=1 does the same.
        **credentials: Settings of sources by `<source>_<setting>`: `alpaca_key`,
            `alpaca_secret`, `polygon_key`, `finnhub_key`, `ibkr_host`. They win over the
            environment, and nobody else sees them. None is as if not given.
    """

    def __init__(
        self,
        api_url: str | None = None,
        *,
        api_key: str | None = None,
        simulate: bool = False,
        **credentials: object,
    ) -> None:
        given = {name: value for name, value in credentials.items() if value is not None}
        url = api_url or os.environ.get("EKKO_API_URL") or "local"
        self._simulate = simulate
        self._running: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._host: Host
        if url == "local":
            self._host = LocalHost(given)
            return
        self._host = RemoteHost(EkkoClient(url, api_key=api_key))
        if given:
            names = ", ".join(given)
            log.warning("%s: not used and not sent, the server at api_url has its own", names)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect_streams()

    def stream(
        self,
        symbol: str,
        stream_type: str = "ticker",
        interval: str | None = None,
        provider: str | None = None,
    ) -> Messages:
        """Return an async iterator over a symbol's messages, which ends with `disconnect_streams`.

        Args:
            symbol: `BTCUSDT`, `BTC-USD`, `BTC/USDT`, `AAPL`.
            stream_type: `ticker` (each priced trade, with the best bid and ask), `trade` (each
                trade), `kline` (candles) or `depth` (ten levels of the order book).
            interval: The length of candles, `1m` to `1d`; else `1m`.
            provider: A venue (`kraken`) or source (`alpaca`); None takes binance, with okx and
                bybit behind it, for markets, and for shares the first whose key is there.

        Raises:
            ValueError: Here or at the first step: an argument makes no sense.
            StreamError: At a step: every source has failed.
            Exception: At the first step, as `listen` raises: it can't be had.
        """
        check(stream_type, interval)

        def begin(put: _Deliver) -> asyncio.Task[None]:
            return self._task([symbol], stream_type, interval, provider, put)

        return Messages(begin)

    def subscribe(
        self,
        symbol: str,
        callback: Callback,
        stream_type: str = "ticker",
        interval: str | None = None,
        provider: str | None = None,
    ) -> asyncio.Task[None]:
        """Call back with each of a symbol's messages; return the task that does: cancel it to end.

        Arguments and errors are those of `stream`, raised by awaiting the task and logged. What
        a callback raises is logged, and ends nothing.
        """
        check(stream_type, interval)
        deliver = _calling(callback)
        return self._task([symbol], stream_type, interval, provider, deliver, is_alone=True)

    async def stream_many(
        self,
        symbols: Iterable[str],
        callback: Callback,
        stream_type: str = "ticker",
        interval: str | None = None,
        provider: str | None = None,
    ) -> None:
        """Call back with each message of many symbols, until cancelled or `disconnect_streams`.

        Arguments and errors are those of `stream`. A symbol that fails is logged, and the others
        go on; when all have failed, that is raised.
        """
        check(stream_type, interval)
        names = [symbols] if isinstance(symbols, str) else list(symbols)
        task = self._task(names, stream_type, interval, provider, _calling(callback))
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def disconnect_streams(self) -> None:
        """End all streams: loops end, tasks are cancelled. New ones may be begun afterwards.

        A callback may call it, and is cancelled with the rest.
        """
        here = asyncio.get_running_loop()
        ending = self._ending
        if ending is None or ending.done() or ending.get_loop() is not here:
            ending = self._ending = here.create_task(self._disconnect(), name="ekko ending")
        await asyncio.shield(ending)

    async def _disconnect(self) -> None:
        here = asyncio.get_running_loop()
        while mine := {task for task in self._running if task.get_loop() is here}:
            for task in mine:
                task.cancel()
            await asyncio.wait(mine)
        self._running.clear()  # what is left was another loop's, which is over
        await self._host.close()

    def _task(
        self,
        symbols: list[str],
        stream_type: str,
        interval: str | None,
        provider: str | None,
        deliver: _Deliver,
        *,
        is_alone: bool = False,
    ) -> asyncio.Task[None]:
        running = self._run(symbols, stream_type, interval, provider, deliver)
        name = f"ekko {stream_type} of {', '.join(map(str, symbols[:3]))}"
        task = asyncio.create_task(running, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if is_alone:
            task.add_done_callback(_tell_end)
        return task

    async def _run(
        self,
        symbols: list[str],
        stream_type: str,
        interval: str | None,
        provider: str | None,
        deliver: _Deliver,
    ) -> None:
        sources = await self._host.sources()
        all_asked = asked_for(symbols, stream_type, interval, provider, sources)
        if len(all_asked) == 1:
            return await self._read(all_asked[0], deliver)
        failures: list[Exception] = []

        async def read(asked: Asked) -> None:
            try:
                await self._read(asked, deliver)
            except Exception as error:
                log.exception("%s: no more messages", ", ".join(asked.symbols))
                failures.append(error)

        async with asyncio.TaskGroup() as tasks:
            for asked in all_asked:
                tasks.create_task(read(asked))
        raise ExceptionGroup("no stream is left", failures)

    async def _read(self, asked: Asked, deliver: _Deliver) -> None:
        spec: dict[str, Any] = dict(asked.spec)
        if self._simulate:
            spec["simulate"] = True
        reader = Reader(asked)
        async with aclosing(self._host.items(spec)) as items:
            async for item in items:
                for message in reader.read(item):
                    await deliver(message)


def _calling(callback: Callback) -> _Deliver:
    """Return what calls back, and logs what that raises: in full at first, then ever more seldom.

    Raises:
        TypeError: It can't be called.
    """
    if not callable(callback):
        raise TypeError(f"a callback is called with each message; {callback!r} can't be")
    name = getattr(callback, "__qualname__", type(callback).__name__)
    failed = 0

    async def deliver(message: StreamMessage) -> None:
        nonlocal failed
        try:
            returned = callback(message)
            if inspect.isawaitable(returned):
                await returned
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled(error):
                raise
            failed += 1
            if failed == 1:
                log.exception("callback %s failed at a message of %s", name, message.symbol)
            elif failed & (failed - 1) == 0:  # 2, 4, 8, …
                log.error("callback %s failed %d times: %s", name, failed, error)  # noqa: TRY400

    return deliver


def _is_cancelled(error: BaseException) -> bool:
    """Whether it is this task that is cancelled, and not something that a callback awaited."""
    task = asyncio.current_task()
    is_ours = task is not None and task.cancelling() > 0
    return is_ours and isinstance(error, asyncio.CancelledError)


def _tell_end(task: asyncio.Task[None]) -> None:
    """Log why a subscription ended by itself: its task may never be awaited."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended: %s", task.get_name(), error)
