"""What was delivered to a stream's clients in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs


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
    """Counts by stream, as long as the stream or a client of it is there."""

    def __init__(self) -> None:
        self._by_stream: dict[str, Delivered] = {}

    def of(self, stream_id: str) -> Delivered:
        """Return a stream's counts; zeros where there are none."""
        return self._by_stream.get(stream_id, Delivered())

    def forget(self, stream_id: str) -> None:
        """Let the counts of a stream that is gone go, unless a client is still leaving."""
        if not self.of(stream_id).clients:
            self._by_stream.pop(stream_id, None)

    @contextmanager
    def client(self, stream_id: str) -> Iterator[Delivered]:
        """Count a client while it is there."""
        counts = self._by_stream.setdefault(stream_id, Delivered())
        counts.clients += 1
        try:
            yield counts
        finally:
            counts.clients -= 1
