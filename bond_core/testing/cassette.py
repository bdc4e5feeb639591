"""What a source said, played to a connector in place of the outside world, and faults with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from bond_core.clock import Clock
from bond_core.errors import Retryable
from bond_core.plugin.context import WebSocket
from bond_core.plugin.factories import load_name
from bond_core.runtime.outside import Budget
from bond_core.testing.stand_ins import Lent, StandIns

CONNECT_S = 10.0
"""After so long a connection that hangs is given up, as the real one is."""


@attrs.frozen
class Answer:
    """What an HTTP request is answered with: decoded JSON, or a text."""

    value: Any


@attrs.frozen
class Frame:
    """A message of a WebSocket."""

    text: str | bytes


class Cassette:
    """A connector's way out to a source that says these things, one after the other.

    Requests are given the answers in turn, and the last one again and again. Each WebSocket
    gives all messages from the first on, and is silent then. What is neither an Answer nor a
    Frame is taken for either. An exception among them is raised, once.

    Args:
        said: Answers or messages.
        clock: By which it waits.
        sdks: By name, what stands in for a vendor's library.
        requests_per_min: How the runtime would space requests; None if it wouldn't.

    Attributes:
        opened: How many WebSockets were opened.
        closed: How many of them were closed.
        sent: What was sent or asked, in order.
        asked_ns: When each request was made and each WebSocket opened, monotonic.
        answers: How many requests were answered.
        lent: What stands in for the vendor's library, and what it made.
    """

    def __init__(
        self, said: Sequence[Any], *, clock: Clock, sdks: Mapping[str, Any] | None = None,
        requests_per_min: float | None = None,
    ) -> None:  # fmt: skip
        self.opened = self.closed = self.answers = 0
        self.sent: list[Any] = []
        self.asked_ns: list[int] = []
        self.lent = StandIns()
        self._clock = clock
        self._sdks = sdks or {}
        self._budget = Budget(clock, requests_per_min) if requests_per_min else None
        self._answers = [_value(item) for item in said if not isinstance(item, Frame)]
        self._frames = [_value(item) for item in said if not isinstance(item, Answer)]
        self._next = 0
        self._sockets: set[_Played] = set()
        self._refusal: Callable[[], Exception] | None = None
        self._refusals_left = 0
        self._is_silent = False

    # Faults

    def refuse(self, error: Callable[[], Exception], *, times: int = 1_000_000) -> None:
        """Raise this for each request, each opening and each call of a library; `times`."""
        self._refusal, self._refusals_left = error, times
        self.lent.refusal = error if times > 1 else None

    def accept(self) -> None:
        """Refuse no longer."""
        self._refusal = self.lent.refusal = None

    def drop(self) -> None:
        """Break what is open; where nothing is, the next request fails."""
        if not self._sockets:
            self.refuse(_dropped, times=1)
        for socket in self._sockets:
            socket.broken.set()

    def fall_silent(self) -> None:
        """Answer no more, and end nothing: connections stay open, requests run into time-outs."""
        self._is_silent = True

    def go_on(self, answers: Sequence[Any]) -> None:
        """Answer this from now on, after all that was said."""
        if answers:
            self._next = len(self._answers)
            self._answers += map(_value, answers)

    @property
    def is_played_out(self) -> bool:
        """Whether everything was said, to whom it may."""
        if self.opened:
            return any(not socket.left for socket in self._sockets)
        return self.answers >= len(self._answers)

    # See WayOut

    async def get_json(self, url: str, **asked: Any) -> Any:
        """See Context."""
        return await self._ask((url, asked.get("params")), asked.get("timeout_s", CONNECT_S))

    async def get_text(self, url: str, **asked: Any) -> str:
        """See Context."""
        answer = await self.get_json(url, **asked)
        return answer if isinstance(answer, str) else json.dumps(answer)

    async def post_json(self, url: str, value: Any, **asked: Any) -> Any:
        """See Context."""
        return await self._ask((url, value), asked.get("timeout_s", CONNECT_S))

    def ws(self, url: str, **_: Any) -> AbstractAsyncContextManager[WebSocket]:
        """See Context."""
        return _Opening(self, url)

    def noting(self, url: str) -> None:
        """See Context: nobody records."""

    def sdk(self, name: str) -> Any:
        """See Context."""
        if name not in self._sdks:
            return load_name(name)
        self.asked_ns.append(self._clock.monotonic_ns())
        return Lent(self._sdks[name], self.lent)

    def take(self, error: Exception) -> Exception:
        """Take out an exception that is said once; everything is said anew behind it."""
        for said in (self._answers, self._frames):
            said[:] = [item for item in said if item is not error]
        self._next = 0
        return error

    async def open(self, url: str) -> _Played:
        """Return a WebSocket, which is open until it is let go of."""
        await self._reach(url, CONNECT_S)
        self.opened += 1
        socket = _Played(self, self._frames, is_silent=self._is_silent)
        self._sockets.add(socket)
        return socket

    def close(self, socket: _Played) -> None:
        """Take a WebSocket back."""
        self.closed += 1
        self._sockets.discard(socket)

    async def _ask(self, asked: Any, timeout_s: float) -> Any:
        if self._budget is not None:
            await self._budget.wait()
        await self._reach(asked, timeout_s)
        self.answers += 1
        answer = self._answers[min(self._next, len(self._answers) - 1)] if self._answers else None
        self._next += 1
        if isinstance(answer, Exception):
            raise self.take(answer)
        return answer

    async def _reach(self, where: Any, timeout_s: float) -> None:
        self.sent.append(where)
        self.asked_ns.append(self._clock.monotonic_ns())
        await asyncio.sleep(0)
        if self._is_silent:
            await self._clock.sleep(timeout_s)
            raise Retryable("the source can't be reached: ConnectTimeout")
        if self._refusal is not None and self._refusals_left > 0:
            self._refusals_left -= 1
            raise self._refusal()


class _Opening:
    """`ctx.ws(...)`: no generator, which would be closed where nobody left it."""

    def __init__(self, cassette: Cassette, url: str) -> None:
        self._cassette = cassette
        self._url = url
        self._socket: _Played | None = None

    async def __aenter__(self) -> WebSocket:
        self._socket = await self._cassette.open(self._url)
        return self._socket

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            self._cassette.close(self._socket)


class _Played:
    """A WebSocket on which a cassette plays, from its beginning."""

    def __init__(self, cassette: Cassette, frames: list[Any], *, is_silent: bool) -> None:
        self.left = [] if is_silent else list(frames)
        self.broken = asyncio.Event()
        self._cassette = cassette

    async def send(self, message: str | bytes) -> None:
        """See WebSocket."""
        await self._send(message)

    async def send_json(self, value: Any) -> None:
        """See WebSocket."""
        await self._send(value)

    async def _send(self, message: Any) -> None:
        self._cassette.sent.append(message)
        await asyncio.sleep(0)
        if self.broken.is_set():
            raise _dropped()

    async def recv(self) -> str | bytes:
        """See WebSocket."""
        await asyncio.sleep(0)
        if not self.left:
            await self.broken.wait()
        if self.broken.is_set():
            raise _dropped()
        message = self.left.pop(0)
        if isinstance(message, Exception):
            raise self._cassette.take(message)
        return message if isinstance(message, (str, bytes)) else json.dumps(message)

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        return await self.recv()


def _value(item: Any) -> Any:
    if isinstance(item, Answer):
        return item.value
    return item.text if isinstance(item, Frame) else item


def _dropped() -> Exception:
    return Retryable("the connection was dropped by the test")
