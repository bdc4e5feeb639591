"""What a source said, played to a connector in place of the outside world."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bond_core.plugin.context import WebSocket
from bond_core.plugin.factories import load_name


class Cassette:
    """A connector's way out to a source that says these things, one after the other.

    Answers are what `get_json` returns, messages what a WebSocket gives. An exception among
    them is raised. After the last, answers repeat and a WebSocket is silent. Each connection
    begins anew, behind what was raised.

    Args:
        said: Answers or messages.
        sdks: By name, what stands in for a vendor's library.

    Attributes:
        opened: How many WebSockets were opened.
        closed: How many of them were closed.
        sent: What was sent or asked.
    """

    def __init__(self, said: Sequence[Any], sdks: Mapping[str, Any] | None = None) -> None:
        self._said = list(said)
        self._sdks = sdks or {}
        self._next = 0
        self.opened = self.closed = 0
        self.sent: list[Any] = []

    async def get_json(self, url: str, **asked: Any) -> Any:
        """See Context."""
        self.sent.append((url, asked.get("params")))
        return self._answer()

    async def get_text(self, url: str, **asked: Any) -> str:
        """See Context."""
        answer = await self.get_json(url, **asked)
        return answer if isinstance(answer, str) else json.dumps(answer)

    async def post_json(self, url: str, value: Any, **asked: Any) -> Any:
        """See Context."""
        self.sent.append((url, value))
        return self._answer()

    @asynccontextmanager
    async def ws(self, url: str, **_: Any) -> AsyncIterator[WebSocket]:
        """See Context."""
        self.opened += 1
        try:
            yield _Played(self)
        finally:
            self.closed += 1

    def sdk(self, name: str) -> Any:
        """See Context."""
        return self._sdks[name] if name in self._sdks else load_name(name)

    def _answer(self) -> Any:
        answer = self._said[min(self._next, len(self._said) - 1)]
        self._next += 1
        if isinstance(answer, Exception):
            raise self._once(answer)
        return answer

    def _once(self, error: Exception) -> Exception:
        self._said.remove(error)
        self._next = 0
        return error


class _Played:
    """A WebSocket on which a cassette plays, from its beginning."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette
        self._left = list(cassette._said)  # noqa: SLF001 -- its other half

    async def send(self, message: str | bytes) -> None:
        """See WebSocket."""
        self._cassette.sent.append(message)

    async def send_json(self, value: Any) -> None:
        """See WebSocket."""
        self._cassette.sent.append(value)

    async def recv(self) -> str | bytes:
        """See WebSocket."""
        if not self._left:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        message = self._left.pop(0)
        if isinstance(message, Exception):
            raise self._cassette._once(message)  # noqa: SLF001 -- as above
        return message if isinstance(message, (str, bytes)) else json.dumps(message)

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        return await self.recv()
