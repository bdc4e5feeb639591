"""Heed a cancellation that redis-py took for something else.

One that comes just as a reply or a timeout does may come out of redis-py as a reply, or as a
TimeoutError. Whoever repeats what failed would then go on for ever, and whoever cancelled it
wait as long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end if the task was cancelled within and nothing came of it."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    except Exception:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
