"""`/ws/{stream_id}`: a stream's records over a WebSocket, a text frame each and nothing else.

A client is accepted before it is judged, since only then it sees a close code (§2.4 of the
protocol): 1008 for its token or its `from`, 4404 for a stream that is gone, 4008 if it
can't keep up, 1012 when the server restarts, 1011 for a fault of ours, 1000 at the end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs
from litestar import WebSocket, get, websocket
from litestar.connection.base import empty_receive, empty_send
from litestar.exceptions import WebSocketDisconnect

from bond_core.clock import NS, Clock
from bond_core.errors import LogUnavailableError, RequestError
from bond_server.auth.access import Access
from bond_server.auth.door import refuse_handshake
from bond_server.auth.listeners import Admission, ServerFullError
from bond_server.auth.presented import chosen_subprotocol
from bond_server.auth.project import OPEN, needs
from bond_server.auth.refusals import TooManyError
from bond_server.auth.tokens import TokenError
from bond_server.delivery.client import Client
from bond_server.delivery.counters import Counters
from bond_server.delivery.drain import Drain
from bond_server.delivery.endings import (
    BAD_SLOW,
    DELETED,
    GONE,
    INTERNAL,
    REVOKED,
    SLOW,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_MESSAGES,
    UNAVAILABLE,
    Ending,
)
from bond_server.delivery.hub import Hub
from bond_server.delivery.line import MESSAGES, AsgiLine, direct_line
from bond_server.delivery.speech import ENVELOPED, ENVELOPES, PLAIN
from bond_server.delivery.start import Start, find_start
from bond_server.routes.given import Given, StreamId
from bond_server.routes.query import LISTENING, check_query
from bond_server.service import Service
from bond_server.streams import AnyStream

_MESSAGES_PER_S = 20
_CLOSE_WITHIN_S = 1.0

_log = logging.getLogger("bond.server")


@websocket("/ws/{stream_id:str}", opt=needs(OPEN))
async def stream_socket(
    socket: WebSocket[Any, Any, Any], stream_id: StreamId, bond: Given[Service],
    access: Given[Access], counters: Given[Counters], drain: Given[Drain], hub: Given[Hub],
) -> None:  # fmt: skip
    """Serve one client until its session is over, and tell it why."""
    try:
        asked = await _judge(socket, stream_id, bond, access)
        if isinstance(asked, Asked):
            await _serve(socket, asked, bond, counters, drain, hub)
        else:
            await _close(socket, asked)
    except (WebSocketDisconnect, OSError):
        pass  # it has left
    except (TooManyError, ServerFullError) as error:
        if error.code == "connections":
            await _close(socket, TOO_MANY_CONNECTIONS)
        else:
            await refuse_handshake(socket.send, error)
    except Exception:  # noqa: BLE001 -- whatever it is, the client is told
        _log.exception("the session of a client of stream %s failed", stream_id[:40])
        await _close(socket, INTERNAL)
    finally:
        # The framework's lead back to the socket, which so would stay until a look for cycles.
        socket.receive, socket.send = empty_receive, empty_send


@attrs.frozen
class Asked:
    """What a client asked for and may have."""

    stream: AnyStream
    start: Start
    admission: Admission
    conflates: bool


async def _judge(
    socket: WebSocket[Any, Any, Any], stream_id: str, bond: Service, access: Access
) -> Asked | Ending:
    query = socket.query_params
    try:
        admission = access.admit(socket, stream_id)
        check_query(query, (*LISTENING, "slow"))
        async with access.replays:
            start = await find_start(
                bond.log, stream_id, from_=query.get("from"), after=query.get("after"),
                now_ns=bond.clock.now_ns(), epoch=query.get("epoch"),
            )  # fmt: skip
        stream = await bond.look(stream_id)
    except TokenError as error:
        return Ending(1008, error.code)
    except TooManyError:
        raise
    except LogUnavailableError:
        return UNAVAILABLE
    except RequestError as error:
        return Ending(1008, error.code)
    slow = query.get("slow", "disconnect")
    if slow not in ("disconnect", "conflate"):
        return BAD_SLOW
    if stream is None:
        return DELETED
    return Asked(stream, start, admission, slow == "conflate")


async def _serve(
    socket: WebSocket[Any, Any, Any], asked: Asked, bond: Service, counters: Counters, drain: Drain,
    hub: Hub,
) -> None:  # fmt: skip
    has_envelopes = ENVELOPES in socket.scope["subprotocols"]
    subprotocol = ENVELOPES if has_envelopes else chosen_subprotocol(socket)
    stream, admission = asked.stream, asked.admission
    try:
        cursor = await bond.listen(stream, asked.start.after)
    except KeyError:  # deleted since it was found
        await _close(socket, DELETED)
        return
    except LogUnavailableError:
        await _close(socket, UNAVAILABLE)
        return
    try:
        with admission, counters.client(stream, "websocket") as counts:
            await socket.accept(subprotocol, headers=asked.start.headers())
            line = direct_line(socket.scope) or AsgiLine(socket.send, MESSAGES)
            client = Client(
                line=line,
                speech=ENVELOPED if has_envelopes else PLAIN,
                cursor=cursor,
                channel=hub.channel(stream, counts),
                start=asked.start,
                end_s=admission.grant.end_s,
                slow="conflate" if asked.conflates else "disconnect",
            )
            admission.on_revoked(lambda: client.end(REVOKED))
            with drain.session(client.end):
                if isinstance(line, AsgiLine):
                    async with line:
                        ending = await hub.serve(client, lambda: _listen(socket, bond.clock))
                        await _part(line, client, ending)
                else:
                    ending = await hub.serve(client, lambda: _listen(socket, bond.clock))
                    if ending != GONE:
                        client.say(client.speech.bye(ending))
            counts.slow += ending == SLOW
            await _close(socket, ending)
    finally:
        cursor.close()


async def _part(line: AsgiLine, client: Client, ending: Ending) -> None:
    """Send what is written already, and why it is over, if that is soon done."""
    if ending not in (GONE, SLOW):
        client.say(client.speech.bye(ending))
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await line.finish()
        except TimeoutError:
            pass


async def _listen(socket: WebSocket[Any, Any, Any], clock: Clock) -> Ending:
    """Take and drop what the client sends, so that pings get through; not too much of it."""
    second, messages = 0, 0
    while True:
        message = await socket.receive()
        if message["type"] != "websocket.receive":
            return GONE
        now_s = clock.monotonic_ns() // NS
        messages = messages + 1 if now_s == second else 1
        second = now_s
        if messages > _MESSAGES_PER_S:
            return TOO_MANY_MESSAGES


async def _close(socket: WebSocket[Any, Any, Any], ending: Ending) -> None:
    """Close with the ending's code; without waiting, where the server can."""
    if ending == GONE or socket.connection_state == "disconnect":
        return
    try:
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await socket.accept()  # does nothing where that is done
            line = direct_line(socket.scope)
            if line is not None and line.close is not None:
                line.close(ending.code, ending.reason)
            else:
                await socket.close(ending.code, ending.reason)
    except (TimeoutError, WebSocketDisconnect, OSError):
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
