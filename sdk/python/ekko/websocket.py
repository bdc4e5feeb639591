"""Open a WebSocket to a stream: the socket under `ekko.resume`, and nothing of its logic."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from ekko.drops import Dropped
from ekko.resume import ENVELOPES, Connection
from ekko.transport import retry_after_s

# A client ping every 15 s makes a server that never pings answer, so that silence means death.
_PING_S = 15.0
_OPEN_TIMEOUT_S = 10.0
# A peer that doesn't answer a closing handshake must not hold the caller's `break` up.
_CLOSE_TIMEOUT_S = 1.0
_LARGEST_RECORD = 4 * 2**20
_FRAMES_AHEAD = 64

_SECRET = re.compile(r"(?<=token=)[^&\s'\"]+|(?<=authorization: ).+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Return the text with tokens and credentials blanked out."""
    return _SECRET.sub("***", text)


class _Redacting(logging.Filter):
    """Keeps the token out of the log, where websockets writes the request's line at DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage()), ()
        return True


_log = logging.getLogger("ekko.websocket")
_log.addFilter(_Redacting())


class _Attentive(ClientConnection):
    """Remembers when anything was heard last: bytes of a ping or pong are a sign of life, too."""

    heard_at_s = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard_at_s = self.loop.time()
        super().data_received(data)


class _Socket:
    """An open WebSocket as `ekko.resume.Connection` wants it."""

    def __init__(self, connection: _Attentive) -> None:
        self._connection = connection

    @property
    def headers(self) -> Mapping[str, str]:
        response = self._connection.response
        return response.headers if response is not None else {}

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            frame = closed.rcvd
            if closed.sent is not None and closed.sent.code == 1009:
                frame = closed.sent  # a record too large is the one thing this side closes for
            if frame is None:
                raise Dropped("the connection broke off") from None
            raise Dropped(frame.reason, code=frame.code) from None

    def quiet_s(self) -> float:
        return asyncio.get_running_loop().time() - self._connection.heard_at_s


class dial:  # noqa: N801 - called like a function, as any Dial
    """Open a WebSocket on entering and close it on leaving.

    Not a generator: where a program ends by an error, asyncio closes all generators at once, and
    this one has to be left by the one that entered it.

    Args:
        url: The address with the token in its query; neither logged nor part of an error.

    Raises:
        Dropped: It didn't open.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: ClientConnection | None = None

    async def __aenter__(self) -> Connection:
        self._connection = await _opened(self._url)
        return _Socket(cast(_Attentive, self._connection))  # what create_connection made

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            await _leave(self._connection)


async def _opened(url: str) -> ClientConnection:
    try:
        return await connect(
            url,
            compression=None,
            create_connection=_Attentive,
            open_timeout=_OPEN_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=_PING_S,
            ping_timeout=None,
            max_size=_LARGEST_RECORD,
            max_queue=_FRAMES_AHEAD,
            logger=_log,
            subprotocols=[Subprotocol(ENVELOPES)],
        )
    except InvalidStatus as refused:
        response = refused.response
        raise Dropped(
            f"HTTP {response.status_code}",
            status=response.status_code,
            retry_after_s=retry_after_s(response.headers.get("Retry-After")),
        ) from None
    except (OSError, WebSocketException) as error:
        raise Dropped(without_secrets(str(error) or type(error).__name__)) from None


async def _leave(connection: ClientConnection) -> None:
    """Close, and read on meanwhile: behind frames that nobody takes, the peer's goodbye waits."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(connection.close())
            with suppress(ConnectionClosed):
                while True:
                    await connection.recv()
    finally:
        # A program that ends by an error cancels this: then there is no time for goodbyes.
        connection.transport.abort()
