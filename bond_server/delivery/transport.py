"""uvicorn as Bond needs it: dead peers are cut, and it leaves in order.

* A peer that doesn't read can't be closed: `transport.close()` waits until what is buffered
  has gone out, for ever. So a WebSocket whose pings are not answered is aborted, and a
  handler may abort its own through the scope extension `bond.abort`.
* What kills a half-open connection of any kind is TCP_USER_TIMEOUT, set on the listening
  socket and inherited by every connection.
* After a signal uvicorn raises it again when it is done, which would end the process before
  its streams have ended; here `serve` just returns.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bond_core.errors import SetupError
from bond_server.delivery.drain import Drain
from bond_server.logs import LogStyle, log_config

ABORT = "bond.abort"
PING_EVERY_S = 15.0
PONG_WITHIN_S = 10.0
DRAIN_WITHIN_S = 5.0
SHUTDOWN_WITHIN_S = 15
MAX_CLIENT_MESSAGE_BYTES = 4096
_UNACKNOWLEDGED_MS = 30_000


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that can be given up without its peer's consent."""

    async def run_asgi(self) -> None:
        """Hand the application a way to abort."""
        extensions = self.scope.setdefault("extensions", {})
        extensions[ABORT] = {"abort": self.transport.abort}
        await super().run_asgi()

    def data_received(self, data: bytes) -> None:
        """Take what came; an address too long for a handshake is answered, and not left open."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))  # 414, which uvicorn keeps
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Send; a handshake answered over HTTP is complete, which uvicorn logs as an error."""
        await super().send(message)
        is_refusal = message["type"] == "websocket.http.response.body"
        if is_refusal and not message.get("more_body", False):
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Give up a peer that doesn't answer."""
        super().keepalive_timeout()
        self.transport.abort()


class BondServer(uvicorn.Server):
    """uvicorn's server that ends the sessions first, then itself, and then returns."""

    def __init__(
        self, config: uvicorn.Config, drain: Drain, *, ready: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end the sessions, then whatever is left."""
        for server in self.servers:
            server.close()
        await self._drain.run(DRAIN_WITHIN_S)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to end; the second SIGINT as impatience."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def uvicorn_config(app: Any, *, logs: LogStyle | None) -> uvicorn.Config:
    """Return how uvicorn serves a Bond application; None leaves logging as it is."""
    return uvicorn.Config(
        app,
        ws=WebSocketProtocol,
        ws_max_size=MAX_CLIENT_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        timeout_graceful_shutdown=SHUTDOWN_WITHIN_S - round(DRAIN_WITHIN_S),
        log_config=None if logs is None else log_config(logs),
        server_header=False,
        lifespan="off",  # what lives as long as the server is around it, not in it
    )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop: uvloop where it is installed."""
    return auto_loop_factory()


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, with dead peers bounded; port 0 takes a free one.

    Raises:
        SetupError: The address is taken, not this machine's, or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SetupError(f"{host} is no address to serve on: {error.strerror}") from error
    try:
        if sys.platform != "win32":  # where it means that a second server may take the port too
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise SetupError(
            f"{host} port {port} can't be served on: {error.strerror}",
            fix=f"bond serve --port {port + 1 if 0 < port < 65_535 else 8000}",
        ) from error
    return bound
