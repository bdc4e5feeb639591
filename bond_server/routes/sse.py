"""`/v1/streams/{id}/events`: a stream's records as Server-Sent Events.

    id: 1761053405000-0             each record, unnamed
    data: {"id": "1761053405000-0", …}

    event: gap | problem | complete     what else there is to say
    : hb 1761053410123                  every 15 s

Who was cut off comes back with the last id it got, and goes on behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import attrs
from litestar import Request, Response, get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from bond_server.auth.access import Access
from bond_server.auth.listeners import Admission, ServerFullError
from bond_server.auth.project import OPEN, needs
from bond_server.auth.refusals import TooManyError
from bond_server.delivery.client import Client
from bond_server.delivery.counters import Counters
from bond_server.delivery.drain import Drain
from bond_server.delivery.endings import (
    DELETED,
    GONE,
    INTERNAL,
    REVOKED,
    SLOW,
    TOO_MANY_CONNECTIONS,
    Ending,
)
from bond_server.delivery.hub import Hub
from bond_server.delivery.line import BODIES, AsgiLine, DirectLine, direct_line
from bond_server.delivery.speech import EVENTS
from bond_server.delivery.start import Start, find_start
from bond_server.problems import UnknownStreamError
from bond_server.routes.given import Given, StreamId
from bond_server.routes.operations import Listens, problem_answers
from bond_server.routes.query import LISTENING, check_query
from bond_server.service import Service
from bond_server.streams import AnyStream

_END_WITHIN_S = 1.0
_LAST_ID = "lastEventId"

_log = logging.getLogger("bond.server")


@get(
    "/v1/streams/{stream_id:str}/events",
    media_type="text/event-stream",
    summary="Listen to a stream",
    operation_class=Listens,
    opt=needs(OPEN),
    responses=problem_answers(400, 401, 403, 404, 422, 429, 503),
)
async def stream_events(
    request: Request[Any, Any, Any], stream_id: StreamId, bond: Given[Service],
    access: Given[Access], counters: Given[Counters], drain: Given[Drain], hub: Given[Hub],
) -> Response[bytes]:  # fmt: skip
    """Send records from where the client was: Last-Event-ID, else `after`, else `from`.

    Those who stand in for a browser's EventSource send `lastEventId` in the query.
    """
    admission = access.admit(request, stream_id)
    query = request.query_params
    check_query(query, (*LISTENING, _LAST_ID))
    stream = await bond.look(stream_id)
    if stream is None:
        raise UnknownStreamError(stream_id)
    last_id = request.headers.get("last-event-id") or query.get(_LAST_ID)
    async with access.replays:
        start = await find_start(
            bond.log, stream_id, from_=query.get("from"), after=last_id or query.get("after"),
            now_ns=bond.clock.now_ns(), epoch=query.get("epoch"),
        )  # fmt: skip
    return EventStream(
        Listening(
            bond=bond, stream=stream, start=start, admission=admission, counters=counters,
            drain=drain, hub=hub, scope=request.scope,
        )
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class Listening:
    """What a client of Server-Sent Events is served from."""

    bond: Service
    stream: AnyStream
    start: Start
    admission: Admission
    counters: Counters
    drain: Drain
    hub: Hub
    scope: Any

    def headers(self) -> Mapping[str, str]:
        """Say where in the stream it starts."""
        return self.start.headers()

    async def serve(self, send: Send, receive: Receive) -> None:
        """Serve one client until its session is over, and tell it why."""
        stream_id = self.stream.stream_id
        try:
            cursor = await self.bond.listen(self.stream, self.start.after)
        except KeyError:  # deleted since it was found
            await _end(send, EVENTS.bye(DELETED))
            return
        line = direct_line(self.scope) or AsgiLine(send, BODIES)
        try:
            with self.admission, self.counters.client(self.stream, "sse") as counts:
                client = Client(
                    line=line, speech=EVENTS, cursor=cursor, start=self.start,
                    end_s=self.admission.grant.end_s,
                    channel=self.hub.channel(self.stream, counts),
                )  # fmt: skip
                self.admission.on_revoked(lambda: client.end(REVOKED))
                with self.drain.session(client.end):
                    ending = await self._run(client, send, receive)
                counts.slow += ending == SLOW
        except (TooManyError, ServerFullError):  # others came since it was asked
            await _end(send, EVENTS.bye(TOO_MANY_CONNECTIONS))
        except Exception:  # noqa: BLE001 -- whatever it is, the client is told
            _log.exception("the session of a client of stream %s failed", stream_id)
            await _end(send, EVENTS.bye(INTERNAL))
        finally:
            cursor.close()

    async def _run(self, client: Client, send: Send, receive: Receive) -> Ending:
        line = client.line
        if isinstance(line, AsgiLine):
            async with line:
                ending = await self.hub.serve(client, lambda: _until_gone(receive))
                if ending not in (GONE, SLOW):
                    try:
                        async with asyncio.timeout(_END_WITHIN_S):
                            await line.finish()
                    except TimeoutError:
                        ending = SLOW
        else:
            ending = await self.hub.serve(client, lambda: _until_gone(receive))
        if ending == SLOW and isinstance(line, DirectLine):
            line.abort()
            await _until_gone(receive)
        elif ending != GONE:
            await _end(send, client.speech.bye(ending))
        return ending


async def _until_gone(receive: Receive) -> Ending:
    while (await receive())["type"] != "http.disconnect":
        pass
    return GONE


async def _end(send: Send, said: bytes | None) -> None:
    """End the response with what is to be said, if the client is there to hear it."""
    try:
        async with asyncio.timeout(_END_WITHIN_S):
            await send({"type": "http.response.body", "body": said or b"", "more_body": False})
    except (TimeoutError, OSError):
        pass


class Session(Protocol):
    """What a client of Server-Sent Events is served by."""

    def headers(self) -> Mapping[str, str]:
        """Return what is said ahead of the events."""
        ...

    async def serve(self, send: Send, receive: Receive) -> None:
        """Serve one client until its session is over."""
        ...


class EventStream(Response[bytes]):
    """The response; its body is a session."""

    def __init__(self, session: Session) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(
            b"", headers=headers | dict(session.headers()), media_type="text/event-stream"
        )
        self._session = session

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> ASGIResponse:
        """See Response."""
        plain = super().to_asgi_response(*args, **kwargs)
        return _Endless(plain, self._session)


class _Endless(ASGIResponse):
    """Sends headers, then whatever the session sends."""

    _should_set_content_length = False

    def __init__(self, like: ASGIResponse, session: Session) -> None:
        headers = [pair for pair in like.headers.items() if pair[0].lower() != "content-length"]
        super().__init__(headers=headers, media_type="text/event-stream")
        self._session = session

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Run the session."""
        await self._session.serve(send, receive)
