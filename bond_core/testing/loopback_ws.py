"""Serve a WebSocket on 127.0.0.1, for simulators: who is there, who is cut off, who is refused.

async with LoopbackWs(serve) as server:
    ...  # server.url
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

_library_log = logging.getLogger("bond.loopback")
_library_log.setLevel(logging.CRITICAL)  # clients that are cut off are what tests are about


class Peer:
    """A client.

    Attributes:
        path: What it asked for, with its query.
        headers: Of its opening request; their names in lower case.
        notes: Whatever the server wants to remember of it.
    """

    def __init__(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        self.path = request.path
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in request.headers.raw_items()}
        self.notes: dict[str, Any] = {}
        self._connection = connection

    async def send(self, message: object) -> None:
        """Send a text as it is, anything else as JSON; what is gone hears nothing."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 -- an extra

        text = message if isinstance(message, (str, bytes)) else json.dumps(message)
        try:
            await self._connection.send(text)
        except ConnectionClosed:
            return

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        await self._connection.close(code, reason)

    def cut(self) -> None:
        """Break the connection without a word."""
        self._connection.transport.abort()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Give its messages until it is gone."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 -- as above

        try:
            async for message in self._connection:
                yield message
        except ConnectionClosed:
            return


class LoopbackWs:
    """A WebSocket server on a free port.

    Args:
        serve: Called with each client; when it returns, the client is closed.
        refuse: Called with an opening request's path; returns an HTTP status to refuse it with.
        answer: Called with the path of any request and its headers, by lower-case name; returns
            status and body where it is one of plain HTTP, None for a WebSocket's.

    Attributes:
        url: The base address; empty until it serves.
        peers: Who is there.
        opened: How many came in all.
    """

    def __init__(
        self, serve: Callable[[Peer], Awaitable[None]],
        refuse: Callable[[str], int | None] = lambda _: None,
        answer: Callable[[str, Mapping[str, str]], tuple[int, str] | None] = lambda *_: None,
    ) -> None:  # fmt: skip
        self.url = ""
        self.peers: list[Peer] = []
        self.opened = 0
        self._serve = serve
        self._refuse = refuse
        self._answer = answer
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        """Serve."""
        from websockets.asyncio.server import serve  # noqa: PLC0415 -- an extra, loaded on use

        self._server = await serve(
            self._connected, "127.0.0.1", 0, process_request=self._asked, compression=None,
            logger=_library_log, close_timeout=0.2,
        )  # fmt: skip
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving, and cut everybody off."""
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()
        self.url = ""

    def cut(self) -> None:
        """Break all connections without a word."""
        for peer in tuple(self.peers):
            peer.cut()

    def _asked(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        answer = self._answer(request.path, headers)
        if answer is not None:
            return connection.respond(HTTPStatus(answer[0]), answer[1])
        status = self._refuse(request.path)
        if status is None:
            return None
        return connection.respond(HTTPStatus(status), HTTPStatus(status).phrase)

    async def _connected(self, connection: ServerConnection) -> None:
        peer = Peer(connection)
        self.opened += 1
        self.peers.append(peer)
        try:
            await self._serve(peer)
        finally:
            self.peers.remove(peer)
