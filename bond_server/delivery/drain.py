"""Leaving in order: tell every client that the server restarts, a few at a time.

Who is told comes back, to whatever takes over; if all came in the same moment it would be a
storm. So the goodbyes are spread over a time, the longer the more clients there are.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bond_server.delivery.endings import RESTART, Ending

MOST_SPREAD_S = 10.0
_EACH_S = 0.01  # a hundred a second, unless that would take too long
_STEP_S = 0.05


class Drain:
    """Whether the server is leaving, and who has not left yet.

    Args:
        spread_s: The longest time over which the goodbyes are spread.
        chance: Decides in which order.
    """

    def __init__(
        self, *, spread_s: float = MOST_SPREAD_S, chance: random.Random | None = None
    ) -> None:
        self.spread_s = min(spread_s, MOST_SPREAD_S)
        self.is_draining = False
        self._chance = chance or random.Random()  # noqa: S311 -- an order, no secret
        self._sessions: set[Callable[[Ending], None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def session(self, end: Callable[[Ending], None]) -> Iterator[None]:
        """Be waited for; `end` is called when it is time to leave, at once where it is."""
        self._sessions.add(end)
        self._empty.clear()
        try:
            if self.is_draining:
                end(RESTART)
            yield
        finally:
            self._sessions.discard(end)
            if not self._sessions:
                self._empty.set()

    async def run(self, within_s: float) -> None:
        """Tell the sessions to end, and wait for them so many seconds at most."""
        self.is_draining = True
        try:
            async with asyncio.timeout(within_s):
                await self._say_goodbye()
                await self._empty.wait()
        except TimeoutError:
            pass

    async def _say_goodbye(self) -> None:
        leaving = sorted(self._sessions, key=lambda _: self._chance.random())
        loop = asyncio.get_running_loop()
        began, each_s = loop.time(), min(_EACH_S, self.spread_s / max(1, len(leaving)))
        for i, end in enumerate(leaving):
            ahead_s = began + i * each_s - loop.time()
            if ahead_s > _STEP_S:
                await asyncio.sleep(ahead_s)
            if end in self._sessions:
                end(RESTART)
