"""Hand recorded messages to whoever reads them, one by one, and know when all are read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import attrs

from bond_core.errors import Retryable

T = TypeVar("T")


@attrs.define(eq=False)
class Mail(Generic[T]):
    """Messages on their way to whoever takes them, one by one.

    Attributes:
        is_closed: Whether no more will come.
        is_held: Whether somebody takes them.
        is_awaited: Whether all are read, and the next is waited for.
    """

    waiting: deque[T] = attrs.field(factory=deque)
    is_closed: bool = False
    is_held: bool = False
    is_awaited: bool = False
    _stirred: asyncio.Event = attrs.field(factory=asyncio.Event)

    def put(self, message: T) -> None:
        """Have a message taken."""
        self.waiting.append(message)
        self.is_awaited = False
        self._stirred.set()

    def close(self) -> None:
        """Say that no more will come."""
        self.is_closed = True
        self.is_awaited = False
        self._stirred.set()

    async def take(self) -> T:
        """Return the next message.

        Raises:
            Retryable: There will be none.
        """
        while not self.waiting:
            if self.is_closed:
                raise Retryable("the connection ended here when it was recorded")
            self.is_awaited = True
            self._stirred.clear()
            await self._stirred.wait()
        return self.waiting.popleft()


async def messages_of(mail: Mail[T]) -> AsyncIterator[T]:
    """Give one message after the other; ends by Retryable only."""
    while True:
        yield await mail.take()


@attrs.frozen
class Socket:
    """A WebSocket of a recording."""

    _mail: Mail[str | bytes]

    async def send(self, message: str | bytes) -> None:
        """See WebSocket: nobody hears it."""

    async def send_json(self, value: Any) -> None:
        """See WebSocket: nobody hears it."""

    async def recv(self) -> str | bytes:
        """See WebSocket."""
        return await self._mail.take()

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return messages_of(self._mail)
