"""Events one after another, to be left at any moment: what `listen` and `subscribe` return."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import ParamSpec, Self

from ekko.event import Event

P = ParamSpec("P")


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

    def __del__(self) -> None:
        if self._is_open:
            with suppress(RuntimeError):  # no loop runs here; Python closes the generator itself
                loop = asyncio.get_running_loop()
                loop.create_task(_close(self._source), name="ekko leaving")  # noqa: RUF006


async def _close(source: AsyncGenerator[Event, None]) -> None:
    await source.aclose()


def as_events(function: Callable[P, AsyncGenerator[Event, None]]) -> Callable[P, Events]:
    """Make an async generator function return `Events`."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Events:
        return Events(function(*args, **kwargs))

    return call
