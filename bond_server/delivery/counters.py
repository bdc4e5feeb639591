"""What was delivered to a stream's clients in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import attrs

from bond_server.local import Stream


@attrs.define
class Delivered:
    """Counts of one stream.

    Attributes:
        clients: Sessions that are open now.
        sent: Records sent, to all clients together.
        conflated: Records left out for clients that asked to skip what they can't follow.
        slow: Clients that were cut off because they could not keep up.
    """

    clients: int = 0
    sent: int = 0
    conflated: int = 0
    slow: int = 0


class Counters:
    """Counts by stream; they go when the stream goes, however that comes about."""

    def __init__(self) -> None:
        self._by_stream: WeakKeyDictionary[Stream, Delivered] = WeakKeyDictionary()

    def of(self, stream: Stream) -> Delivered:
        """Return a stream's counts."""
        return self._by_stream.setdefault(stream, Delivered())

    @contextmanager
    def client(self, stream: Stream) -> Iterator[Delivered]:
        """Count a client while it is there."""
        counts = self.of(stream)
        counts.clients += 1
        try:
            yield counts
        finally:
            counts.clients -= 1
