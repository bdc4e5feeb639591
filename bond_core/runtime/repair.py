"""Mend the feeds of one connector: have it fetch what they missed, and hand it on.

    Holes (one a feed) ──stirred──▶ Repairs (one a connector) ──▶ connector.backfill ──▶ Feed

It begins a random moment after something is missing, so that many who lost one venue don't
come back to it together, and so that what was merely out of order has come. One feed follows
the other. Whatever is not had is told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from bond_core.clock import Clock
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired
from bond_core.plugin.backfill import Hole
from bond_core.plugin.context import Context, Subscription
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.feed import Feed
from bond_core.runtime.fetching import Fetched, Fetcher
from bond_core.runtime.holes import Holes, Missing

WAIT_S = (0.2, 0.6)
"""Between which times, drawn anew each time, it begins after something is missing."""

_ts, _seq = attrgetter("ts"), attrgetter("seq")
_EDGE_NS = 1_000_000
"""A source may write one event's time finer here than there."""


class Repairs:
    """Mends the feeds of one connector.

    Args:
        ctx: What the connector is handed.
        connector: Returns it, as it is now.
        feeds: Those it has, by subscription; looked at again and again.
        hide: Takes the connector's secrets out of a text.

    Attributes:
        repaired: How many events were fetched that had not been heard.
    """

    def __init__(
        self, ctx: Context, spec: ConnectorSpec, config: Any, *, clock: Clock,
        chance: random.Random, connector: Callable[[], Any],
        feeds: Mapping[Subscription, Feed], hide: Callable[[str], str],
    ) -> None:  # fmt: skip
        self.repaired = 0
        self._log = ctx.log
        self._spec = spec
        self._config = config
        self._clock = clock
        self._chance = chance
        self._feeds = feeds
        self._mending: Feed | None = None
        self._stirred = asyncio.Event()
        can = spec.capabilities.backfill
        self._fetcher: Fetcher | None = None
        if can is not None:
            self._fetcher = Fetcher(
                ctx, can, clock=clock, chance=chance, connector=connector, hide=hide
            )

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self._fetcher.requests if self._fetcher else 0

    def holes(self, channel: str) -> Holes | None:
        """Return what keeps the holes of a new feed; None where none can be known or mended."""
        by_one = self._spec.channel(channel).counts_ids(self._config)
        if not by_one and self._fetcher_of(channel) is None:
            return None
        began_ns = self._clock.now_ns()
        return Holes(by_one=by_one, began_ns=began_ns, stirred=self._stirred.set)

    def interrupt(self) -> None:
        """The connector has stopped: leave off what it was asked, until it is back."""
        if self._fetcher is not None:
            self._fetcher.interrupt()

    def dropped(self, feed: Feed) -> None:
        """Nobody listens to a feed any more: leave off what is asked for it."""
        if feed is self._mending:
            self.interrupt()

    async def run(self) -> None:
        """Mend until cancelled."""
        while True:
            await self._stirred.wait()
            await self._clock.sleep(self._chance.uniform(*WAIT_S))
            self._stirred.clear()
            for feed in tuple(self._feeds.values()):
                if feed.holes is not None and feed.holes.found and self._is_wanted(feed):
                    self._mending = feed
                    await self._mend(feed, feed.holes)
            self._mending = None

    def _is_wanted(self, feed: Feed) -> bool:
        return feed.status == "live" and self._feeds.get(feed.subscription) is feed

    def _fetcher_of(self, channel: str) -> Fetcher | None:
        fetcher = self._fetcher
        return fetcher if fetcher is not None and channel in fetcher.can.channels else None

    async def _mend(self, feed: Feed, holes: Holes) -> None:
        """Settle all that one feed misses now."""
        taken = tuple(holes.found)
        fetcher = self._fetcher_of(feed.subscription.channel)
        if lost := [missing for missing in taken if not missing.is_told]:
            _tell(feed, lost, "they are asked for again" if fetcher else "they can't be asked for")
        if fetcher is None:
            holes.give_up(taken)
            return
        fetched: Fetched | None = Fetched(None)
        if any(missing.left != 0 for missing in taken):  # else the next number proved it whole
            hole = _hole(feed, taken, fetcher.can.most_events, self._clock.now_ns())
            fetched = await fetcher.fetch(hole, is_wanted=lambda: self._is_wanted(feed))
        if fetched is not None and self._feeds.get(feed.subscription) is feed:
            self._settle(feed, holes, taken, fetched)

    def _settle(self, feed: Feed, holes: Holes, taken: Sequence[Missing], fetched: Fetched) -> None:
        """Hand on what was fetched, and tell what wasn't."""
        now_ns = self._clock.now_ns()
        events = feed.news_of(list(_missing(taken, fetched.events)), now_ns)
        is_counted = all(missing.left is not None for missing in taken)
        left = holes.filled(taken, events)
        if fetched.why is not None:
            holes.give_up(taken)
        from_ns = min(missing.from_ns for missing in taken)
        until_ns = max(missing.to_ns for missing in taken)
        missing_ns = fetched.missing
        if left or is_counted:
            missing_ns = (missing_ns or (from_ns, until_ns)) if left else None
        why = (fetched.why or "the source doesn't have them") if missing_ns else None
        detail = _said(feed, len(events), left, why)
        self.repaired += len(events)
        self._log.info("%s", detail)
        feed.repaired(
            events,
            Repaired(
                from_ns=from_ns, until_ns=until_ns, events=len(events), detail=detail,
                missing=missing_ns,
            ),
        )  # fmt: skip


def _hole(feed: Feed, taken: Sequence[Missing], most_events: int, now_ns: int) -> Hole:
    """Return one hole that holds all of them."""
    first = min((missing.after for missing in taken), key=attrgetter("ts_ns"))
    ends = [missing.until for missing in taken if missing.until is not None]
    last = max(ends, key=attrgetter("ts_ns")) if len(ends) == len(taken) else None
    return Hole(
        channel=feed.subscription.channel,
        symbol=feed.symbol,
        after_ts_ns=first.ts_ns,
        until_ts_ns=now_ns if last is None else last.ts_ns,
        after_id=first.id,
        until_id=None if last is None else last.id,
        most_events=most_events,
    )


def _missing(taken: Sequence[Missing], events: Sequence[Event]) -> Iterator[Event]:
    """Yield those that are missing: others may have been heard too long ago to be remembered.

    Both are put in order, by number where there is one, so that one pass is enough.
    """
    is_numbered = any(each.until is not None and each.until.seq for each in taken)
    places = sorted(taken, key=lambda each: each.after.ts_ns)
    at = 0
    for event in sorted(events, key=_seq if is_numbered else _ts):
        while at < len(places) and _is_past(places[at], event):
            at += 1
        if at == len(places):
            return
        after = places[at].after
        if after.seq < event.seq if after.seq else after.ts_ns - _EDGE_NS <= event.ts:
            yield event


def _is_past(missing: Missing, event: Event) -> bool:
    """Whether an event comes after all that is missing in one place."""
    until = missing.until
    if until is None:
        return False
    if until.seq and event.seq:
        return event.seq >= until.seq
    return event.ts > until.ts_ns + _EDGE_NS


def _tell(feed: Feed, lost: Sequence[Missing], outlook: str) -> None:
    """Tell of events whose numbers are missing."""
    number = sum(missing.left or 0 for missing in lost)
    for missing in lost:
        missing.is_told = True
    detail = f"{number} of the {feed.subscription.channel} of {feed.symbol} were not heard, "
    detail += f"as their numbers say; {outlook}"
    feed.tell_gap(Notice(code="gap", detail=detail, from_ns=lost[0].from_ns, to_ns=lost[-1].to_ns))


def _said(feed: Feed, n: int, left: int, why: str | None) -> str:
    what = f"{feed.subscription.channel} of {feed.symbol}"
    if why is None:
        return f"{what}: {n} were missed and are fetched" if n else f"{what}: none were missed"
    still = f"{left} are" if left else "some may be"
    begin = f"{n} that were missed are fetched" if n else "what was missed could not be fetched"
    return f"{what}: {begin}, {still} still missing: {why}"
