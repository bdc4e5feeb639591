"""Call callbacks one after the other; one that raises is told of, and ends nothing else."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from ekko.bars.clock import Clock
from ekko.bars.model import EventType

Callback = Callable[[Any], Any]
"""Takes what happened. May be a coroutine function; it is then waited for."""

LOG = logging.getLogger("ekko.bars")


class Closable(Protocol):
    """What callbacks are called for, as long as it isn't closed."""

    is_closed: bool


class Callbacks:
    """Who is to be called for what.

    Args:
        clock: Tells how long they take.

    Attributes:
        errors: How often callbacks raised, by what they were called for.
        last_error: What was raised last, as text; None while nothing was.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[int, tuple[EventType, int]] = {}
        self._number = 0
        self.errors: Counter[str] = Counter()
        self.last_error: str | None = None
        self._of: dict[EventType, list[Callback]] = {each: [] for each in EventType}

    def add(self, type: EventType, callback: Callback) -> None:  # noqa: A002
        """Call it for each such event, after those that were added before."""
        if not callable(callback):
            raise TypeError(f"a callback can be called, was {callback!r}")
        self._of[type].append(callback)

    def remove(self, type: EventType, callback: Callback) -> None:  # noqa: A002
        """Call it no more; one that isn't there is no error."""
        if callback in self._of[type]:
            self._of[type].remove(callback)

    def of(self, type: EventType) -> Sequence[Callback]:  # noqa: A002
        """Return who is to be called: a list that changes with who is added and removed."""
        return self._of[type]

    async def call(self, type: EventType, argument: Any, of: Closable) -> None:  # noqa: A002
        """Call all of them with the argument; no more of them once `of` is closed."""
        for callback in tuple(self._of[type]):
            if of.is_closed:
                return
            number = self._number = self._number + 1
            self._running[number] = type, self._clock.monotonic_ns()
            try:
                answer = callback(argument)
                if answer is not None and inspect.isawaitable(answer):
                    await answer
            except (Exception, asyncio.CancelledError) as error:  # the user's; the stream goes on
                if is_cancelled(error):
                    raise
                self.failed(type.value, callback, error)
            finally:
                del self._running[number]

    def slow(self, seconds: float) -> list[str]:
        """Return, in words, which callbacks have run for longer than that."""
        now_ns = self._clock.monotonic_ns()
        took_s = [(what, (now_ns - began) / 10**9) for what, began in self._running.values()]
        return [f"on_{what} has run for {took:.0f} s" for what, took in took_s if took > seconds]

    def failed(self, what: str, who: Any, error: BaseException) -> None:
        """Count that somebody's code raised, and log it: the 1st, 10th, 100th, … time."""
        self.errors[what] += 1
        self.last_error = f"{what}: {type(error).__name__}: {error}"
        count = self.errors[what]
        if str(count).rstrip("0") == "1":
            name = getattr(who, "__qualname__", None) or repr(who)
            LOG.error("%s for %s raised (%d so far)", name, what, count, exc_info=error)


def is_cancelled(error: BaseException) -> bool:
    """Whether this task is to end; a CancelledError may also be of a task it waited for."""
    task = asyncio.current_task()
    is_cancel = isinstance(error, asyncio.CancelledError)
    return is_cancel and (task is None or task.cancelling() > 0)


async def result_of(answer: Awaitable[Any] | Any) -> Any:
    """Return what a function or coroutine function gave."""
    return await answer if inspect.isawaitable(answer) else answer
