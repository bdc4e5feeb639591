"""Tell the time, and let it pass: the one seam through which Bond reads a clock.

Nothing else in Bond calls `time` or `asyncio.sleep` to wait for a moment. With a
`ManualClock` a recorded day plays at any speed and comes out the same each time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

NS = 1_000_000_000
"""Nanoseconds in a second."""

# Turns of the event loop that a woken task gets before time goes on. The longest chain
# from a wake-up to the record it causes is five tasks; no I/O lies between them.
_SETTLE_TURNS = 25


class Clock(Protocol):
    """What may be asked of a clock. All times are int nanoseconds, UTC since 1970."""

    def now_ns(self) -> int:
        """Return the wall-clock time in ns. It may step back when the machine's clock is set."""
        ...

    def monotonic_ns(self) -> int:
        """Return a time in ns that never steps back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock; at once for zero or less."""
        ...

    async def sleep_until(self, at_ns: int) -> None:
        """Return when `now_ns()` has reached `at_ns`; at once if it has already."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        """Return the machine's wall-clock time in ns."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return the machine's monotonic time in ns."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""
        await asyncio.sleep(max(0.0, seconds))

    async def sleep_until(self, at_ns: int) -> None:
        """Wait until the wall clock shows `at_ns`, also when it is set meanwhile."""
        while (left_ns := at_ns - time.time_ns()) > 0:
            await asyncio.sleep(min(left_ns / NS, 1.0))


class ManualClock:
    """A clock that stands still until told to move: for tests, and for playing recordings.

    Sleepers wake in the order of their deadlines, and what each of them sets in motion
    runs before the next wakes, so the same moves give the same run.
    """

    def __init__(self, now_ns: int = 1_700_000_000 * NS) -> None:
        self._now_ns = now_ns
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """Return the time this clock was last moved to."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Return the same as `now_ns`: this clock only goes forward."""
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved on by so many seconds."""
        await self.sleep_until(self._now_ns + round(seconds * NS))

    async def sleep_until(self, at_ns: int) -> None:
        """Wait until the clock has been moved to `at_ns`."""
        if at_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at_ns, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on by so many seconds."""
        await self.advance_to(self._now_ns + round(seconds * NS))

    def reach(self, at_ns: int) -> bool:
        """Show a time at once, if nobody sleeps until then; whether it is shown."""
        if self._sleepers and self._sleepers[0][0] <= at_ns:
            return False
        self._now_ns = max(self._now_ns, at_ns)
        return True

    async def jump(self, seconds: float) -> None:
        """Move on as if the process stood still meanwhile: all who slept wake late, at the end."""
        await settle()
        self._now_ns += round(seconds * NS)
        await self.advance_to(self._now_ns)

    async def advance_to(self, at_ns: int) -> None:
        """Move on to `at_ns`, stopping at each sleeper's deadline on the way.

        A time in the past moves nothing: like every clock here it never runs backwards.
        """
        await settle()
        while self._sleepers and self._sleepers[0][0] <= at_ns:
            deadline_ns, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # its sleeper was cancelled
                continue
            self._now_ns = max(self._now_ns, deadline_ns)
            woken.set_result(None)
            await settle()
        self._now_ns = max(self._now_ns, at_ns)


async def settle() -> None:
    """Let everything run that can run without time passing and without outside I/O."""
    for _ in range(_SETTLE_TURNS):
        await asyncio.sleep(0)
