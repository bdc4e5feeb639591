"""Have a connector fetch what its feeds missed, one after the other, and hand it on.

    Holes (one a feed) ──stirred──▶ Repairs (one a connector) ──▶ connector.backfill ──▶ Feed

It begins a random moment after something is missing, so that many who lost one venue don't
come back to it together, and so that what was merely out of order has come. Everything is
bounded by what the spec's `Backfill` says, and whatever is not had is told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from bond_core.clock import NS, Clock
from bond_core.errors import BondError, Retryable
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired
from bond_core.plugin.backfill import Hole, Page
from bond_core.plugin.context import Context, Subscription
from bond_core.plugin.specs import Backfill, ConnectorSpec
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.contained import cause_of
from bond_core.runtime.feed import Feed
from bond_core.runtime.holes import Holes, Missing
from bond_core.runtime.outside import Budget

WAIT_S = (0.2, 0.6)
"""Between which times, drawn anew each time, it begins after something is missing."""

MOST_FAILURES = 3
"""So many requests for one hole may fail."""

_CANCEL_WITHIN_S = 1.0  # real seconds: what is cancelled may hang where no clock reaches
_EDGE_NS = 1_000_000
"""A source may write one event's time finer here than there."""


@attrs.define
class _Fetched:
    """What was fetched so far.

    Attributes:
        rest: What is not covered yet.
        cut: The part that is too long ago to be asked for.
        why: Why no more is asked for.
    """

    rest: Hole | None
    events: list[Event] = attrs.field(factory=list)
    cut: tuple[int, int] | None = None
    why: str | None = None

    @property
    def missing(self) -> tuple[int, int] | None:
        """From when until when it has nothing, ns."""
        spans = [self.cut] if self.cut else []
        if self.rest is not None:
            spans.append((self.rest.after_ts_ns, self.rest.until_ts_ns))
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None


class Repairs:
    """Mends the feeds of one connector.

    Args:
        ctx: What the connector is handed.
        connector: Returns it, as it is now.
        feeds: Those it has, by subscription; looked at again and again.
        hide: Takes the connector's secrets out of a text.

    Attributes:
        requests: How many were sent.
        repaired: How many events were fetched that had not been heard.
    """

    def __init__(
        self, ctx: Context, spec: ConnectorSpec, config: Any, *, clock: Clock,
        chance: random.Random, connector: Callable[[], Any],
        feeds: Mapping[Subscription, Feed], hide: Callable[[str], str],
    ) -> None:  # fmt: skip
        self.requests = 0
        self.repaired = 0
        self._ctx = ctx
        self._spec = spec
        self._config = config
        self._clock = clock
        self._chance = chance
        self._connector = connector
        self._feeds = feeds
        self._hide = hide
        self._backoff = Backoff(first_s=1.0)
        self._stirred = asyncio.Event()
        self._asking: asyncio.Task[Page] | None = None
        self._is_interrupted = False
        can = spec.capabilities.backfill
        self._budget = None if can is None else Budget(clock, can.requests_per_min)

    def holes(self, channel: str) -> Holes | None:
        """Return what keeps the holes of a new feed; None where none can be known or mended."""
        by_one = self._spec.channel(channel).counts_ids(self._config)
        if not by_one and self._can(channel) is None:
            return None
        began_ns = self._clock.now_ns()
        return Holes(by_one=by_one, began_ns=began_ns, stirred=self._stirred.set)

    def interrupt(self) -> None:
        """The connector has stopped: leave off what it was asked, until it is back."""
        if self._asking is not None:
            self._is_interrupted = True
            self._asking.cancel()

    async def run(self) -> None:
        """Mend until cancelled."""
        while True:
            await self._stirred.wait()
            await self._clock.sleep(self._chance.uniform(*WAIT_S))
            self._stirred.clear()
            for feed in tuple(self._feeds.values()):
                if feed.holes is not None and feed.holes.found and feed.status == "live":
                    await self._mend(feed, feed.holes)

    def _can(self, channel: str) -> Backfill | None:
        can = self._spec.capabilities.backfill
        return can if can is not None and channel in can.channels else None

    async def _mend(self, feed: Feed, holes: Holes) -> None:
        """Settle all that one feed misses now."""
        taken = tuple(holes.found)
        can = self._can(feed.subscription.channel)
        if lost := [missing for missing in taken if not missing.is_told]:
            _tell(feed, lost, "they are asked for again" if can else "they can't be asked for")
        if can is None:
            holes.give_up(taken)
            return
        if all(missing.left == 0 for missing in taken):
            fetched: _Fetched | None = _Fetched(None)  # the next number proved it
        else:
            hole = _hole(feed, taken, can, self._clock.now_ns())
            fetched = await self._fetch(feed, hole, can)
        if fetched is not None and self._feeds.get(feed.subscription) is feed:
            self._settle(feed, holes, taken, fetched)

    async def _fetch(self, feed: Feed, hole: Hole, can: Backfill) -> _Fetched | None:
        """Fetch as much as there is and as may be; None if the connector stopped meanwhile."""
        fetched, too_long = _Fetched(hole), None
        first_ns = hole.until_ts_ns - round(can.most_s * NS)
        if hole.after_ts_ns < first_ns:
            fetched.cut = (hole.after_ts_ns, first_ns)
            fetched.rest = attrs.evolve(hole, after_ts_ns=first_ns, after_id=None)
            too_long = f"no more than {can.most_s:g} s are asked for"
        failures = 0
        for _ in range(can.most_requests):
            if self._budget is not None:
                await self._budget.wait()
            if feed.status != "live" or fetched.rest is None:
                return None
            try:
                page = await self._ask(fetched.rest, can.timeout_s)
            except Exception as raised:  # noqa: BLE001 -- a plugin's code may raise anything
                if self._is_interrupted:
                    return None
                failures += 1
                fetched.why, pause_s = self._failed(cause_of(raised), failures)
                if pause_s is None:
                    return fetched
                await self._clock.sleep(pause_s)
                continue
            before, fetched.rest = fetched.rest, page.rest
            fetched.events += page.events
            fetched.why = too_long
            if page.rest is None:
                return fetched
            if len(fetched.events) >= hole.most_events:
                fetched.why = f"no more than {hole.most_events} events are asked for"
                return fetched
            if page.end is not None or page.rest == before:
                fetched.why = page.end or "the source gives no more"
                return fetched
        fetched.why = fetched.why or f"no more than {can.most_requests} requests are sent"
        return fetched

    async def _ask(self, hole: Hole, timeout_s: float) -> Page:
        self.requests += 1
        self._is_interrupted = False
        ask = asyncio.create_task(_asked(self._connector(), self._ctx, hole))
        timer = asyncio.create_task(self._clock.sleep(timeout_s))
        self._asking = ask
        try:
            await asyncio.wait({ask, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not ask.done():
                raise TimeoutError(f"no answer within {timeout_s:g} s")
            if ask.cancelled():
                raise RuntimeError("it ended with a CancelledError of its own")
            return ask.result()
        finally:
            self._asking = None
            timer.cancel()
            if not ask.done():
                ask.cancel()
                await asyncio.wait({ask}, timeout=_CANCEL_WITHIN_S)

    def _failed(self, error: BaseException, failures: int) -> tuple[str, float | None]:
        """Return what to say of a failure, and how long to wait before asking again, if at all."""
        why = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
        if not isinstance(error, (BondError, OSError, TimeoutError)):
            self._ctx.log.error("bug in the connector's backfill", exc_info=error)
            why = f"bug in the connector: {why}"
        why = self._hide(why)
        if not isinstance(error, (Retryable, OSError, TimeoutError)) or failures >= MOST_FAILURES:
            return why, None
        pause_s = self._backoff.pause_s(failures - 1, self._chance)
        return why, max(pause_s, getattr(error, "retry_after_s", None) or 0.0)

    def _settle(
        self, feed: Feed, holes: Holes, taken: Sequence[Missing], fetched: _Fetched
    ) -> None:
        """Hand on what was fetched, and tell what wasn't."""
        now_ns = self._clock.now_ns()
        events = feed.news_of([e for e in fetched.events if _is_within(taken, e)], now_ns)
        is_counted = all(missing.left is not None for missing in taken)
        left = holes.filled(taken, events)
        if fetched.rest is not None or fetched.why is not None:
            holes.give_up(taken)
        from_ns = min(missing.from_ns for missing in taken)
        until_ns = max(missing.to_ns for missing in taken)
        missing_ns = fetched.missing
        if is_counted or left:
            missing_ns = (missing_ns or (from_ns, until_ns)) if left else None
        why = (fetched.why or "the source doesn't have them") if missing_ns else None
        self.repaired += len(events)
        detail = _said(feed, len(events), left, why)
        self._ctx.log.info("%s", detail)
        feed.repaired(
            events,
            Repaired(
                from_ns=from_ns, until_ns=until_ns, events=len(events), detail=detail,
                missing=missing_ns,
            ),
        )  # fmt: skip


async def _asked(connector: Any, ctx: Context, hole: Hole) -> Page:
    """Ask, so that whatever the connector does ends only this request."""
    try:
        page = await connector.backfill(ctx, hole)
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error
    if not isinstance(page, Page):
        raise TypeError(f"backfill returns a Page, not {type(page).__name__}")
    return page


def _hole(feed: Feed, taken: Sequence[Missing], can: Backfill, now_ns: int) -> Hole:
    """Return one hole that holds all of them."""
    first, last = taken[0].after, taken[-1].until
    return Hole(
        channel=feed.subscription.channel,
        symbol=feed.symbol,
        after_ts_ns=first.ts_ns,
        until_ts_ns=now_ns if last is None else last.ts_ns,
        after_id=first.id,
        until_id=None if last is None else last.id,
        most_events=can.most_events,
    )


def _is_within(taken: Sequence[Missing], event: Event) -> bool:
    """Whether an event is missing: others may have been heard too long ago to be remembered."""
    for missing in taken:
        after, until = missing.after, missing.until
        if after.seq and event.seq:
            if after.seq < event.seq and (until is None or event.seq < until.seq):
                return True
        elif after.ts_ns - _EDGE_NS <= event.ts:
            if until is None or event.ts <= until.ts_ns + _EDGE_NS:
                return True
    return False


def _tell(feed: Feed, lost: Sequence[Missing], outlook: str) -> None:
    """Tell of events whose numbers are missing."""
    number = sum(missing.left or 0 for missing in lost)
    for missing in lost:
        missing.is_told = True
    detail = f"{number} of the {feed.subscription.channel} of {feed.symbol} were not heard, "
    detail += f"as their numbers say; {outlook}"
    feed.tell_gap(
        Notice(code="gap", detail=detail, from_ns=lost[0].from_ns, to_ns=lost[-1].to_ns)
    )


def _said(feed: Feed, n: int, left: int, why: str | None) -> str:
    what = f"{feed.subscription.channel} of {feed.symbol}"
    if why is None:
        return f"{what}: {n} were missed and are fetched" if n else f"{what}: none were missed"
    still = f"{left} are" if left else "some may be"
    begin = f"{n} that were missed are fetched" if n else "what was missed could not be fetched"
    return f"{what}: {begin}, {still} still missing: {why}"
