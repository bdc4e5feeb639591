"""Send the Server-Sent Events of a plugin's route: unnamed, with a comment where it is quiet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import attrs
from litestar.types import Receive, Send

from bond_core.clock import NS, Clock
from bond_core.plugin.serving import Answer, EventFlow
from bond_server.auth.listeners import Admission, ServerFullError
from bond_server.auth.refusals import TooManyError
from bond_server.delivery.drain import Drain
from bond_server.delivery.endings import (
    EXPIRED,
    GONE,
    INTERNAL,
    REVOKED,
    SLOW,
    TOO_MANY_CONNECTIONS,
    Ending,
)
from bond_server.delivery.line import direct_line

HEARTBEAT_S = 15.0
READS_WITHIN_S = 30.0
"""How long a client may take nothing before it is cut off. Real seconds: its socket's."""

_log = logging.getLogger("bond.server")

_SAYS: Mapping[Ending, str] = {
    EXPIRED: "The token has expired: get another",
    REVOKED: "The token or the key was revoked",
    TOO_MANY_CONNECTIONS: "There are too many listeners: come back later",
    INTERNAL: "Something went wrong in the server; its log says what",
}
_LEAVING = "The server restarts: come back"


class _ReadsNothingError(Exception):
    """The client takes nothing any more."""


class _GoneError(Exception):
    """The client's connection is over."""


class _Beats:
    """Sends to a client, and a comment where nothing was sent for a while."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._is_quiet = True

    async def send(self, body: bytes) -> None:
        """Send a part of the body.

        Raises:
            _ReadsNothingError: It is not taken.
            _GoneError: Nobody is there.
        """
        self._is_quiet = False
        try:
            async with asyncio.timeout(READS_WITHIN_S):
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise _ReadsNothingError from None
        except OSError:  # told apart from one of the plugin's own
            raise _GoneError from None

    async def run(self) -> None:
        """Beat, for ever."""
        while True:
            self._is_quiet = True
            await self._clock.sleep(HEARTBEAT_S)
            if self._is_quiet:
                await self.send(f": hb {self._clock.now_ns() // 1_000_000}\n\n".encode())


@attrs.frozen(kw_only=True)
class FlowSession:
    """One client of a plugin's events. What a response's body is; see routes.sse.EventStream."""

    flow: EventFlow
    admission: Admission
    drain: Drain
    clock: Clock
    scope: Any

    def headers(self) -> Mapping[str, str]:
        """Return what is said ahead of the events."""
        return self.flow.headers

    async def serve(self, send: Send, receive: Receive) -> None:
        """Serve a client until one of both has enough."""
        ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

        def end(ending: Ending) -> None:
            if not ended.done():
                ended.set_result(ending)

        async with aclosing(self.flow.messages):
            try:
                with self.admission, self.drain.session(end):
                    self.admission.on_revoked(lambda: end(REVOKED))
                    ending = await self._run(send, receive, ended)
            except (TooManyError, ServerFullError):  # others came since it was asked
                ending = TOO_MANY_CONNECTIONS
        if ending == SLOW:
            line = direct_line(self.scope)
            if line is not None:
                line.abort()
        elif ending != GONE:
            await self._say_goodbye(send, ending)

    async def _run(
        self, send: Send, receive: Receive, ended: asyncio.Future[Ending]
    ) -> Ending | None:
        """Return why it is over; None where all was said."""
        beats = _Beats(send, self.clock)
        pump = asyncio.create_task(self._pump(beats))
        gone = asyncio.create_task(_until_gone(receive))
        expired = asyncio.create_task(self._until_expired())
        tasks: list[asyncio.Future[Any]] = [pump, gone, expired, asyncio.create_task(beats.run())]
        try:
            await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return GONE
            broken = [task for task in tasks if task.done()]
            if broken and not expired.done():
                return _ending_of(broken[0].exception())
            return ended.result() if ended.done() else EXPIRED
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, beats: _Beats) -> None:
        """Send what comes."""
        while True:
            try:
                messages = await self.flow.messages.__anext__()
            except StopAsyncIteration:
                return
            await beats.send(framed(messages))

    async def _until_expired(self) -> None:
        await self.clock.sleep(max(0.0, self.admission.grant.end_s - self.clock.now_ns() / NS))

    async def _say_goodbye(self, send: Send, ending: Ending | None) -> None:
        said = b""
        if ending is not None and self.flow.bye is not None:
            said = framed([self.flow.bye(ending.reason, _SAYS.get(ending, _LEAVING))])
        try:
            async with asyncio.timeout(1.0):
                await send({"type": "http.response.body", "body": said, "more_body": False})
        except (TimeoutError, OSError):
            pass


def framed(messages: Sequence[bytes]) -> bytes:
    """Return messages as unnamed Server-Sent Events."""
    return b"".join(b"data: %b\n\n" % message for message in messages)


def _ending_of(error: BaseException | None) -> Ending | None:
    if error is None:
        return None
    if isinstance(error, _ReadsNothingError):
        return SLOW
    if isinstance(error, _GoneError):
        return GONE
    _log.error("the events of a plugin's route broke off", exc_info=error)
    return INTERNAL


async def while_there(
    asked: Awaitable[Answer | EventFlow], receive: Receive, drain: Drain
) -> Answer | EventFlow:
    """Return what a handler says; it is cancelled where its client leaves, or the server does.

    Raises:
        ServerFullError: The server leaves.
    """
    handling = asyncio.ensure_future(asked)
    gone = asyncio.create_task(_until_gone(receive))
    left: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
    awaited: list[asyncio.Future[Any]] = [handling, gone, left]

    def end(ending: Ending) -> None:
        if not left.done():
            left.set_result(ending)

    with drain.session(end):
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if handling.done():
                return handling.result()
            if left.done():
                raise ServerFullError(_LEAVING, fix="Connect again later")
            return Answer(None, status=499)  # nobody reads it
        finally:
            handling.cancel()
            gone.cancel()
            await asyncio.gather(handling, gone, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
