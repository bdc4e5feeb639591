"""Play a source on loopback while it is entered: what simulators of sources do alike."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self


class Played(ABC):
    """A source that is played: entered, it serves; left, it is over."""

    _url = ""
    _stack: AsyncExitStack

    @abstractmethod
    def serving(self) -> AbstractAsyncContextManager[str]:
        """Serve on a free port of 127.0.0.1 while it is entered; gives the base address."""

    @property
    def url(self) -> str:
        """The base address. RuntimeError: it does not serve yet."""
        if not self._url:
            raise RuntimeError("the simulator serves inside `async with` only")
        return self._url

    async def __aenter__(self) -> Self:
        """Serve on a free port of 127.0.0.1."""
        self._stack = AsyncExitStack()
        self._url = await self._stack.enter_async_context(self.serving())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        await self._stack.aclose()
        self._url = ""


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None], name: str) -> AsyncGenerator[None, None]:
    """Let something run for as long as this is entered."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
