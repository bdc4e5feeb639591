"""A cancellation that a library swallowed still ends the task."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from bond_server.redis_log.heeding import heeding_cancellation


async def swallowing(inside, *, raises):
    """Be cancelled while waiting, and answer, or fail, all the same."""
    with suppress(asyncio.CancelledError):
        inside.set()
        await asyncio.sleep(3600)
    if raises:
        raise TimeoutError
    return "a reply"


@pytest.mark.parametrize("raises", [False, True], ids=["a reply", "a timeout"])
def test_a_swallowed_cancellation_is_heeded(raises):
    """Whoever repeats what failed is over all the same."""

    async def go():
        inside = asyncio.Event()

        async def again_and_again():
            while True:
                inside.clear()
                with suppress(TimeoutError), heeding_cancellation():
                    await swallowing(inside, raises=raises)

        task = asyncio.create_task(again_and_again())
        await inside.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()

    asyncio.run(go())


def test_what_happens_while_a_task_ends_is_let_be():
    """A task that was cancelled before may still say goodbye."""

    async def go():
        said = []

        async def work():
            try:
                await asyncio.sleep(3600)
            finally:
                with heeding_cancellation():
                    await asyncio.sleep(0)
                    said.append("goodbye")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return said

    assert asyncio.run(go()) == ["goodbye"]
