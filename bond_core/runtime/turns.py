"""Let the streams of a process work one after the other, and everything else in between."""

from __future__ import annotations

import asyncio
from typing import Self

_LIGHT_ONES = 16
"""So many that had little to do share a turn of the event loop."""


class Turns:
    """A queue for the event loop: use as `async with turns`, and pause before leaving.

    Who pauses holds its place while the others line up. From then on one gets in with each turn
    of the loop, so that a thousand who have something to do at once hold nobody else up.
    """

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._light = 0

    async def __aenter__(self) -> Self:
        """Wait for this one's turn."""
        await self._one_at_a_time.acquire()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let the next one in."""
        self._one_at_a_time.release()

    async def pause(self, *, was_long: bool) -> None:
        """Let everything else run, after much work or after many who had little."""
        self._light += 1
        if was_long or self._light >= _LIGHT_ONES:
            self._light = 0
            await asyncio.sleep(0)
