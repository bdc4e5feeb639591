"""Run several things at once until the first of them ends, and then none."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*parts: Coroutine[Any, Any, None]) -> None:
    """Return when one part has ended, or raise what it raised; the others are cancelled first.

    Where two end at once, the first as they are given decides.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in tasks if task.done()]
    finally:
        # One after the other: a client says goodbye while its server is still there.
        for task in tasks:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    ended[0].result()
