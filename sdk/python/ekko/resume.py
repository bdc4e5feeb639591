"""Follow a stream across dropped connections, so that every record comes once and in order.

No socket is opened here: `dial` does that, and clock and chance come in, too. A record's id is
`<ms>-<n>`; connecting again with `after=<last id>` goes on exactly where it stopped. Where the
server has lost records, a `Gap` says so. What a connection's end means stands in `ekko.drops`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from urllib.parse import urlencode

import attrs

from ekko.drops import Dropped, ResumePolicy, Tries, after_drop, final_error
from ekko.errors import (
    APIConnectionError,
    APIError,
    NotFoundError,
    StreamDeletedError,
    UnexpectedAnswerError,
)
from ekko.event import Event, gap_before, position

log = logging.getLogger("ekko")

ENVELOPES = "bond.v1.json"
"""The subprotocol in which a server says more than records; without it, each frame is one."""


class Connection(Protocol):
    """One open WebSocket, for one reader."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers with which the server accepted."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next frame. Cancelling loses none. Raises Dropped when there are no more."""
        ...

    def quiet_s(self) -> float:
        """Return the seconds since anything at all was heard, be it a ping."""
        ...


Dial = Callable[[str], AbstractAsyncContextManager[Connection]]
"""Opens a WebSocket; raises Dropped. Its URL holds the token: it must not be logged."""


@attrs.frozen
class Ticket:
    """The right to connect.

    Attributes:
        endpoint: The WebSocket's address, without query.
        token: The token.
        renew_at_s: When to get a fresh one, on the policy's clock; None when nobody knows.
    """

    endpoint: str
    token: str = attrs.field(repr=False)
    renew_at_s: float | None = None


@attrs.frozen
class _Hole:
    """Records are lost after this position, and the client isn't told yet."""

    after: str
    reason: str


@attrs.define(kw_only=True)
class Subscription:
    """One client's place in one stream.

    Attributes:
        stream_id: The stream.
        dial: Opens a WebSocket.
        renew: Gets a fresh ticket from the server.
        ticket: The ticket to start with; None to get one first.
        after: Start after this id (or `ts`); then the position reached.
        from_: Start at this moment; `after` wins.
        slow: What the server does when this client reads too slowly.
        revive: Asks for the stream again when it has ended while this client was away; None when
            an ended stream stays ended.
        opening: What to do before the first connection, such as to create the stream.
    """

    stream_id: str
    dial: Dial
    renew: Callable[[], Awaitable[Ticket]]
    ticket: Ticket | None = None
    after: str | None = None
    from_: str | None = None
    slow: str | None = None
    revive: Callable[[], Awaitable[Ticket]] | None = None
    opening: Callable[[], Awaitable[None]] | None = None
    policy: ResumePolicy = attrs.field(factory=ResumePolicy)
    _tries: Tries = attrs.field(factory=Tries, init=False)
    _epoch: str | None = attrs.field(default=None, init=False)  # which life of the server's log
    _hole: _Hole | None = attrs.field(default=None, init=False)  # to be told with the next record
    _is_enveloped: bool = attrs.field(default=False, init=False)
    _has_warned: bool = attrs.field(default=False, init=False)  # on this connection

    async def records(self) -> AsyncGenerator[Event, None]:
        """Yield each record once, in order, and each gap, until the stream is complete.

        Raises:
            StreamDeletedError: The stream is gone.
            StreamRefusedError: Connecting again can't help.
            AuthenticationError: Fresh tokens are refused, too.
            APIConnectionError: There never was a connection.
            APIError: The server refuses to renew the token.
            UnexpectedAnswerError: What arrived is no record.
        """
        if self.opening is not None:
            await self.opening()
        while True:
            try:
                ticket = await self._ticket_to_use()
                async with self.dial(self._url(ticket)) as connection:
                    self._saw_connection(connection)
                    while (frame := await self._next_frame(connection)) is not None:
                        record = self._record_in(frame)
                        if record is None or not self._moves_on(record):
                            continue
                        if self._hole is not None:
                            hole, self._hole = self._hole, None
                            yield gap_before(record, after=hole.after, reason=hole.reason)
                        yield Event(record)
            except Dropped as drop:
                if not await self._recovers(drop):
                    return
            except StreamDeletedError:
                if not self._revives():
                    raise

    async def _next_frame(self, connection: Connection) -> str | bytes | None:
        """Return the next frame; None when it is time to go on with a fresh token."""
        wait_s = self.policy.silence_s
        while True:
            renew_in_s = self._renew_in_s()
            if renew_in_s <= 0 and await self._renews():
                return None
            try:
                async with asyncio.timeout(min(wait_s, max(renew_in_s, 0.0))):
                    return await connection.receive()
            except TimeoutError:
                # Nobody listened while the caller was busy with the last record: silence
                # counts from here on, too.
                wait_s = self.policy.silence_s - connection.quiet_s()
                if wait_s <= 0:
                    silence = f"nothing was heard for {self.policy.silence_s:g} s"
                    raise Dropped(silence) from None

    def _record_in(self, frame: str | bytes) -> dict[str, Any] | None:
        """Return the record that a frame holds; None when the server says something else."""
        try:
            said = json.loads(frame)
        except ValueError:
            said = None
        if isinstance(said, dict):
            if not self._is_enveloped:
                return said
            record = said.get("d")
            if isinstance(record, dict):
                return record
            if isinstance(said.get("t"), str):
                self._saw_message(said)
                return None
        url = self.ticket.endpoint if self.ticket else self.stream_id
        raise UnexpectedAnswerError(url, f"sent a frame that is no record: {frame[:80]!r}")

    def _saw_message(self, said: Mapping[str, Any]) -> None:
        """Remember a gap. The other messages say nothing that headers and close codes don't."""
        if said["t"] == "gap":
            self._lost(str(self.after or said.get("from")), str(said.get("reason") or "unknown"))

    def _lost(self, after: str, reason: str) -> None:
        log.warning(
            "stream %s: the server no longer has all records after %s (%s); some are lost",
            self.stream_id,
            after,
            reason,
        )
        if self._hole is None:
            self._hole = _Hole(after, reason)

    def _moves_on(self, record: Mapping[str, Any]) -> bool:
        """Remember the record's position; False when that had been reached before."""
        reached = record.get("id") or record.get("ts")
        if not isinstance(reached, str):
            return True
        was, now = position(self.after), position(reached)
        if was is not None and now is not None and now <= was:
            if not self._has_warned:
                self._has_warned = True
                log.warning(
                    "stream %s: the server sent record %s again after %s; skipped",
                    self.stream_id,
                    reached,
                    self.after,
                )
            return False
        self.after = reached
        self._tries.saw_record()
        return True

    def _saw_connection(self, connection: Connection) -> None:
        self._tries.connected = True
        self._has_warned = False
        headers = connection.headers
        self._is_enveloped = headers.get("Sec-WebSocket-Protocol") == ENVELOPES
        before, self._epoch = self._epoch, headers.get("Bond-Epoch")
        if self.after is not None:
            began_anew = None not in (before, self._epoch) and before != self._epoch
            if not self._is_enveloped and (began_anew or headers.get("Bond-Replay") == "truncated"):
                self._lost(self.after, "epoch" if began_anew else "trimmed")
        elif self.from_ is None:
            # A live client that drops before its first record goes on from where it came in.
            top = headers.get("Bond-Top-Id")
            self.after = top if position(top) else None

    async def _recovers(self, drop: Dropped) -> bool:
        """Wait as long as this drop asks for; False when the stream is complete."""
        again = after_drop(drop, self._tries, self.policy)
        if again is None:
            if drop.code == 1000:
                return False
            if drop.code == 4404 and self._revives():
                return True
            endpoint = self.ticket.endpoint if self.ticket else f"stream {self.stream_id}"
            raise final_error(
                drop, stream_id=self.stream_id, endpoint=endpoint, last_id=self.after
            ) from None
        self._tries.drops += 1
        if again.renew:
            self._tries.refusals += 1
            self.ticket = None
        log.warning("stream %s: %s; connecting again in %.1f s", self.stream_id, drop, again.wait_s)
        await self.policy.sleep(again.wait_s)
        return True

    def _revives(self) -> bool:
        """Whether to ask for the stream again: once, and if it ended while this client was away."""
        if self.revive is None or not self._tries.drops or self._tries.revived:
            return False
        self._tries.revived = True
        self.ticket = None
        log.warning(
            "stream %s: it ended while the connection was down; asking for it again. "
            "Records since %s may be missing",
            self.stream_id,
            self.after,
        )
        if self.after is not None and self._hole is None:
            self._hole = _Hole(self.after, "ended")
        return True

    async def _ticket_to_use(self) -> Ticket:
        if self.ticket is None or self._renew_in_s() <= 0:
            await self._renews()
        if self.ticket is None:
            raise Dropped("no token")  # not reached: without a ticket, _renews gets one or raises
        return self.ticket

    def _renew_in_s(self) -> float:
        """Return the seconds until the token is to be renewed; negative when that is overdue."""
        if self.ticket is None or self.ticket.renew_at_s is None:
            return float("inf")
        return self.ticket.renew_at_s - self.policy.now()

    async def _renews(self) -> bool:
        """Get a fresh ticket; False when that failed for now and the old one goes on.

        Raises:
            Dropped: It failed for now, and there is no old one.
            StreamDeletedError: There is no such stream any more.
            APIError: The server refuses.
        """
        get = self.revive if self.revive and self._tries.revived else self.renew
        try:
            self.ticket = await get()
        except NotFoundError as error:
            raise StreamDeletedError(self.stream_id, error.detail, self.after) from None
        except (APIConnectionError, APIError) as error:
            if isinstance(error, APIError) and not error.retryable:
                raise
            said = f"no fresh token: {str(error).partition(chr(10))[0]}"
            if self.ticket is None:
                retry_after_s = error.retry_after_s if isinstance(error, APIError) else None
                raise Dropped(said, retry_after_s=retry_after_s) from None
            log.warning("stream %s: %s", self.stream_id, said)
            later_s = self.policy.now() + self.policy.backoff.cap_s
            self.ticket = attrs.evolve(self.ticket, renew_at_s=later_s)
            return False
        return True

    def _url(self, ticket: Ticket) -> str:
        query = {"token": ticket.token, "slow": self.slow}
        if self.after is not None:
            query |= {"after": self.after, "epoch": self._epoch}
        else:
            query["from"] = self.from_
        asked = {key: value for key, value in query.items() if value is not None}
        return f"{ticket.endpoint}?{urlencode(asked)}"
