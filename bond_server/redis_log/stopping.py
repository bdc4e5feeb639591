"""End tasks that talk to Redis.

redis-py takes a cancellation that comes just as a reply does for its own timeout, now and then,
and the task goes on. So one is not enough.
"""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_S = 0.2


async def stopped(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they are over; what they raise is dropped."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()
