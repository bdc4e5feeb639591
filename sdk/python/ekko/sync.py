"""Listen from a script that knows no asyncio: the stream runs in a thread with its own loop."""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import attrs

from ekko.errors import RunningLoopError
from ekko.event import Event
from ekko.iterator import Events
from ekko.listening import listen

_AHEAD = 64  # records that may wait for the caller; then the stream is read no further
_STOP_S = 5.0


def listen_sync(
    text_or_spec: str | Mapping[str, Any],
    *,
    api_url: str | None = None,
    api_key: str | None = None,
    local: bool = False,
    **options: Any,
) -> Generator[Event, None, None]:
    """Yield what `listen` yields, in a plain `for` loop. Arguments and errors are the same.

    Leaving the loop, closing the generator or Ctrl-C ends the connection and the thread.

    Raises:
        RunningLoopError: An event loop runs here already, which this would block.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RunningLoopError
    return _in_thread(
        lambda: listen(text_or_spec, api_url=api_url, api_key=api_key, local=local, **options)
    )


def _in_thread(source: Callable[[], Events]) -> Generator[Event, None, None]:
    worker = _Worker(source)
    try:
        worker.start()
        while not isinstance(item := worker.items.get(), _Ended):
            worker.took_one()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        worker.stop()


@attrs.frozen
class _Ended:
    """The last thing handed over: there are no more records."""

    error: BaseException | None = None


class _Worker:
    """The thread. One task in it owns the stream, from its creation to its end."""

    def __init__(self, source: Callable[[], Events]) -> None:
        self.items: queue.SimpleQueue[Event | _Ended] = queue.SimpleQueue()
        self._source = source
        self._started = threading.Event()
        # A daemon, because a script may end without having left its loop; stop() still runs then.
        self._thread = threading.Thread(target=self._run, name="ekko listen_sync", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._room = asyncio.Semaphore(_AHEAD)

    def start(self) -> None:
        self._thread.start()
        atexit.register(self.stop)

    def took_one(self) -> None:
        """Let the stream go on: there is room for one record more."""
        self._tell(self._room.release)

    def stop(self) -> None:
        """End the stream and the thread; returns when it has ended."""
        atexit.unregister(self.stop)
        if self._thread.ident is None:
            return
        self._started.wait(_STOP_S)
        if self._task is not None:
            self._tell(self._task.cancel)
        # The garbage collector may run this in the thread itself, which can't wait for its end.
        if threading.current_thread() is not self._thread:
            self._thread.join(_STOP_S)

    def _tell(self, do: Callable[[], Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            if self._loop is not None:
                self._loop.call_soon_threadsafe(do)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._pump())
        except asyncio.CancelledError:
            pass  # stop() asked for it
        except BaseException as raised:  # noqa: BLE001 - whatever it is, the caller gets it
            error = raised
        finally:
            self._started.set()
            self.items.put(_Ended(error))

    async def _pump(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._started.set()
        async with aclosing(self._source()) as events:
            async for event in events:
                await self._room.acquire()
                self.items.put(event)
