"""The set of subscriptions that are wanted of a connector, and a way to wait for its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from bond_core.plugin.context import Subscription


class _Seen(frozenset[Subscription]):
    """What was shown to somebody. Attributes: at: After how many changes."""

    at: int


class Wanted:
    """What is wanted now. Changes within one turn of the event loop are seen as one.

    But what was dropped and is wanted again is another subscription: who knows the former is
    shown first that it is gone, however short the time between.
    """

    def __init__(self) -> None:
        self._changes = 0
        self._since: dict[Subscription, int] = {}
        self._current = _seen((), 0)
        self._change = asyncio.Event()

    def add(self, subscription: Subscription) -> None:
        """Want one more."""
        if subscription not in self._since:
            self._since[subscription] = self._changes + 1
            self._changed()

    def discard(self, subscription: Subscription) -> None:
        """Want one less."""
        if self._since.pop(subscription, None) is not None:
            self._changed()

    def current(self) -> frozenset[Subscription]:
        """Return what is wanted now."""
        return self._current

    async def changed(self, known: frozenset[Subscription]) -> frozenset[Subscription]:
        """Wait until what is wanted differs from `known`; return it."""
        while True:
            if isinstance(known, _Seen) and (again := self._wanted_again(known)):
                return _seen(self._current.difference(again), self._changes)
            if self._current != known:
                return self._current
            self._change.clear()
            await self._change.wait()

    def _wanted_again(self, known: _Seen) -> list[Subscription]:
        if known.at == self._changes:
            return []
        return [each for each in known if self._since.get(each, 0) > known.at]

    def _changed(self) -> None:
        self._changes += 1
        self._current = _seen(self._since, self._changes)
        self._change.set()


def _seen(wanted: Iterable[Subscription], at: int) -> _Seen:
    seen = _Seen(wanted)
    seen.at = at
    return seen
