"""Use the SDK without asyncio: `listen_sync` and `EkkoClientSync`, over a thread with a loop."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs

from ekko.client import EkkoClient, Moment, Slow
from ekko.errors import RunningLoopError
from ekko.event import Event, Frozen, Stream, Token
from ekko.iterator import Events
from ekko.listening import listen
from ekko.records import Records
from ekko.thread import LoopThread

T = TypeVar("T")

_AHEAD = 64  # records that may wait for the caller; then the stream is read no further


@attrs.frozen
class _Ended:
    """The last thing handed over: there are no more events."""

    error: Exception | None = None


class EventsSync(Iterator[Event]):
    """Events one after another, to be left at any moment: what `listen_sync` returns.

    The first one starts the connection and its thread. Leaving the loop, `close()` or Ctrl-C
    ends both.
    """

    def __init__(self, source: Callable[[], Events]) -> None:
        self._source = source
        self._items: queue.SimpleQueue[Event | _Ended] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._thread: LoopThread | None = None
        self._is_over = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        if self._is_over:
            raise StopIteration
        try:
            if self._thread is None:
                self._thread = LoopThread("ekko listen_sync")
                self._thread.begin(_pump(self._source, self._items, self._room))
            item = self._items.get()
            self._thread.soon(self._room.release)
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if isinstance(item, _Ended):
            self.close()
            raise item.error or StopIteration
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; returns when everything has ended. Closing again does nothing."""
        self._is_over = True
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def collect(self) -> Records:
        """Return all events as a table, when there are no more: give `seconds=` or `limit=`."""
        with self:
            return Records(self)


async def _pump(
    source: Callable[[], Events],
    items: queue.SimpleQueue[Event | _Ended],
    room: asyncio.Semaphore,
) -> None:
    """Hand every event over, and at last how it ended.

    Knows nothing of the `EventsSync`, which therefore ends when its last user forgets it.
    """
    ended = _Ended()
    try:
        async with aclosing(source()) as events:
            async for event in events:
                await room.acquire()
                items.put(event)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
        ended = _Ended(error)
    finally:
        items.put(ended)


def listen_sync(
    text_or_spec: str | Mapping[str, Any] | None = None,
    *,
    api_url: str | None = None,
    api_key: str | None = None,
    local: bool = False,
    **options: Any,
) -> EventsSync:
    """Return what `listen` yields, for a plain `for` loop. Arguments and errors are the same.

    Leaving the loop, `close()` or Ctrl-C ends the connection and the thread.

    Raises:
        RunningLoopError: An event loop runs here already, which this would block for good. With
            `seconds=` or `limit=` it may: a notebook has a loop, too.
    """
    _must_not_block(options)
    return EventsSync(
        lambda: listen(text_or_spec, api_url=api_url, api_key=api_key, local=local, **options)
    )


class EkkoClientSync:
    """`EkkoClient` without asyncio: the same calls, arguments and errors.

    Inside `with`, connections are kept and used again; outside, each call opens its own.

    Args:
        api_url: See EkkoClient.
        ws_url: See EkkoClient.
        api_key: See EkkoClient.
        options: `retries`, `policy` and `dial`, as for EkkoClient.
    """

    def __init__(
        self,
        api_url: str | None = None,
        ws_url: str | None = None,
        api_key: str | None = None,
        **options: Any,
    ) -> None:
        # A kept connection belongs to one loop, and each subscription has a loop of its own.
        self._caller = EkkoClient(api_url, ws_url, api_key, **options)
        self._listener = self._caller.twin()
        self._thread: LoopThread | None = None

    def __repr__(self) -> str:
        return f"EkkoClientSync({self.api_url!r})"

    @property
    def api_url(self) -> str:
        """Where the server is, without credentials."""
        return self._caller.api_url

    def __enter__(self) -> Self:
        if self._thread is None:
            self._thread = LoopThread("ekko client")
            self._call(self._caller.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept; the client stays usable."""
        if self._thread is not None:
            self._call(self._caller.close)
            self._thread.stop()
            self._thread = None

    def health(self) -> Frozen:
        """See EkkoClient."""
        return self._call(self._caller.health)

    def explain(self, text_or_spec: str | Mapping[str, Any]) -> Frozen:
        """See EkkoClient."""
        return self._call(lambda: self._caller.explain(text_or_spec))

    def create_stream(self, text_or_spec: str | Mapping[str, Any], **options: Any) -> Stream:
        """See EkkoClient."""
        return self._call(lambda: self._caller.create_stream(text_or_spec, **options))

    def list_streams(self) -> list[Stream]:
        """See EkkoClient."""
        return self._call(self._caller.list_streams)

    def delete_stream(self, stream_id: str) -> None:
        """See EkkoClient."""
        self._call(lambda: self._caller.delete_stream(stream_id))

    def refresh_token(
        self, stream_id: str, *, persistent: bool = False, label: str | None = None
    ) -> Token:
        """See EkkoClient."""
        return self._call(
            lambda: self._caller.refresh_token(stream_id, persistent=persistent, label=label)
        )

    def metrics(self, stream_id: str) -> Frozen:
        """See EkkoClient."""
        return self._call(lambda: self._caller.metrics(stream_id))

    def subscribe(
        self,
        stream_id: str,
        token: str | None = None,
        *,
        after: str | None = None,
        from_: Moment | None = None,
        slow: Slow | None = None,
        **bounds: Any,
    ) -> EventsSync:
        """See EkkoClient. Raises RunningLoopError, too: see `listen_sync`."""
        _must_not_block(bounds)
        return EventsSync(
            lambda: self._listener.subscribe(
                stream_id, token, after=after, from_=from_, slow=slow, **bounds
            )
        )

    def listen(self, text_or_spec: str | Mapping[str, Any], **options: Any) -> EventsSync:
        """See EkkoClient. Raises RunningLoopError, too: see `listen_sync`."""
        _must_not_block(options)
        return EventsSync(lambda: self._listener.listen(text_or_spec, **options))

    def _call(self, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._thread is not None:
            return self._thread.result(start())
        thread = LoopThread("ekko call")
        try:
            return thread.result(start())
        finally:
            thread.stop()


def _must_not_block(bounds: Mapping[str, Any]) -> None:
    if bounds.get("seconds") is not None or bounds.get("limit") is not None:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RunningLoopError
