"""Hear streams by symbol, for the journeys: as callbacks do, and never for ever."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

PATIENCE_S = 30.0


def within(running, seconds=PATIENCE_S):
    """Run something to its end, and not for ever; nothing may be left of it."""

    async def main():
        async with asyncio.timeout(seconds):
            await running
        return {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}

    assert asyncio.run(main()) == set()


class Heard(list):
    """Messages, as a callback hears them."""

    def __init__(self):
        super().__init__()
        self._more = asyncio.Event()

    def __call__(self, message):
        self.append(message)
        self._more.set()

    async def until(self, done):
        """Wait until these are enough."""
        while not done(self):
            self._more.clear()
            await self._more.wait()
        return self


async def until(done):
    """Wait until something that nobody tells is so."""
    while not done():  # noqa: ASYNC110 - as said
        await asyncio.sleep(0.01)


async def first(messages, number=1):
    """Return the first messages of a stream."""
    found = []
    async with aclosing(messages):
        async for message in messages:
            found.append(message)
            if len(found) == number:
                return found
    raise AssertionError("it ended")


def codes(messages):
    """What happened, by the messages' notices."""
    return {notice["code"] for message in messages for notice in message.notices}
