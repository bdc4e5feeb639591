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

    For a similar reason there is one generator and none around it: a loop that ends closes all
    generators at once, and an inner one would be closed by two.

    Args:
        source: What yields the events.
        seconds: End after so many seconds, counted from the first step; None for never.
        limit: End after so many events; None for never.
    """

    def __init__(
        self,
        source: AsyncGenerator[Event, None],
        *,
        seconds: float | None = None,
        limit: int | None = None,
    ) -> None:
        self._source = source
        self._is_open = False
        self._seconds = seconds
        self._ends_at_s: float | None = None
        self._left = limit

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        self._is_open = True
        try:
            if self._seconds is None and self._left is None:
                return await anext(self._source)
            return await self._one_of_few()
        except BaseException:
            self._is_open = False  # whatever it was, a generator ends with it
            raise

    async def _one_of_few(self) -> Event:
        if self._left == 0:
            await self._source.aclose()
            raise StopAsyncIteration
        if self._seconds is not None and self._ends_at_s is None:
            self._ends_at_s = asyncio.get_running_loop().time() + self._seconds
        scope = asyncio.timeout_at(self._ends_at_s)
        try:
            async with scope:
                event = await anext(self._source)
        except TimeoutError:
            if scope.expired():
                raise StopAsyncIteration from None
            raise
        if self._left is not None:
            self._left -= 1
        return event

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
