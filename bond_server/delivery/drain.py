"""Leaving in order: tell every session that the server restarts, and wait a little for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bond_server.delivery.session import RESTART, Ending


class Drain:
    """Whether the server is leaving, and who has not left yet."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._sessions = 0

    @property
    def is_draining(self) -> bool:
        """Whether the server is leaving."""
        return self._begun.is_set()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Be waited for."""
        self._sessions += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._empty.set()

    async def ending(self) -> Ending:
        """Return when the server leaves."""
        await self._begun.wait()
        return RESTART

    async def run(self, within_s: float) -> None:
        """Tell the sessions to end, and wait for them so many seconds at most."""
        self._begun.set()
        try:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        except TimeoutError:
            pass
