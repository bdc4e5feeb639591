"""Events one after another, to be left at any moment: what `listen` and `subscribe` return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Self

from ekko.event import Event
from ekko.records import Records


class Events(AsyncIterator[Event]):
    """Hands on what an async generator yields, and closes that when it is dropped.

    A generator that is dropped by a `break` closes in a task of the event loop's making. Where
    the program ends right there, `asyncio.run` cancels that task before its first step, and
    CPython 3.11 then complains that the generator "is already running". The task made here
    has begun by then, and is cancelled like any other.
    """

    def __init__(self, source: AsyncGenerator[Event, None]) -> None:
        self._source = source
        self._is_open = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        self._is_open = True
        try:
            return await anext(self._source)
        except BaseException:
            self._is_open = False  # whatever it was, a generator ends with it
            raise

    async def aclose(self) -> None:
        """End the connection; returns when everything has ended. Closing again does nothing."""
        self._is_open = False
        await self._source.aclose()

    async def collect(self) -> Records:
        """Return all events as a table, when there are no more: give `seconds=` or `limit=`."""
        records = Records()
        async with aclosing(self):
            async for event in self:
                records.append(event)
        return records

    def __del__(self) -> None:
        if self._is_open:
            with suppress(RuntimeError):  # no loop runs here; Python closes the generator itself
                loop = asyncio.get_running_loop()
                loop.create_task(_close(self._source), name="ekko leaving")  # noqa: RUF006


async def _close(source: AsyncGenerator[Event, None]) -> None:
    await source.aclose()


def bounded(
    source: AsyncGenerator[Event, None], *, seconds: float | None, limit: int | None
) -> AsyncGenerator[Event, None]:
    """Return a generator that ends after so many seconds or events, whichever comes first.

    Seconds count from its first step, so the wait for the first event is among them.
    """
    if seconds is None and limit is None:
        return source
    return _bounded(source, seconds, limit)


async def _bounded(
    source: AsyncGenerator[Event, None], seconds: float | None, limit: int | None
) -> AsyncGenerator[Event, None]:
    loop = asyncio.get_running_loop()
    ends_at = None if seconds is None else loop.time() + seconds
    left = limit
    async with aclosing(source):
        while left is None or left > 0:
            # A scope around a yield would cancel the caller's own work: one for each step.
            scope = asyncio.timeout_at(ends_at)
            try:
                async with scope:
                    event = await anext(source)
            except TimeoutError:
                if scope.expired():
                    return
                raise
            except StopAsyncIteration:
                return
            yield event
            left = None if left is None else left - 1
