"""A client's connection as the hub sees it: bytes go in at once, and it says when it is full.

A line never waits. What is written while it is full is kept all the same, so the hub stops
writing when `is_full`, and goes on when the line says that there is room.

    DirectLine   bytes straight to the transport below uvicorn: WebSocket frames, HTTP chunks
    AsgiLine     messages over ASGI's `send`, drained by a task: any other server
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, Self, TypeAlias

from bond_core.wire.frames import chunk, text_frame

BATCH_BYTES = 32 * 1024
"""Written to a line at once at most, unless one record is larger; so much may wait in it."""

_FULL_BYTES, _ROOM_BYTES = 32 * 1024, 8 * 1024

LINE = "bond.line"
"""The ASGI scope's extension in which a server hands over a DirectLine."""


class Listener(Protocol):
    """Hears how a line does. Called by the transport: must neither raise nor wait."""

    def on_full(self) -> None:
        """Stop writing."""
        ...

    def on_room(self) -> None:
        """Go on."""
        ...

    def on_lost(self) -> None:
        """Forget it: the connection is gone."""
        ...


class Form(Protocol):
    """How payloads become what a line takes."""

    def one(self, payload: bytes) -> Any:
        """Wrap a payload; done once for all lines of this form."""
        ...

    def join(self, wrapped: Sequence[Any]) -> Any:
        """Make one write of several wrapped payloads."""
        ...


class Frames:
    """WebSocket text frames, one behind the other."""

    def one(self, payload: bytes) -> bytes:
        """See Form."""
        return text_frame(payload)

    def join(self, wrapped: Sequence[bytes]) -> bytes:
        """See Form."""
        return b"".join(wrapped)


class Chunks:
    """A chunk of an HTTP/1.1 body."""

    def one(self, payload: bytes) -> bytes:
        """See Form."""
        return payload

    def join(self, wrapped: Sequence[bytes]) -> bytes:
        """See Form."""
        return chunk(b"".join(wrapped))


class Messages:
    """ASGI's `websocket.send`, one for each payload."""

    def one(self, payload: bytes) -> dict[str, Any]:
        """See Form."""
        return {"type": "websocket.send", "text": payload.decode()}

    def join(self, wrapped: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """See Form."""
        return wrapped


class Bodies:
    """ASGI's `http.response.body`, one for all."""

    def one(self, payload: bytes) -> bytes:
        """See Form."""
        return payload

    def join(self, wrapped: Sequence[bytes]) -> Sequence[dict[str, Any]]:
        """See Form."""
        return ({"type": "http.response.body", "body": b"".join(wrapped), "more_body": True},)


FRAMES, CHUNKS, MESSAGES, BODIES = Frames(), Chunks(), Messages(), Bodies()


class DirectLine:
    """The transport of a connection.

    Attributes:
        form: What it takes.
        write: The transport's own, without anything between.
        is_full: Whether something waits that the kernel did not take yet.
        listener: Who is told.
        abort: Ends the connection without its peer's consent.
        close: Says WebSocket's goodbye `(code, reason)` behind what was written, without waiting,
            and aborts after a grace; None where the connection is not a WebSocket.
    """

    __slots__ = ("abort", "close", "form", "is_full", "listener", "write")

    def __init__(
        self, transport: asyncio.Transport, form: Form,
        close: Callable[[int, str], None] | None = None,
    ) -> None:  # fmt: skip
        self.form = form
        self.write: Callable[[Any], object] = transport.write
        self.abort = transport.abort
        self.close = close
        self.is_full = False
        self.listener: Listener | None = None
        # Full is what the kernel takes no more from; and so uvloop writes at once, not at the end
        # of the turn, which is cheaper where there is one write a turn.
        transport.set_write_buffer_limits(0)

    def paused(self) -> None:
        """Take the transport's word that its buffer is above the mark."""
        self.is_full = True
        if self.listener is not None:
            self.listener.on_full()

    def resumed(self) -> None:
        """Take the transport's word that its buffer is empty enough."""
        self.is_full = False
        if self.listener is not None:
            self.listener.on_room()

    def lost(self) -> None:
        """Take the transport's word that it is gone."""
        if self.listener is not None:
            self.listener.on_lost()


class AsgiLine:
    """ASGI's `send`, which waits; so a task takes what was written, and sends it.

    Use as `async with`: leaving it sends the rest if that is soon done.
    """

    def __init__(self, send: Callable[[Any], Awaitable[None]], form: Form) -> None:
        self.form = form
        self.is_full = False
        self.listener: Listener | None = None
        self._send = send
        self._waiting: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def write(self, messages: Sequence[dict[str, Any]]) -> None:
        """Take messages to send."""
        for message in messages:
            size = len(message.get("text") or message.get("body") or b"")
            self._waiting.append((message, size))
            self._bytes += size
        self._more.set()
        self._empty.clear()
        if self._bytes > _FULL_BYTES and not self.is_full:
            self.is_full = True
            if self.listener is not None:
                self.listener.on_full()

    async def __aenter__(self) -> Self:
        """Begin to send."""
        self._empty.set()
        self._task = asyncio.create_task(self._drain(), name="send to a client")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop sending."""
        assert self._task is not None  # noqa: S101 -- entered
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def finish(self) -> None:
        """Return when everything was sent, or the client is gone."""
        await self._empty.wait()

    async def _drain(self) -> None:
        try:
            while True:
                while not self._waiting:
                    self._more.clear()
                    self._empty.set()
                    await self._more.wait()
                message, size = self._waiting.popleft()
                await self._send(message)
                self._bytes -= size
                if self.is_full and self._bytes <= _ROOM_BYTES:
                    self.is_full = False
                    if self.listener is not None:
                        self.listener.on_room()
        except Exception:  # noqa: BLE001 -- whatever the server raises for a client that left
            self._empty.set()
            if self.listener is not None:
                self.listener.on_lost()


Line: TypeAlias = DirectLine | AsgiLine
"""A connection to write to."""


def direct_line(scope: Any) -> DirectLine | None:
    """Return the line that the server hands over, or None where it knows of none."""
    make = (scope.get("extensions") or {}).get(LINE)
    return None if make is None else make()
