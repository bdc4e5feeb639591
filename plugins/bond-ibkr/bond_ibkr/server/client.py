"""What waits for one client: ticks in a bounded buffer, and what else it has to be told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from bond_ibkr.server.messages import Reason

_MOST_NEWS = 20


class Client:
    """One client of an upstream. Filled by the event loop; emptied by who serves the client.

    Args:
        buffer_size: How many ticks wait for it; where more come one after the other, the oldest
            go.

    Attributes:
        dropped: Ticks that went so and that it wasn't told of yet.
        dropped_in_all: All of them.
        news_dropped: Other messages that went so, the oldest first, and that it wasn't told of.
        ending: Why it is over; None while it is not.
    """

    def __init__(self, buffer_size: int) -> None:
        self.dropped = self.dropped_in_all = self.news_dropped = 0
        self.ending: Reason | None = None
        self._most = buffer_size
        self._ticks: deque[bytes] = deque()
        self._news: deque[bytes] = deque(maxlen=_MOST_NEWS)
        self._more = asyncio.Event()

    def take_ticks(self, messages: Sequence[bytes]) -> None:
        """Keep ticks for it that came together: all of them, however many.

        Of older ones those stay for which there is room: a burst costs only who was behind.
        """
        if self.ending is not None:
            return
        self._ticks.extend(messages)
        over = len(self._ticks) - max(self._most, len(messages))
        for _ in range(over):
            self._ticks.popleft()
        if over > 0:
            self.dropped += over
            self.dropped_in_all += over
        self._more.set()

    def take_news(self, message: bytes) -> None:
        """Keep something for it that is no tick; it is told ahead of the ticks that wait."""
        if self.ending is None:
            self.news_dropped += len(self._news) == _MOST_NEWS
            self._news.append(message)
            self._more.set()

    def end(self, reason: Reason) -> None:
        """Let nothing more come; what waits is still told."""
        self.ending = self.ending or reason
        self._more.set()

    def ready(self, most_ticks: int | None) -> tuple[list[bytes], list[bytes]]:
        """Return and forget what waits: news, and so many ticks at most."""
        news = list(self._news)
        self._news.clear()
        n = len(self._ticks) if most_ticks is None else min(most_ticks, len(self._ticks))
        ticks = [self._ticks.popleft() for _ in range(n)]
        if not self._ticks and self.ending is None:
            self._more.clear()
        return news, ticks

    def told_of_dropped(self) -> tuple[int, int]:
        """Return how many ticks, and other messages, it is to be told of as dropped."""
        dropped = self.dropped, self.news_dropped
        self.dropped = self.news_dropped = 0
        return dropped

    async def more(self) -> None:
        """Wait until something is there for it."""
        await self._more.wait()
