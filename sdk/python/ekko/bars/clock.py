"""Tell the time and let it pass: the one place where bars read a clock."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What is asked of a clock. One that a test moves is handed in from outside."""

    def now_ns(self) -> int:
        """Return the time of day, ns since 1970."""
        ...

    def monotonic_ns(self) -> int:
        """Return a time in ns that never steps back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...

    async def sleep_until(self, at_ns: int) -> None:
        """Return when `now_ns()` has reached `at_ns`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        """See Clock."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """See Clock."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(max(0.0, seconds))

    async def sleep_until(self, at_ns: int) -> None:
        """See Clock."""
        # The time of day may be set meanwhile, so it is looked at again.
        while (left_ns := at_ns - time.time_ns()) > 0:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(min(left_ns / 10**9, 1.0))
