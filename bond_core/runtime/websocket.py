"""Open a WebSocket for a connector: to where the guard said, bounded, with errors that say more.

No redirect is followed, no proxy of the environment is used, nothing is compressed: a small
message that unpacks to a large one can't come.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bond_core.clock import NS, Clock
from bond_core.errors import Retryable
from bond_core.plugin.egress import Route
from bond_core.runtime.http import checked_headers, refusal, unreachable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

CONNECT_S = 10.0
"""How long connecting may take, TLS and the WebSocket's own handshake included. Real seconds."""

CLOSE_S = 0.5
"""How long the other side may take to say goodbye. Less than a connector has to stop."""

# At DEBUG the library logs every frame and header, keys among them.
_library_log = logging.getLogger("bond.websocket")
_library_log.setLevel(logging.WARNING)


class OpenWebSocket:
    """An open connection. See `bond_core.plugin.context.WebSocket`."""

    def __init__(self, connection: ClientConnection, route: Route, pace: Pace | None) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 -- once, not a message

        self._over = ConnectionClosed
        self._connection = connection
        self._host = route.host
        self._pace = pace

    async def send(self, message: str | bytes) -> None:
        """See WebSocket."""
        try:
            await self._connection.send(message)
        except self._over as error:
            raise _closed(self._host, error) from None

    async def send_json(self, value: Any) -> None:
        """See WebSocket."""
        await self.send(json.dumps(value))

    async def recv(self) -> str | bytes:
        """See WebSocket."""
        if self._pace is not None and self._pace.is_ahead():
            await self._pace.wait()
        try:
            return await self._connection.recv()
        except self._over as error:
            raise _closed(self._host, error) from None

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    __anext__ = recv


class Pace:
    """Lets so many pass in a second, a second's worth of them at once."""

    def __init__(self, clock: Clock, per_s: float) -> None:
        self._clock = clock
        self._step_ns = round(NS / per_s)
        self._free_ns = clock.monotonic_ns() - NS

    def is_ahead(self) -> bool:
        """Count one more, whether it has to wait or not; whether it has to."""
        now_ns = self._clock.monotonic_ns()
        self._free_ns = max(self._free_ns, now_ns - NS) + self._step_ns
        return self._free_ns > now_ns

    async def wait(self) -> None:
        """Return when that one may pass."""
        left_ns = self._free_ns - self._clock.monotonic_ns()
        await self._clock.sleep(left_ns / NS)


@asynccontextmanager
async def open_websocket(
    route: Route, *, clock: Clock, headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (), max_size: int = 1 << 20,
    frames_per_s: float | None = None, tls: ssl.SSLContext | None = None,
) -> AsyncIterator[OpenWebSocket]:  # fmt: skip
    """Connect, and close on leaving.

    Args:
        route: Where to.
        clock: By which frames are paced.
        headers: Added to the opening request.
        subprotocols: Offered, the preferred first.
        max_size: The largest message that is taken, in bytes.
        frames_per_s: How many messages are read in a second; more wait at the source, through
            TCP. None for all.
        tls: What the certificate is checked with; None is the platform's default.

    Raises:
        Retryable: No connection, or an answer that may pass.
        Fatal: It was refused.
    """
    connection = await _connected(
        route,
        additional_headers=checked_headers(route, headers),
        subprotocols=list(subprotocols) or None,
        max_size=max_size,
        tls=tls,
    )
    try:
        pace = None if frames_per_s is None else Pace(clock, frames_per_s)
        yield OpenWebSocket(connection, route, pace)
    finally:
        await _leave(connection)


async def _connected(
    route: Route, *, tls: ssl.SSLContext | None, **options: Any
) -> ClientConnection:
    """Return a connection to the first of the route's addresses that is there."""
    from websockets.asyncio.client import connect  # noqa: PLC0415 -- an extra, loaded on use
    from websockets.exceptions import InvalidHandshake, InvalidStatus  # noqa: PLC0415

    hosts: Sequence[str] = route.addresses[:3] or (route.host,)
    if route.is_tls:  # the name stays in SNI, in the Host header and in what is certified
        options |= {"ssl": tls or True, "server_hostname": route.host}
    for host in hosts:
        opening = connect(
            route.url, host=host, port=route.port, proxy=None, compression=None,
            open_timeout=CONNECT_S / len(hosts), close_timeout=CLOSE_S, logger=_library_log,
            **options,
        )  # fmt: skip
        opening.process_redirect = _stay  # type: ignore[method-assign]  # it has no such option
        try:
            return await opening
        except InvalidStatus as error:
            raise refusal(route.host, error.response.status_code, error.response.headers) from None
        except (InvalidHandshake, OSError, TimeoutError, EOFError) as error:
            if host is hosts[-1]:
                raise unreachable(route, error) from None
    raise AssertionError("there is always one")


def _stay(exc: Exception) -> Exception:
    """Take a redirect for the refusal that it is to us."""
    return exc


async def _leave(connection: ClientConnection) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await connection.close()
    except TimeoutError:
        pass
    finally:
        connection.transport.abort()  # a peer that takes nothing would keep it open


def _closed(host: str, error: ConnectionClosed) -> Retryable:
    """Return the error of a connection that is over. What the source said stays out of it."""
    ours = error.sent is not None and not error.rcvd_then_sent
    if ours and error.sent is not None:
        why = {1009: "sent a larger message than is taken", 1011: "did not answer a ping"}
        return Retryable(f"{host} {why.get(error.sent.code, 'broke the protocol')}")
    if error.rcvd is not None:
        return Retryable(f"{host} closed the connection ({error.rcvd.code})")
    return Retryable(f"{host} is gone: the connection broke")
