"""Messages one after another, to be left at any moment: what `DataStream.stream` returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

from ekko.datastream.message import StreamMessage

AHEAD = 64
"""So many messages may wait for the loop; then the stream is read no further."""

_Put = Callable[[StreamMessage], Awaitable[None]]


class Messages(AsyncIterator[StreamMessage]):
    """Hands on what a task of its own reads, which ends when this is left or forgotten.

    The task begins with the first step.

    Args:
        begin: Starts the task; it awaits what it is given with each message.
    """

    def __init__(self, begin: Callable[[_Put], asyncio.Task[None]]) -> None:
        self._begin = begin
        self._waiting: asyncio.Queue[StreamMessage | None] = asyncio.Queue(AHEAD)
        self._task: asyncio.Task[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamMessage:
        if self._task is None:
            waiting = self._waiting
            self._task = self._begin(waiting.put)
            self._task.add_done_callback(lambda _: _wake(waiting))
        if self._task.done() and self._task.cancelled():
            raise StopAsyncIteration  # it was ended: what still waits isn't wanted
        if not (self._waiting.empty() and self._task.done()):
            message = await self._waiting.get()
            if message is not None:
                return message
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End it; returns when everything has ended. Closing again does nothing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def __del__(self) -> None:
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.cancel()


def _wake(waiting: asyncio.Queue[StreamMessage | None]) -> None:
    """Have a loop that waits see that the task is over; one that doesn't will see it."""
    if waiting.empty():
        waiting.put_nowait(None)
