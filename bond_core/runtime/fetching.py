"""Ask one connector for what was missed: page by page, at its pace, within its limits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Self

import attrs

from bond_core.clock import NS, Clock
from bond_core.errors import BondError, Retryable
from bond_core.model.event import EVENT_CLASSES, Event
from bond_core.plugin.backfill import Hole, Page
from bond_core.plugin.context import Context
from bond_core.plugin.specs import Backfill
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.contained import cause_of
from bond_core.runtime.outside import Budget

MOST_FAILURES = 3
"""So many requests for one hole may fail."""

_EVENTS = frozenset(EVENT_CLASSES.values())
_CANCEL_WITHIN_S = 1.0  # real seconds: what is cancelled may hang where no clock reaches


@attrs.define
class Fetched:
    """What was fetched for a hole so far.

    Attributes:
        rest: What is not covered yet.
        events: In the order of the answers.
        cut: The part that is too long ago to be asked for, ns.
        why: Why no more is asked for, or why what is asked for isn't all.
    """

    rest: Hole | None
    events: list[Event] = attrs.field(factory=list)
    cut: tuple[int, int] | None = None
    why: str | None = None

    @classmethod
    def of(cls, hole: Hole, can: Backfill) -> Self:
        """Return what is to be filled: as much of a hole as is asked for."""
        first_ns = hole.until_ts_ns - round(can.most_s * NS)
        if first_ns <= hole.after_ts_ns:
            return cls(hole)
        rest = attrs.evolve(hole, after_ts_ns=first_ns, after_id=None)
        why = f"no more than {can.most_s:g} s are asked for"
        return cls(rest, cut=(hole.after_ts_ns, first_ns), why=why)

    @property
    def missing(self) -> tuple[int, int] | None:
        """From when until when it has nothing, ns."""
        spans = [self.cut] if self.cut else []
        if self.rest is not None:
            spans.append((self.rest.after_ts_ns, self.rest.until_ts_ns))
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None

    def take(self, page: Page, most_events: int) -> bool:
        """Take in an answer; whether to ask on."""
        before, self.rest = self.rest, page.rest
        room = most_events - len(self.events)
        self.events += page.events[:room]
        if len(page.events) > room:
            self.rest = before  # nobody knows which part of it they would have covered
        if self.rest is None:
            return False
        if len(page.events) >= room:
            self.why = f"no more than {most_events} events are taken"
        elif page.end is not None or self.rest == before:
            self.why = page.end or "the source gives no more"
        else:
            return True
        return False


class Fetcher:
    """Asks one connector, one request at a time.

    Args:
        ctx: What the connector is handed.
        can: What its spec says.
        connector: Returns it, as it is now.
        hide: Takes its secrets out of a text.

    Attributes:
        requests: How many were sent.
    """

    def __init__(
        self, ctx: Context, can: Backfill, *, clock: Clock, chance: random.Random,
        connector: Callable[[], Any], hide: Callable[[str], str],
    ) -> None:  # fmt: skip
        self.requests = 0
        self.can = can
        self._ctx = ctx
        self._clock = clock
        self._chance = chance
        self._connector = connector
        self._hide = hide
        self._budget = Budget(clock, can.requests_per_min)
        self._backoff = Backoff(first_s=1.0)
        self._asking: asyncio.Task[Page] | None = None
        self._is_interrupted = False

    def interrupt(self) -> None:
        """Leave off what is being asked."""
        if self._asking is not None:
            self._is_interrupted = True
            self._asking.cancel()

    async def fetch(self, hole: Hole, *, is_wanted: Callable[[], bool]) -> Fetched | None:
        """Fetch as much as there is and as may be.

        Returns:
            What was had, or None if it was interrupted or isn't wanted any more.
        """
        fetched = Fetched.of(hole, self.can)
        failures = 0
        for _ in range(self.can.most_requests):
            await self._budget.wait()
            if not is_wanted():
                return None
            try:
                page = await self._ask(fetched.rest or hole)
            except Exception as raised:  # noqa: BLE001 -- a plugin's code may raise anything
                if self._is_interrupted:
                    return None
                failures += 1
                error = cause_of(raised)
                pause_s = self._pause_s(error, failures)
                if pause_s is None:
                    fetched.why = self._said(error)
                    return fetched
                await self._clock.sleep(pause_s)
                continue
            if not fetched.take(page, hole.most_events):
                return fetched
        fetched.why = f"no more than {self.can.most_requests} requests are sent"
        return fetched

    async def _ask(self, hole: Hole) -> Page:
        self.requests += 1
        self._is_interrupted = False
        ask = asyncio.create_task(_asked(self._connector(), self._ctx, hole))
        timer = asyncio.create_task(self._clock.sleep(self.can.timeout_s))
        self._asking = ask
        try:
            await asyncio.wait({ask, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not ask.done():
                raise TimeoutError(f"no answer within {self.can.timeout_s:g} s")
            if ask.cancelled():
                raise RuntimeError("it ended with a CancelledError of its own")
            return ask.result()
        finally:
            self._asking = None
            timer.cancel()
            if not ask.done():
                ask.cancel()
                await asyncio.wait({ask}, timeout=_CANCEL_WITHIN_S)

    def _pause_s(self, error: BaseException, failures: int) -> float | None:
        """Return how long to wait before asking again; None if it is of no use."""
        if not isinstance(error, (Retryable, OSError, TimeoutError)) or failures >= MOST_FAILURES:
            return None
        pause_s = self._backoff.pause_s(failures - 1, self._chance)
        return max(pause_s, getattr(error, "retry_after_s", None) or 0.0)

    def _said(self, error: BaseException) -> str:
        why = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
        if not isinstance(error, (BondError, OSError, TimeoutError)):
            self._ctx.log.error("bug in the connector's backfill", exc_info=error)
            why = f"bug in the connector: {why}"
        return self._hide(why)


async def _asked(connector: Any, ctx: Context, hole: Hole) -> Page:
    """Ask, so that whatever the connector does, or answers, ends only this request."""
    try:
        page = await connector.backfill(ctx, hole)
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error
    if not isinstance(page, Page):
        raise TypeError(f"backfill returns a Page, not {type(page).__name__}")
    if not isinstance(page.rest, Hole | None):
        raise TypeError(f"a Page's rest is a Hole or None, not {type(page.rest).__name__}")
    events = list(page.events)
    for event in events:
        if type(event) not in _EVENTS:
            raise TypeError(f"a Page's events are events, not {type(event).__name__}")
        if event.symbol != hole.symbol:
            raise ValueError(f"{event.symbol} came where {hole.symbol} was asked for")
        if type(event.ts) is not int or type(event.seq) is not int:
            raise TypeError("the ts and the seq of an event are whole numbers")
    return attrs.evolve(page, events=events)
