"""One client's session: walk the stream's log for it until either end is through.

A session is a few tasks in one group; the first that ends ends the others, so that no
sender waits for a client that has left, and no reader for a stream that is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import attrs

from bond_core.clock import NS, Clock
from bond_core.log.cursor import Cursor, Hole, StreamEnded
from bond_core.log.event_log import Entry
from bond_core.log.offset import Offset
from bond_server.auth.listeners import Admission
from bond_server.delivery.counters import Delivered
from bond_server.local import Stream

SEND_WITHIN_S = 10.0
"""A client that takes nothing for so long is given up."""


@attrs.frozen
class Ending:
    """Why a session is over: a WebSocket close code, and a word for it."""

    code: int
    reason: str


GONE = Ending(1006, "gone")
SLOW = Ending(4008, "slow")
EXPIRED = Ending(1008, "token_expired")
REVOKED = Ending(1008, "token_revoked")
COMPLETE = Ending(1000, "complete")
DELETED = Ending(4404, "stream_deleted")
RESTART = Ending(1012, "restart")
INTERNAL = Ending(1011, "internal")


def ending_of(stream: Stream) -> Ending:
    """Return why a stream brings nothing more: it came to its end, broke, or was deleted."""
    if stream.pipeline.failure is not None:
        return INTERNAL
    return COMPLETE if stream.is_complete else DELETED


class Outlet(Protocol):
    """A client's connection, whatever it speaks."""

    async def send(self, entry: Entry) -> None:
        """Send one record; returns when there is room for the next.

        Raises:
            ConnectionError: The client has left.
        """
        ...

    async def tell_hole(self, hole: Hole) -> None:
        """Say that records are missing here, where the framing has a way to."""
        ...

    async def listen(self) -> Ending:
        """Take what the client sends; return when it leaves, or must."""
        ...


async def run_session(
    outlet: Outlet,
    cursor: Cursor,
    *others: Awaitable[Ending],
    how_it_ended: Callable[[], Ending],
    counters: Delivered,
    slow: Literal["disconnect", "conflate"] = "disconnect",
    live_from: Offset,
    wrote: Callable[[Entry], None] = lambda _: None,
) -> Ending:
    """Serve one client until its session is over, and return why.

    Args:
        outlet: Its connection.
        cursor: Its place in the stream.
        others: What else may end the session.
        how_it_ended: Says why the stream ended, once it has.
        counters: Where to count what is sent and left out.
        slow: What happens to a client that can't keep up: it is cut off, to resume; or it
            skips to the newest window.
        live_from: Where replay ends: nothing before is ever skipped.
        wrote: Is told the newest record of each batch, once the connection has taken it.
    """
    return await first_ending(
        outlet.listen(),
        _deliver(
            outlet,
            cursor,
            how_it_ended,
            counters,
            live_from if slow == "conflate" else None,
            wrote,
        ),
        *others,
    )


async def first_ending(*parts: Awaitable[Ending]) -> Ending:
    """Run all at once, and return what the first to end returns; the others are cancelled."""
    endings: list[Ending] = []

    async def run(part: Awaitable[Ending]) -> None:
        endings.append(await part)
        raise _Over

    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(run(part))
    except* _Over:
        pass
    return endings[0]


async def expiry(clock: Clock, end_s: int) -> Ending:
    """Return when a token has stopped to count."""
    while (left_s := end_s - clock.now_ns() / NS) >= 0:
        await clock.sleep(left_s + 0.001)
    return EXPIRED


async def revocation(admission: Admission) -> Ending:
    """Return when the client's token has been revoked."""
    await admission.until_revoked()
    return REVOKED


async def _deliver(
    outlet: Outlet,
    cursor: Cursor,
    how_it_ended: Callable[[], Ending],
    counters: Delivered,
    conflate_from: Offset | None,
    wrote: Callable[[Entry], None],
) -> Ending:
    while True:
        try:
            batch = await cursor.next()
        except StreamEnded:
            return how_it_ended()
        entries: Sequence[Entry] = batch.entries
        if conflate_from is not None:
            entries = _newest_window(batch.entries, conflate_from)
            counters.conflated += len(batch.entries) - len(entries)
        elif batch.hole is not None and batch.hole.reason == "slow":
            return SLOW
        try:
            async with asyncio.timeout(SEND_WITHIN_S) as deadline:
                if batch.hole is not None:
                    await outlet.tell_hole(batch.hole)
                for entry in entries:
                    await outlet.send(entry)
                    counters.sent += 1
                    counters.sent_bytes += len(entry.data)
                    deadline.reschedule(asyncio.get_running_loop().time() + SEND_WITHIN_S)
        except TimeoutError:
            return SLOW
        except ConnectionError:
            return GONE
        if entries:
            wrote(entries[-1])


def _newest_window(entries: Sequence[Entry], live_from: Offset) -> Sequence[Entry]:
    """Return the newest window, behind what was asked to be replayed."""
    newest_ms = entries[-1].offset.ms
    return [e for e in entries if e.offset <= live_from or e.offset.ms == newest_ms]


class _Over(Exception):  # noqa: N818 -- ends a task group, and nobody sees it
    """A part of the session has ended, and the session with it."""
