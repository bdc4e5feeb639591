"""asyncio's Queue and Event for one waiter, without their deques: 0.7 KB each, five a client."""

from __future__ import annotations

import asyncio
from typing import Any


class Gate:
    """An Event."""

    __slots__ = ("_is_open", "_waiting")

    def __init__(self, *, is_open: bool) -> None:
        self._is_open = is_open
        self._waiting: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Whether nobody would wait."""
        return self._is_open

    def set(self) -> None:
        """Let all through."""
        self._is_open = True
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def clear(self) -> None:
        """Let nobody through from now on."""
        self._is_open = False

    async def wait(self) -> bool:
        """Return once it is set."""
        if not self._is_open:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                if future in self._waiting:
                    self._waiting.remove(future)
        return True


class Inbox:
    """A Queue of which one task takes."""

    __slots__ = ("_filled", "_items")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._filled = Gate(is_open=False)

    def empty(self) -> bool:
        """Whether `get` would wait."""
        return not self._items

    def put_nowait(self, item: Any) -> None:
        """Put something in."""
        self._items.append(item)
        self._filled.set()

    async def get(self) -> Any:
        """Take the oldest, waiting for it."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self._items.pop(0)
