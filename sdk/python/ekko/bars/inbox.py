"""What waits for callbacks, in the order of hearing: so much at most, of health the newest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import attrs

from ekko.bars.calling import LOG
from ekko.bars.hearing import Trade
from ekko.bars.model import EventType


@attrs.define(eq=False)
class Ticks:
    """Trades of one source that wait. Not to be changed."""

    source: str
    trades: Sequence[Trade]
    repaired: bool


@attrs.frozen
class Told:
    """Something that is to be told by callbacks of a kind."""

    type: EventType
    argument: Any


MOST_TOLD = 10_000
"""So many bars and reconnects may wait."""


class Inbox:
    """Where hearing leaves what callbacks are to get.

    Args:
        most_ticks: So many ticks may wait; then the oldest go.

    Attributes:
        waiting: How many ticks wait.
        dropped: How many ticks had to go.
        told_dropped: How many bars and reconnects had to go.
        stirred: Set when there is something.
        is_closed: Whether nobody is to be called any more.
    """

    def __init__(self, most_ticks: int) -> None:
        self.waiting = 0
        self.dropped = 0
        self.told_dropped = 0
        self.stirred = asyncio.Event()
        self.is_closed = False
        self._most_ticks = most_ticks
        self._number = 0
        self._ticks: deque[tuple[int, Ticks]] = deque()
        self._told: deque[tuple[int, Told]] = deque()
        self._health: tuple[int, Told] | None = None

    @property
    def told_waiting(self) -> int:
        """How many bars and reconnects wait."""
        return len(self._told)

    def put_ticks(self, ticks: Ticks) -> None:
        """Leave ticks."""
        self._number += 1
        self._ticks.append((self._number, ticks))
        self.waiting += len(ticks.trades)
        while (excess := self.waiting - self._most_ticks) > 0:
            number, oldest = self._ticks.popleft()
            gone = min(excess, len(oldest.trades))
            if gone < len(oldest.trades):
                left = attrs.evolve(oldest, trades=oldest.trades[gone:])
                self._ticks.appendleft((number, left))
            self.waiting -= gone
            if not self.dropped:
                LOG.warning("on_tick is too slow: ticks are dropped; get_metrics counts them")
            self.dropped += gone
        self.stirred.set()

    def put(self, type: EventType, argument: Any) -> None:  # noqa: A002
        """Leave anything else."""
        self._number += 1
        told = self._number, Told(type, argument)
        if type is EventType.HEALTH:  # how it did before is of no use to anyone
            self._health = told
        else:
            self._told.append(told)
        if len(self._told) > MOST_TOLD:
            self._told.popleft()
            if not self.told_dropped:
                LOG.warning("callbacks are too slow: bars are dropped; get_metrics counts them")
            self.told_dropped += 1
        self.stirred.set()

    def take(self) -> Ticks | Told | None:
        """Return what was left first; None where nothing waits."""
        told = self._told[0] if self._told else None
        health = self._health
        is_health = health is not None and (told is None or health[0] < told[0])
        first = health if is_health else told
        if self._ticks and (first is None or self._ticks[0][0] < first[0]):
            ticks = self._ticks.popleft()[1]
            self.waiting -= len(ticks.trades)
            return ticks
        if first is None:
            return None
        if is_health:
            self._health = None
        else:
            self._told.popleft()
        return first[1]
