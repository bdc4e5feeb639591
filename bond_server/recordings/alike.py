"""Tell whether a message gives the same now as when it was recorded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import attrs

from bond_core.model.event import EVENT_CLASSES, Event
from bond_core.runtime.tape.told import Call

TIMES = ("ts", "recv_ts")
"""What may differ by when something was heard."""


class Alike:
    """Compares what one source's messages give now with what was told of them.

    An event was heard some microseconds after its message was received. So the time of hearing
    may differ, and where the venue gives no time, the event's own.
    """

    def __init__(self) -> None:
        self._of_hearing: dict[str, tuple[int, int]] = {}  # by symbol: the newest, now and then

    def is_same(self, now: Call, then: Call) -> bool:
        """Whether two calls tell an engine the same."""
        if now[0] != then[0]:
            return False
        if now[0] != "on_events":
            return now[1] == then[1]
        ours, theirs = now[1][1], then[1][1]
        return len(ours) == len(theirs) and all(map(self.is_same_event, ours, theirs))

    def is_same_event(self, now: Event, then: Event) -> bool:
        """Whether two events are the same, but for when they were heard."""
        if now.kind != then.kind:
            return False
        values = _values(now.kind)
        return values(now) == values(then) and self._is_same_time(now, then)

    def _is_same_time(self, now: Event, then: Event) -> bool:
        if now.ts == then.ts:
            return True
        if now.ts == now.recv_ts and now.ts <= then.ts <= then.recv_ts:
            self._of_hearing[now.symbol] = now.ts, then.ts
            return True
        # A book's time never goes back: it may be that of an earlier message's hearing.
        return self._of_hearing.get(now.symbol) == (now.ts, then.ts)


@functools.cache
def _values(kind: str) -> Callable[[Event], Any]:
    names = (field.name for field in attrs.fields(EVENT_CLASSES[kind]))
    return attrgetter(*(name for name in names if name not in TIMES))
