"""Follow a stream across dropped connections, so that every record comes once and in order.

No socket is opened here: `dial` does that, and clock and chance come in, too. A record's id is
`<ms>-<n>`; connecting again with `after=<last id>` goes on exactly where it stopped. What a
connection's end means stands in `ekko.drops`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
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

log = logging.getLogger("ekko")

_ID = re.compile(r"(\d+)-(\d+)")


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
    """

    stream_id: str
    dial: Dial
    renew: Callable[[], Awaitable[Ticket]]
    ticket: Ticket | None = None
    after: str | None = None
    from_: str | None = None
    slow: str | None = None
    revive: Callable[[], Awaitable[Ticket]] | None = None
    policy: ResumePolicy = attrs.field(factory=ResumePolicy)
    _tries: Tries = attrs.field(factory=Tries, init=False)
    _epoch: str | None = attrs.field(default=None, init=False)  # which life of the server's log

    async def records(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield each record once, in order, until the stream is complete.

        Raises:
            StreamDeletedError: The stream is gone.
            StreamRefusedError: Connecting again can't help.
            AuthenticationError: Fresh tokens are refused, too.
            APIConnectionError: There never was a connection.
            APIError: The server refuses to renew the token.
            UnexpectedAnswerError: What arrived is no record.
        """
        while True:
            try:
                ticket = await self._ticket_to_use()
                async with self.dial(self._url(ticket)) as connection:
                    self._saw_connection(connection)
                    warned = False
                    while (frame := await self._next_frame(connection)) is not None:
                        record = self._decoded(frame)
                        if self._moves_on(record):
                            yield record
                        elif not warned:
                            warned = True
                            log.warning(
                                "stream %s: the server sent record %s again after %s; skipped",
                                self.stream_id,
                                record["id"],
                                self.after,
                            )
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

    def _decoded(self, frame: str | bytes) -> dict[str, Any]:
        try:
            record = json.loads(frame)
        except ValueError:
            record = None
        if isinstance(record, dict):
            return record
        url = self.ticket.endpoint if self.ticket else self.stream_id
        raise UnexpectedAnswerError(url, f"sent a frame that is no record: {frame[:80]!r}")

    def _moves_on(self, record: Mapping[str, Any]) -> bool:
        """Remember the record's position; False when that had been reached before."""
        reached = record.get("id") or record.get("ts")
        if not isinstance(reached, str):
            return True
        was, now = _position(self.after), _position(reached)
        if was is not None and now is not None and now <= was:
            return False
        self.after = reached
        self._tries.saw_record()
        return True

    def _saw_connection(self, connection: Connection) -> None:
        self._tries.connected = True
        headers = connection.headers
        before, self._epoch = self._epoch, headers.get("Bond-Epoch")
        if self.after is not None:
            began_anew = None not in (before, self._epoch) and before != self._epoch
            if began_anew or headers.get("Bond-Replay") == "truncated":
                log.warning(
                    "stream %s: the server no longer has all records after %s; some are lost",
                    self.stream_id,
                    self.after,
                )
        elif self.from_ is None:
            # A live client that drops before its first record goes on from where it came in.
            top = headers.get("Bond-Top-Id")
            self.after = top if _position(top) else None

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
        query["after" if self.after is not None else "from"] = self.after or self.from_
        asked = {key: value for key, value in query.items() if value is not None}
        return f"{ticket.endpoint}?{urlencode(asked)}"


def _position(text: str | None) -> tuple[int, int] | None:
    """Return an id's two numbers; None for anything but an id."""
    found = _ID.fullmatch(text) if text else None
    return (int(found[1]), int(found[2])) if found else None
