"""uvicorn as Bond needs it: connections that can be written to directly, bounded, and cut.

* The transport below a connection is handed to the application in the scope's extension
  `bond.line`, so that records go out without a task and a message for each client.
* A peer that doesn't read can't be closed: `transport.close()` waits until what is buffered has
  gone out, for ever. So whatever ends a connection here is followed by `transport.abort()`.
* Whoever connects and sends no request, or only drips it, is cut: after REQUEST_WITHIN_S, or
  earlier where more than MOST_UNFINISHED do so, the oldest first.
* After a signal uvicorn raises it again when it is done, which would end the process before
  its streams have ended; here `serve` just returns.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bond_server.delivery.drain import Drain
from bond_server.delivery.line import CHUNKS, FRAMES, LINE, DirectLine
from bond_server.delivery.slim import Gate, Inbox
from bond_server.logs import LogStyle, log_config

PING_EVERY_S = 15.0
PONG_WITHIN_S = 10.0
CLOSE_WITHIN_S = 5.0
REQUEST_WITHIN_S = 10.0
MOST_UNFINISHED = 512
SHUTDOWN_WITHIN_S = 15
MAX_CLIENT_MESSAGE_BYTES = 4096
_SESSIONS_END_WITHIN_S = 2.0
_BACKLOG = 2048
_PONGS_AT_ONCE = 20


class Ends:
    """The two ends of a connection that its application gets, and keeps for too long.

    What the web framework makes of a connection refers to itself, and is found by the rare look
    for such cycles only. So in the end it must lead to nothing large.
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: WebSocketProtocol) -> None:
        self._protocol: WebSocketProtocol | None = protocol

    async def receive(self) -> Any:
        """See ASGI."""
        if self._protocol is None:
            raise ClientDisconnected
        return await self._protocol.receive()

    async def send(self, message: Any) -> None:
        """See ASGI."""
        if self._protocol is None:
            raise ClientDisconnected
        await self._protocol.send(message)

    def let_go(self) -> None:
        """Lead nowhere from now on."""
        self._protocol = None


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that is written to directly, and given up without its peer's consent."""

    line: DirectLine | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue: Any = Inbox()
        self.writable: Any = Gate(is_open=True)

    async def run_asgi(self) -> None:
        """Hand the application a way to the transport."""
        extensions: Any = self.scope.setdefault("extensions", {})
        extensions[LINE] = self._make_line
        app, ends = self.app, Ends(self)
        self.app = lambda scope, *_: app(scope, ends.receive, ends.send)
        try:
            await super().run_asgi()
        finally:
            self.app = app
            ends.let_go()
            extensions.pop(LINE, None)

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

    def start_keepalive(self) -> None:
        """Begin to ping; the handshake is over, and what it needed is let go."""
        super().start_keepalive()
        self.request.headers.clear()  # the parser keeps the request itself
        self.request = self.response = None  # type: ignore[assignment]

    def pause_writing(self) -> None:
        """Tell the line, too."""
        super().pause_writing()
        if self.line is not None:
            self.line.paused()

    def resume_writing(self) -> None:
        """Tell the line, too."""
        super().resume_writing()
        if self.line is not None:
            self.line.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the line, too."""
        super().connection_lost(exc)
        self.conn.parser.close()  # a generator that holds what holds it
        line, self.line = self.line, None
        if line is not None:
            line.lost()

    def close(self, code: int, reason: str) -> None:
        """Say goodbye behind what was written, whether or not there is room, and see it done."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Give up a peer that doesn't answer."""
        super().keepalive_timeout()
        self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, but not all of many, and none to who doesn't read: answers would pile up."""
        answers = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(answers[-_PONGS_AT_ONCE:]))

    def send_receive_event_to_app(self) -> None:
        """Refuse text that is none; a client's mistake is no error of ours to be logged."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: Any) -> None:
        """Answer a goodbye; a peer that doesn't read the answer is cut after a while."""
        super().handle_close(event)
        self._abort_soon()

    def handle_parser_exception(self) -> None:
        """Close for what the peer sent; one that doesn't read why is cut after a while."""
        super().handle_parser_exception()
        self._abort_soon()

    def shutdown(self) -> None:
        """Close because the server ends; a peer that doesn't read that is cut after a while."""
        super().shutdown()
        self._abort_soon()

    def _make_line(self) -> DirectLine:
        if self.line is None:
            self.line = DirectLine(self.transport, FRAMES, self.close)
        return self.line

    def _abort_soon(self) -> None:
        if self.transport.get_write_buffer_size():
            self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)


class Unfinished:
    """The connections whose request has not come in whole yet, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[HttpProtocol, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, protocol: HttpProtocol) -> None:
        """Wait for a request, not for ever; and not for too many."""
        if protocol not in self._waiting:
            self._waiting[protocol] = protocol.loop.call_later(
                REQUEST_WITHIN_S, self._give_up, protocol
            )
            if len(self._waiting) > MOST_UNFINISHED:
                self._give_up(next(iter(self._waiting)))

    def end(self, protocol: HttpProtocol) -> None:
        """Wait no more: the request is there, or the connection is gone."""
        timer = self._waiting.pop(protocol, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self, protocol: HttpProtocol) -> None:
        self.end(protocol)
        protocol.transport.abort()


class HttpProtocol(HttpToolsProtocol):
    """HTTP whose endless responses are written to directly, and whose requests end."""

    line: DirectLine | None = None

    def __init__(self, *args: Any, unfinished: Unfinished, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unfinished = unfinished

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request."""
        super().connection_made(transport)
        self.unfinished.begin(self)

    def on_message_begin(self) -> None:
        """Expect the rest of a request."""
        super().on_message_begin()
        self.unfinished.begin(self)

    def on_message_complete(self) -> None:
        """Expect nothing more."""
        super().on_message_complete()
        self.unfinished.end(self)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the WebSocket protocol."""
        self.unfinished.end(self)
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment] # it holds what holds it

    def pause_writing(self) -> None:
        """Tell the line, too."""
        super().pause_writing()
        if self.line is not None:
            self.line.paused()

    def resume_writing(self) -> None:
        """Tell the line, too."""
        super().resume_writing()
        if self.line is not None:
            self.line.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the line, too."""
        self.unfinished.end(self)
        super().connection_lost(exc)
        self._forget_line()
        line, self.line = self.line, None
        if line is not None:
            line.lost()

    def on_response_complete(self) -> None:
        """Let go of what the response was written by."""
        self._forget_line()
        super().on_response_complete()

    def _forget_line(self) -> None:
        if self.cycle is not None:  # its scope leads back to it
            self.cycle.scope.get("extensions", {}).pop(LINE, None)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        def make() -> DirectLine | None:
            if not (cycle.response_started and cycle.chunked_encoding):
                return None
            self.line = DirectLine(self.transport, CHUNKS)
            return self.line

        extensions: Any = cycle.scope.setdefault("extensions", {})
        extensions[LINE] = make
        super()._start_asgi_task(cycle, app)


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
        await self._drain.run(self._drain.spread_s + _SESSIONS_END_WITHIN_S)
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


def uvicorn_config(app: Any, *, logs: LogStyle | None, drain: Drain) -> uvicorn.Config:
    """Return how uvicorn serves a Bond application; None leaves logging as it is."""
    sessions_end_s = drain.spread_s + _SESSIONS_END_WITHIN_S
    http: Any = functools.partial(HttpProtocol, unfinished=Unfinished())  # it is only called
    return uvicorn.Config(
        app,
        http=http,
        ws=WebSocketProtocol,
        ws_max_size=MAX_CLIENT_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        timeout_graceful_shutdown=SHUTDOWN_WITHIN_S - round(sessions_end_s),
        backlog=_BACKLOG,
        log_config=None if logs is None else log_config(logs),
        server_header=False,
        lifespan="off",  # what lives as long as the server is around it, not in it
    )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop: uvloop where it is installed."""
    return auto_loop_factory()
