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
from typing import Any

import attrs
import msgspec
from litestar import Request, Response, get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from bond_core.clock import Clock
from bond_core.log.cursor import Cursor, Hole
from bond_core.log.event_log import Entry
from bond_server.auth.access import Access
from bond_server.auth.listeners import Admission, ServerFullError
from bond_server.auth.project import OPEN, needs
from bond_server.auth.refusals import TooManyError
from bond_server.delivery.counters import Counters, Delivered
from bond_server.delivery.drain import Drain
from bond_server.delivery.session import (
    COMPLETE,
    DELETED,
    GONE,
    INTERNAL,
    RESTART,
    SLOW,
    Ending,
    ending_of,
    expiry,
    revocation,
    run_session,
)
from bond_server.delivery.start import Start, find_start
from bond_server.local import Bond, Stream
from bond_server.problems import UnknownStreamError
from bond_server.routes.given import Given, StreamId
from bond_server.routes.operations import Listens, problem_answers

HEARTBEAT_S = 15.0
RETRY_MS = 2000

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
    request: Request[Any, Any, Any], stream_id: StreamId, bond: Given[Bond], access: Given[Access],
    counters: Given[Counters], drain: Given[Drain],
) -> Response[bytes]:  # fmt: skip
    """Send records from where the client was: Last-Event-ID, else `after`, else `from`."""
    admission = access.admit(request, stream_id)
    stream = bond.find(stream_id)
    if stream is None:
        raise UnknownStreamError(stream_id)
    query = request.query_params
    after = request.headers.get("last-event-id") or query.get("after")
    async with access.replays:
        start = await find_start(
            bond.log, stream_id, from_=query.get("from"), after=after, now_ns=bond.clock.now_ns()
        )
    return EventStream(
        Listening(
            bond=bond, stream=stream, start=start, admission=admission, counters=counters,
            drain=drain,
        )
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class Listening:
    """What a client of Server-Sent Events is served from."""

    bond: Bond
    stream: Stream
    start: Start
    admission: Admission
    counters: Counters
    drain: Drain

    async def serve(self, send: Send, receive: Receive) -> None:
        """Serve one client until its session is over, and tell it why."""
        stream_id = self.stream.stream_id
        client = EventClient(send, receive)
        with self.drain.session(), self.counters.client(self.stream, "sse") as counts:
            try:
                with self.admission:
                    ending = await self._run(client, counts)
            except (TooManyError, ServerFullError):  # others came since it was asked
                ending = Ending(4429, "connections")
            except Exception:  # noqa: BLE001 -- whatever it is, the client is told
                _log.exception("the session of a client of stream %s failed", stream_id)
                ending = INTERNAL
            counts.slow += ending == SLOW
            await client.end(ending)

    async def _run(self, client: EventClient, counts: Delivered) -> Ending:
        cursor = self._cursor()
        if cursor is None:
            return DELETED
        clock = self.bond.clock
        try:
            return await run_session(
                client,
                cursor,
                expiry(clock, self.admission.grant.end_s),
                revocation(self.admission),
                self.drain.ending(),
                client.heartbeat(clock),
                how_it_ended=self._how_it_ended,
                counters=counts,
                live_from=self.start.top,
                wrote=self.stream.wrote,
            )
        finally:
            cursor.close()

    def _cursor(self) -> Cursor | None:
        try:
            return self.bond.cursor(self.stream.stream_id, self.start.after)
        except KeyError:  # deleted since it was found
            return None

    def _how_it_ended(self) -> Ending:
        return ending_of(self.stream)


class EventClient:
    """A client on an HTTP response that doesn't end."""

    def __init__(self, send: Send, receive: Receive) -> None:
        self._send = send
        self._receive = receive

    async def send(self, entry: Entry) -> None:
        """See Outlet."""
        await self._write(b"id: %s\ndata: %s\n\n" % (str(entry.offset).encode(), entry.data))

    async def tell_hole(self, hole: Hole) -> None:
        """Say from where to where records are missing, and why."""
        gap = {"from": str(hole.after), "to": str(hole.until), "reason": hole.reason}
        await self._write(_event("gap", gap))

    async def listen(self) -> Ending:
        """Wait until the client leaves."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        return GONE

    async def heartbeat(self, clock: Clock) -> Ending:
        """Tell how soon to come back; then show now and then that the connection lives."""
        await self._write(b"retry: %d\n\n" % RETRY_MS)
        while True:
            await clock.sleep(HEARTBEAT_S)
            await self._write(b": hb %d\n\n" % (clock.now_ns() // 1_000_000))

    async def end(self, ending: Ending) -> None:
        """Say why it is over, if the client is there to hear it, and end the response."""
        if ending in (GONE, SLOW):
            return
        said = b""
        if ending == COMPLETE:
            said = _event("complete", {})
        elif ending != RESTART:
            said = _event("problem", {"code": ending.reason, "retryable": ending == INTERNAL})
        try:
            async with asyncio.timeout(1.0):
                await self._send({"type": "http.response.body", "body": said, "more_body": False})
        except (TimeoutError, OSError):
            pass

    async def _write(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})


class EventStream(Response[bytes]):
    """The response; its body is a session."""

    def __init__(self, listening: Listening) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(
            b"", headers=headers | listening.start.headers(), media_type="text/event-stream"
        )
        self._listening = listening

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> ASGIResponse:
        """See Response."""
        plain = super().to_asgi_response(*args, **kwargs)
        return _Endless(plain, self._listening)


class _Endless(ASGIResponse):
    """Sends headers, then whatever the session sends."""

    _should_set_content_length = False

    def __init__(self, like: ASGIResponse, listening: Listening) -> None:
        headers = [pair for pair in like.headers.items() if pair[0].lower() != "content-length"]
        super().__init__(headers=headers, media_type="text/event-stream")
        self._listening = listening

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Run the session."""
        await self._listening.serve(send, receive)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
