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
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bond_core.clock import NS, Clock
from bond_core.log.event_log import Entry
from bond_core.log.offset import Offset
from bond_core.wire.frames import FrameCache
from bond_server.delivery.client import Client
from bond_server.delivery.counters import Delivered
from bond_server.delivery.endings import EXPIRED, INTERNAL, SLOW, Ending, ending_of
from bond_server.delivery.line import BATCH_BYTES, Form
from bond_server.delivery.speech import Speech
from bond_server.local import Stream

HEARTBEAT_S = 15
STALLED_AFTER_S = 10.0
"""A client whose line takes nothing for so long is given up."""

_SOON_S = 0.001
_ENTRIES_A_FLUSH = 4096

_log = logging.getLogger("bond.server")


class Group:
    """Live clients that get the same bytes. Writing to all of them allocates nothing."""

    def __init__(self) -> None:
        self.clients: dict[Client, None] = {}
        self._writes: tuple[Callable[[Any], object], ...] | None = None

    def add(self, client: Client) -> None:
        """Write to it, too."""
        self.clients[client] = None
        self._writes = None

    def discard(self, client: Client) -> bool:
        """Write to it no more; whether it was there."""
        self._writes = None
        return self.clients.pop(client, self) is None

    def write(self, data: Any) -> None:
        """Write to all who are there now; whoever leaves meanwhile is written to once more."""
        if self._writes is None:
            self._writes = tuple(client.line.write for client in self.clients)
        writes = iter(self._writes)
        while True:
            try:
                for write in writes:
                    write(data)
            except (OSError, RuntimeError):  # that one is closed already; on with the next
                continue
            return


class Channel:
    """One stream's live clients in this process.

    Attributes:
        stream: The stream.
        hub: What it belongs to.
        counts: Where to count what its clients get.
        position: Where all its live clients stand.
        clients: How many it has, live or not.
    """

    def __init__(self, hub: Hub, stream: Stream, counts: Delivered) -> None:
        self.hub = hub
        self.stream = stream
        self.counts = counts
        self.position: Offset = stream.tail.top
        self.clients = 0
        self._tail = stream.tail
        self._groups: dict[tuple[Speech, Form], Group] = {}
        self._ahead: set[Client] = set()  # stand after what is to be flushed; join later
        self._caches: dict[tuple[Speech, Form], FrameCache] = {}
        self._sent: Entry | None = None
        self._is_scheduled = False
        self._is_attached = False

    def settle(self, client: Client) -> None:
        """Take a client that has read all there is: among the live, or until they are there."""
        if self._tail.has_ended:
            client.end(ending_of(self.stream))
            return
        if not self._groups:
            self.position = self._tail.top
        if client.cursor.position == self.position:
            key = (client.speech, client.line.form)
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group()
            group.add(client)
        else:
            self._ahead.add(client)
        if not self._is_attached:
            self._is_attached = True
            self._tail.attach(self._on_append)

    def leave(self, client: Client) -> None:
        """Let a client go; its cursor then stands where it got to."""
        key = (client.speech, client.line.form)
        group = self._groups.get(key)
        if group is not None and group.discard(client):
            client.cursor.position = self.position
            if not group.clients:
                del self._groups[key]
        self._ahead.discard(client)
        if self._is_attached and not self._groups and not self._ahead:
            self._is_attached = False
            self._tail.detach(self._on_append)

    def fell_behind(self, client: Client) -> None:
        """Take a client whose line is full out of the live ones."""
        self.leave(client)
        self.hub.is_full(client)

    def framed(self, speech: Speech, form: Form, entries: Sequence[Entry]) -> Any:
        """Return one write of entries, each framed once for all clients of its kind."""
        if self.clients < 2:
            if len(entries) == 1:  # one stream for each client costs little more than one for all
                return form.join((form.one(speech.record(entries[0])),))
            return form.join([form.one(speech.record(entry)) for entry in entries])
        key = (speech, form)
        cache = self._caches.get(key)
        if cache is None:
            cache = self._caches[key] = FrameCache(lambda entry: form.one(speech.record(entry)))
        return form.join([cache(entry) for entry in entries])

    def _on_append(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.hub.schedule(self)

    def take_new(self, writes: list[tuple[Group, Any]]) -> None:
        """Move on to what is new, a batch a turn; add to `writes` what is to be sent for it."""
        self._is_scheduled = False
        entries = _one_batch(self._tail.after(self.position, _ENTRIES_A_FLUSH))
        if not entries:
            return
        if self._groups and entries[0].prev > self.position:
            self._scatter()  # the ring has moved on: each finds out for itself
        else:
            self.position = entries[-1].offset
            size = sum([len(entry.data) for entry in entries])
            self._sent = entries[-1]
            counts = self.counts
            for (speech, form), group in self._groups.items():
                clients = len(group.clients)
                counts.sent += len(entries) * clients
                counts.sent_bytes += size * clients
                writes.append((group, self.framed(speech, form, entries)))
        if self.position < self._tail.top:
            self._on_append()

    def let_in(self) -> None:
        """Take in those who stood ahead, where the live ones have come; see to the end."""
        if self._sent is not None and self._groups:
            self.stream.wrote(self._sent)
            self._sent = None
        if self._ahead:
            for client in tuple(self._ahead):
                if client.cursor.position <= self.position:
                    self._ahead.discard(client)
                    client.catch_up()
        if self._tail.has_ended and self.position >= self._tail.top:
            self._end()

    def _scatter(self) -> None:
        for group in tuple(self._groups.values()):
            for client in tuple(group.clients):
                self.leave(client)
                client.catch_up()

    def _end(self) -> None:
        ending = ending_of(self.stream)
        for group in tuple(self._groups.values()):
            for client in tuple(group.clients):
                client.end(ending)
        for client in tuple(self._ahead):
            client.end(ending)


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
        self._channels: dict[Stream, Channel] = {}
        self._to_flush: list[Channel] = []
        self._full: set[Client] = set()
        self._expiring: dict[int, set[Client]] = {}
        self._beats: list[set[Client]] = [set() for _ in range(HEARTBEAT_S)]
        self._second = 0
        self._ticker: asyncio.Task[None] | None = None

    def channel(self, stream: Stream, counts: Delivered) -> Channel:
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


def _one_batch(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return as many as a line takes at once, and none behind a hole in the log."""
    if len(entries) < 2:
        return entries
    total = 0
    for i, entry in enumerate(entries):
        total += len(entry.data)
        if i and (total > BATCH_BYTES or entry.prev > entries[i - 1].offset):
            return entries[:i]
    return entries
