"""One stream's live clients: in groups that get the same bytes, all at the same place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bond_core.log.event_log import Entry
from bond_core.log.offset import Offset
from bond_core.wire.frames import FrameCache
from bond_server.delivery.client import Client
from bond_server.delivery.counters import Delivered
from bond_server.delivery.endings import ending_of
from bond_server.delivery.line import BATCH_BYTES, Form
from bond_server.delivery.speech import Speech
from bond_server.streams import AnyStream

if TYPE_CHECKING:
    from bond_server.delivery.hub import Hub

_ENTRIES_A_FLUSH = 4096


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

    def __init__(self, hub: Hub, stream: AnyStream, counts: Delivered) -> None:
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
        client.is_settled = True
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
        client.is_settled = False
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
            self._caches.clear()
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
            self._forget_frames()
        if self.position < self._tail.top:
            self._on_append()

    def _forget_frames(self) -> None:
        """Keep frames of what the ring keeps only."""
        oldest = self._tail.oldest
        if oldest is not None:
            for cache in self._caches.values():
                cache.forget(oldest.offset)

    def let_in(self) -> None:
        """Take in those who stood ahead, where the live ones have come; see to the end."""
        if self._sent is not None and self._groups:
            self.stream.wrote(self._sent)
            self._sent = None
        if self._ahead:
            for client in tuple(self._ahead):
                if client.cursor.position <= self.position:
                    self._ahead.discard(client)
                    client.is_settled = False
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
