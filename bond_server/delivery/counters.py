"""What was delivered to a stream's clients in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args
from weakref import WeakKeyDictionary, finalize

import attrs

from bond_server.streams import AnyStream

Transport = Literal["websocket", "sse"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)


@attrs.define
class Delivered:
    """Counts of one stream.

    Attributes:
        clients: Sessions that are open now.
        sent: Records sent, to all clients together.
        sent_bytes: How large they were, without what frames them.
        conflated: Records left out for clients that asked to skip what they can't follow.
        slow: Clients that were cut off because they could not keep up.
    """

    clients: int = 0
    sent: int = 0
    sent_bytes: int = 0
    conflated: int = 0
    slow: int = 0

    def add(self, other: Delivered) -> None:
        """Take in another's counts, but for its clients: they are where they are."""
        self.sent += other.sent
        self.sent_bytes += other.sent_bytes
        self.conflated += other.conflated
        self.slow += other.slow


class Counters:
    """Counts by stream; they go when the stream goes, however that comes about.

    Attributes:
        clients: Sessions that are open now, by how they are connected.
    """

    def __init__(self) -> None:
        self.clients: Counter[Transport] = Counter()
        self._by_stream: WeakKeyDictionary[AnyStream, Delivered] = WeakKeyDictionary()
        self._gone = Delivered()

    def of(self, stream: AnyStream) -> Delivered:
        """Return a stream's counts."""
        counts = self._by_stream.get(stream)
        if counts is None:
            counts = self._by_stream[stream] = Delivered()
            finalize(stream, self._gone.add, counts).atexit = False
        return counts

    def total(self) -> Delivered:
        """Return the sums over all streams there ever were; they never fall."""
        sums = Delivered(clients=self.clients.total())
        sums.add(self._gone)
        for counts in self._by_stream.values():
            sums.add(counts)
        return sums

    @contextmanager
    def client(self, stream: AnyStream, transport: Transport) -> Iterator[Delivered]:
        """Count a client while it is there."""
        counts = self.of(stream)
        counts.clients += 1
        self.clients[transport] += 1
        try:
            yield counts
        finally:
            counts.clients -= 1
            self.clients[transport] -= 1
