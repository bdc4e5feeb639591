"""Wait for an answer no longer than it may take, by the connector's clock."""

from __future__ import annotations

import asyncio
from typing import Any

from bond_core.clock import Clock


async def done_within(clock: Clock, future: asyncio.Future[Any], seconds: float) -> bool:
    """Wait for a future, so long at most; whether it is done."""
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({future, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        await asyncio.gather(timer, return_exceptions=True)
    return future.done()
