"""Show the clock to every stream of a process, on one grid, by one task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from bond_core.clock import NS, Clock

TICK_NS = NS // 20
"""The grid on which engines see the clock: 50 ms."""

STOOD_STILL_NS = NS // 4
"""A tick that comes so late says that the process didn't get to run."""

CATCH_UP_S = 0.5
"""How long, after it stood still, it reads what waited before the clock counts again."""

_AT_ONCE = 64
"""So many are shown a tick before everything else gets a turn."""


class Ticking(Protocol):
    """Who is shown the clock. Called synchronously; must not raise."""

    def tick(self, now_ns: int) -> None:
        """Take in the time, a multiple of `TICK_NS`."""
        ...


class Ticks:
    """Shows the clock. `run` is the task."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shown: dict[Ticking, None] = {}

    @contextmanager
    def shown_to(self, one: Ticking) -> Iterator[None]:
        """Show it to one for as long as the context lasts."""
        self._shown[one] = None
        try:
            yield
        finally:
            del self._shown[one]

    async def run(self) -> None:
        """Show each moment of the grid, until cancelled."""
        while True:
            grid_ns = (self._clock.now_ns() // TICK_NS + 1) * TICK_NS
            await self._clock.sleep_until(grid_ns)
            if self._clock.now_ns() - grid_ns > STOOD_STILL_NS:
                # What waits in the sockets is no silence: it must not come out late.
                await self._clock.sleep(CATCH_UP_S)
            # One tick is enough however many were missed: the newest on the grid.
            now_ns = self._clock.now_ns() // TICK_NS * TICK_NS
            for n, one in enumerate(tuple(self._shown), start=1):
                if one in self._shown:
                    one.tick(now_ns)
                if n % _AT_ONCE == 0:
                    await asyncio.sleep(0)
