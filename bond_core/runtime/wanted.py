"""The set of subscriptions that are wanted of a connector, and a way to wait for its changes."""

from __future__ import annotations

import asyncio

from bond_core.plugin.context import Subscription


class Wanted:
    """What is wanted now. Changes within one turn of the event loop are seen as one."""

    def __init__(self) -> None:
        self._current: frozenset[Subscription] = frozenset()
        self._change = asyncio.Event()

    def add(self, subscription: Subscription) -> None:
        """Want one more."""
        self._set(self._current | {subscription})

    def discard(self, subscription: Subscription) -> None:
        """Want one less."""
        self._set(self._current - {subscription})

    def current(self) -> frozenset[Subscription]:
        """Return what is wanted now."""
        return self._current

    async def changed(self, known: frozenset[Subscription]) -> frozenset[Subscription]:
        """Wait until what is wanted differs from `known`; return it."""
        while self._current == known:
            self._change.clear()
            await self._change.wait()
        return self._current

    def _set(self, wanted: frozenset[Subscription]) -> None:
        self._current = wanted
        self._change.set()
