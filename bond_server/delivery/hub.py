"""Serve a stream's clients together: framed once, joined once a turn, one write for each.

    tail ──on_append──▶ Channel ──once a turn──▶ the live clients, one write each
                           ▲ settle                       │ a full line
                           └──────── Client.catch_up ◀────┘ a batch at a time, from the ring

A live client costs one call for each flush and no task: its handler only waits for what the
client sends. Whoever is not where the live ones are, because it replays or its line was
full, reads the ring for itself and joins them once it stands where they stand. All of that
happens in one turn of the loop, so nothing is missed or sent twice at the seam.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from bond_core.clock import NS, Clock
from bond_server.delivery.channel import Channel, Group
from bond_server.delivery.client import Client
from bond_server.delivery.counters import Delivered
from bond_server.delivery.endings import EXPIRED, INTERNAL, SLOW, Ending
from bond_server.streams import AnyStream

HEARTBEAT_S = 15
STALLED_AFTER_S = 10.0
"""A client whose line takes nothing for so long is given up."""

_SOON_S = 0.001

_log = logging.getLogger("bond.server")


class Hub:
    """All clients of this process, and the one task that looks after them each second.

    The task lives while there are clients: it ends whoever's token is over or who takes nothing
    any more, and sends heartbeats, to a fifteenth of the clients each second.

    Attributes:
        clock: The only clock.
        clients: All who are connected now.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.clients: set[Client] = set()
        self._channels: dict[AnyStream, Channel] = {}
        self._to_flush: list[Channel] = []
        self._full: set[Client] = set()
        self._expiring: dict[int, set[Client]] = {}
        self._beats: list[set[Client]] = [set() for _ in range(HEARTBEAT_S)]
        self._second = 0
        self._ticker: asyncio.Task[None] | None = None

    def channel(self, stream: AnyStream, counts: Delivered) -> Channel:
        """Return the channel of a stream, which is there while it has clients."""
        return self._channels.get(stream) or Channel(self, stream, counts)

    async def serve(self, client: Client, listen: Callable[[], Awaitable[Ending]]) -> Ending:
        """Serve a client until its session is over, and return why.

        Args:
            client: Not served yet.
            listen: Takes what the client sends; returns when it leaves, or must.
        """
        beats = self._beats[self._second]
        self._add(client, beats)
        try:
            client.begin()
            return client.ending or await _interruptible(client, listen)
        finally:
            client.end(INTERNAL)  # where it has ended, this does nothing
            client.line.listener = None
            self._remove(client, beats)

    def schedule(self, channel: Channel) -> None:
        """Flush a channel when everything that is ready now has run, along with all others."""
        if not self._to_flush:
            asyncio.get_running_loop().call_soon(self._flush)
        self._to_flush.append(channel)

    def _flush(self) -> None:
        channels, self._to_flush = self._to_flush, []
        writes: list[tuple[Group, Any]] = []
        for channel in channels:
            try:
                channel.take_new(writes)
            except Exception:  # noqa: BLE001 -- a bug for one stream must not end it for all
                _log.exception("reading stream %s failed", channel.stream.stream_id)
        for group, data in writes:  # nothing but writing: it is where the time goes
            group.write(data)
        for channel in channels:
            channel.let_in()

    def is_full(self, client: Client) -> None:
        """Watch whether it stays so."""
        client.full_since_ns = self.clock.monotonic_ns()
        self._full.add(client)

    def is_full_no_more(self, client: Client) -> None:
        """Watch it no more."""
        client.full_since_ns = None
        self._full.discard(client)

    def _add(self, client: Client, beats: set[Client]) -> None:
        channel = self._channels.setdefault(client.channel.stream, client.channel)
        client.channel = channel  # another one's, where two came at once
        channel.clients += 1
        self.clients.add(client)
        beats.add(client)
        if client.end_s is not None:
            self._expiring.setdefault(client.end_s, set()).add(client)
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick(), name="look after clients")

    def _remove(self, client: Client, beats: set[Client]) -> None:
        client.channel.clients -= 1
        if not client.channel.clients:
            del self._channels[client.channel.stream]
        self.clients.discard(client)
        beats.discard(client)
        self._full.discard(client)
        if client.end_s is not None:
            expiring = self._expiring[client.end_s]
            expiring.discard(client)
            if not expiring:
                del self._expiring[client.end_s]
        if not self.clients and self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
            self._second = 0

    async def _tick(self) -> None:
        second_over_ns = self.clock.monotonic_ns() + NS
        while True:
            left_s = (second_over_ns - self.clock.monotonic_ns()) / NS
            await self.clock.sleep(max(_SOON_S, min(left_s, self._until_expiry_s())))
            try:
                self._expire()
                if self.clock.monotonic_ns() >= second_over_ns:
                    second_over_ns += NS
                    self._second = (self._second + 1) % HEARTBEAT_S
                    self._give_up()
                    self._beat()
            except Exception:  # noqa: BLE001 -- a bug for one must not end it for all
                _log.exception("looking after clients failed; they are served on")

    def _until_expiry_s(self) -> float:
        """Return when the first of the tokens is over; who comes meanwhile waits a second more."""
        if not self._expiring:
            return 1.0
        return min(self._expiring) - self.clock.now_ns() / NS + _SOON_S

    def _expire(self) -> None:
        now_s = self.clock.now_ns() / NS
        for end_s in [end_s for end_s in self._expiring if end_s < now_s]:
            for client in tuple(self._expiring[end_s]):
                client.end(EXPIRED)

    def _give_up(self) -> None:
        since_ns = self.clock.monotonic_ns() - STALLED_AFTER_S * NS
        for client in tuple(self._full):
            if client.full_since_ns is not None and client.full_since_ns <= since_ns:
                client.end(SLOW)

    def _beat(self) -> None:
        now_ms = self.clock.now_ns() // 1_000_000
        for client in tuple(self._beats[self._second]):
            if client.ending is None and not client.line.is_full:
                client.say(client.speech.heartbeat(client.channel.stream.tail.top, now_ms))


async def _interruptible(client: Client, listen: Callable[[], Awaitable[Ending]]) -> Ending:
    """Listen until `client.end` is called, as `asyncio.timeout` waits until it is time."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- this is a coroutine, so a task runs it
    client.interrupt = task.cancel
    try:
        ending = await listen()
    except asyncio.CancelledError:
        if client.ending is None or task.uncancel():
            raise
        return client.ending
    finally:
        client.interrupt = None
    return ending
