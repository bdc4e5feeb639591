"""Send the Server-Sent Events of a plugin's route: unnamed, with a comment where it is quiet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import attrs
from litestar.types import Receive, Send

from bond_core.clock import NS, Clock
from bond_core.plugin.serving import EventFlow
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
    REVOKED: "The token was revoked",
    TOO_MANY_CONNECTIONS: "There are too many listeners: come back later",
    INTERNAL: "Something went wrong in the server; its log says what",
}
_LEAVING = "The server restarts: come back"


class _ReadsNothingError(Exception):
    """The client takes nothing any more."""


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
        tasks: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._pump(send)),
            asyncio.ensure_future(_until_gone(receive)),
            asyncio.ensure_future(self._until_expired()),
        ]
        pump, gone, _ = tasks
        try:
            await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return GONE
            if pump.done():
                return _ending_of(pump.exception())
            return ended.result() if ended.done() else EXPIRED
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, send: Send) -> None:
        """Send what comes, and a comment where nothing does for a while."""
        waiting = asyncio.create_task(self._next())
        try:
            while True:
                timer = asyncio.ensure_future(self.clock.sleep(HEARTBEAT_S))
                try:
                    await asyncio.wait({waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    timer.cancel()
                if not waiting.done():
                    await _send(send, f": hb {self.clock.now_ns() // 1_000_000}\n\n".encode())
                    continue
                messages = waiting.result()
                if messages is None:
                    return
                await _send(send, framed(messages))
                waiting = asyncio.create_task(self._next())
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _next(self) -> Sequence[bytes] | None:
        """Return what is to be sent next; None where that was all."""
        try:
            return await self.flow.messages.__anext__()
        except StopAsyncIteration:
            return None

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
    if isinstance(error, OSError):
        return GONE
    _log.error("the events of a plugin's route broke off", exc_info=error)
    return INTERNAL


async def _send(send: Callable[[Any], Any], body: bytes) -> None:
    try:
        async with asyncio.timeout(READS_WITHIN_S):
            await send({"type": "http.response.body", "body": body, "more_body": True})
    except TimeoutError:
        raise _ReadsNothingError from None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
