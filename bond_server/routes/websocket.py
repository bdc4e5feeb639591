"""`/ws/{stream_id}`: a stream's records over a WebSocket, a text frame each and nothing else.

A client is accepted before it is judged, since only then it sees a close code (§2.4 of the
protocol): 1008 for its token or its `from`, 4404 for a stream that is gone, 4008 if it
can't keep up, 1012 when the server restarts, 1011 for a fault of ours, 1000 at the end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from litestar import WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect

from bond_core.clock import NS, Clock
from bond_core.errors import LogUnavailableError, RequestError
from bond_core.log.cursor import Hole
from bond_core.log.event_log import Entry
from bond_server.auth.access import Access
from bond_server.auth.door import refuse_handshake
from bond_server.auth.listeners import ServerFullError
from bond_server.auth.presented import chosen_subprotocol
from bond_server.auth.project import OPEN, needs
from bond_server.auth.refusals import TooManyError
from bond_server.auth.tokens import TokenError
from bond_server.delivery.counters import Counters
from bond_server.delivery.drain import Drain
from bond_server.delivery.session import (
    DELETED,
    GONE,
    INTERNAL,
    SLOW,
    Ending,
    ending_of,
    expiry,
    revocation,
    run_session,
)
from bond_server.delivery.start import find_start
from bond_server.delivery.transport import ABORT
from bond_server.local import Bond
from bond_server.routes.given import Given, StreamId

_UNAVAILABLE = Ending(1013, "unavailable")
_BAD_FROM = Ending(1008, "bad_from")
_BAD_SLOW = Ending(1008, "bad_slow")
_TOO_MANY_MESSAGES = Ending(1008, "too_many_messages")
_TOO_MANY_CONNECTIONS = Ending(4429, "connections")
_MESSAGES_PER_S = 20
_CLOSE_WITHIN_S = 1.0

_log = logging.getLogger("bond.server")


@websocket("/ws/{stream_id:str}", opt=needs(OPEN))
async def stream_socket(
    socket: WebSocket[Any, Any, Any], stream_id: StreamId, bond: Given[Bond], access: Given[Access],
    counters: Given[Counters], drain: Given[Drain],
) -> None:  # fmt: skip
    """Serve one client until its session is over, and tell it why."""
    try:
        with drain.session():
            ending = await _serve(socket, stream_id, bond, access, counters, drain)
    except (TooManyError, ServerFullError) as error:
        ending = _TOO_MANY_CONNECTIONS
        if error.code != "connections":
            await refuse_handshake(socket.send, error)
            ending = GONE
    except Exception:  # noqa: BLE001 -- whatever it is, the client is told
        _log.exception("the session of a client of stream %s failed", stream_id[:40])
        ending = INTERNAL
    await _close(socket, ending)


async def _serve(
    socket: WebSocket[Any, Any, Any], stream_id: str, bond: Bond, access: Access,
    counters: Counters, drain: Drain,
) -> Ending:  # fmt: skip
    query = socket.query_params
    ending, start, admission = None, None, None
    try:
        admission = access.admit(socket, stream_id)
        async with access.replays:
            start = await find_start(
                bond.log, stream_id, from_=query.get("from"), after=query.get("after"),
                now_ns=bond.clock.now_ns(),
            )  # fmt: skip
    except TokenError as error:
        ending = Ending(1008, error.code)
    except TooManyError:
        raise
    except LogUnavailableError:
        ending = _UNAVAILABLE
    except RequestError:
        ending = _BAD_FROM
    stream = bond.find(stream_id)
    slow = query.get("slow", "disconnect")
    if slow not in ("disconnect", "conflate"):
        ending = ending or _BAD_SLOW
    if ending is None and stream is None:
        ending = DELETED
    if ending is not None or start is None or stream is None or admission is None:
        return ending or INTERNAL
    cursor = bond.cursor(stream_id, start.after)
    try:
        with admission, counters.client(stream, "websocket") as counts:
            await socket.accept(chosen_subprotocol(socket), headers=start.headers())
            ending = await run_session(
                Socket(socket, bond.clock),
                cursor,
                expiry(bond.clock, admission.grant.end_s),
                revocation(admission),
                drain.ending(),
                how_it_ended=lambda: ending_of(stream),
                counters=counts,
                slow="conflate" if slow == "conflate" else "disconnect",
                live_from=start.top,
                wrote=stream.wrote,
            )
            counts.slow += ending == SLOW
    finally:
        cursor.close()
    return ending


class Socket:
    """A client on a WebSocket in plain framing: nothing but records."""

    def __init__(self, socket: WebSocket[Any, Any, Any], clock: Clock) -> None:
        self._socket = socket
        self._clock = clock

    async def send(self, entry: Entry) -> None:
        """See Outlet."""
        try:
            await self._socket.send_data(entry.data.decode())
        except (WebSocketDisconnect, OSError) as error:
            raise ConnectionError("the client has left") from error

    async def tell_hole(self, hole: Hole) -> None:
        """Say nothing: plain framing has no way to, but for the headers at the start."""

    async def listen(self) -> Ending:
        """Take and drop what the client sends, so that pings get through; not too much of it."""
        second, messages = 0, 0
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return GONE
            now_s = self._clock.monotonic_ns() // NS
            messages = messages + 1 if now_s == second else 1
            second = now_s
            if messages > _MESSAGES_PER_S:
                return _TOO_MANY_MESSAGES


async def _close(socket: WebSocket[Any, Any, Any], ending: Ending) -> None:
    """Close with the ending's code; abort where even that can't be said."""
    if ending == GONE or socket.connection_state == "disconnect":
        return
    try:
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await socket.accept()  # does nothing where that is done
            await socket.close(ending.code, ending.reason)
    except TimeoutError:
        abort: Any = (socket.scope.get("extensions") or {}).get(ABORT)
        if abort is not None:
            abort["abort"]()
    except (WebSocketDisconnect, OSError):
        pass


@get("/ws/{stream_id:str}", include_in_schema=False, opt=needs(OPEN))
async def no_socket(stream_id: StreamId) -> None:  # noqa: ARG001 -- part of the address
    """Tell whoever comes with plain HTTP what to come with."""
    raise RequestError(
        "Connect here with a WebSocket client, or read Server-Sent Events at "
        "/v1/streams/{stream_id}/events",
        code="upgrade_required",
        fix='wscat -c "{ws_url}"',
    )
