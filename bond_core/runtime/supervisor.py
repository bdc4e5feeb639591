"""Keep one connector listening: start it, watch that data really flows, start it anew.

"Connected" is not "live": a channel whose newest event time stands still for `stale_s` is
stale, whatever its socket says, and the connector is started anew. Only progress makes a
stale feed live again, not a fresh connection.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from bond_core.clock import NS, Clock
from bond_core.errors import Fatal, PluginError, Retryable
from bond_core.model.event import Event
from bond_core.model.record import Notice, Status
from bond_core.plugin.catalog import load_class
from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.feed import Feed
from bond_core.runtime.http import fetch_json
from bond_core.runtime.wanted import Wanted

WATCH_EVERY_S = 0.25
"""How often staleness is looked at."""

_CONNECT_S = 10.0
"""How long a fresh connection may take before its silence counts."""

_HEALTHY_AFTER_NS = 30 * NS
"""A run this long starts the backoff over: accepting and closing at once is no success."""


class Supervisor:
    """Owns one connector and the feeds that hang on it. It is the connector's Context.

    Args:
        spec: The connector's.
        config: Its settings; with the spec's name what makes it shared.
        name: For people: `ccxt binance`.
        simulated_at: Base URL of a simulator, or None for the real system.
    """

    def __init__(
        self, spec: ConnectorSpec, config: Any, *, name: str, clock: Clock,
        chance: random.Random, simulated_at: str | None, backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.name = name
        self.clock = clock
        self.log = logging.getLogger(f"bond.connector.{spec.name}")
        self.simulated_at = simulated_at
        self.wanted = Wanted()
        self.feeds: dict[Subscription, Feed] = {}
        self.attempts = 0
        self.is_over = False
        self._config = config
        self._chance = chance
        self._backoff = backoff or Backoff()
        self._progress_ns: dict[str, int] = {}  # per channel: when its event time last moved
        self._newest_ts: dict[str, int] = {}
        self._silent_since_ns: dict[str, int] = {}  # per channel: what a stale one missed
        self._run_since_ns = 0
        self._stalled = asyncio.Event()

    # What feeds.py does with it

    def feed(self, channel: str, symbol: str) -> Feed:
        """Return the feed of a subscription, wanting it from now on."""
        key = Subscription(channel, symbol)
        if key not in self.feeds:
            by_receipt = self.spec.channel(channel).time == "receive"
            self.feeds[key] = Feed(key, by_receipt=by_receipt, at_ns=self.clock.now_ns())
            self._progress_ns.setdefault(channel, self.clock.now_ns())
            self.wanted.add(key)
        return self.feeds[key]

    def drop(self, feed: Feed) -> None:
        """Want a feed no longer."""
        self.feeds.pop(feed.subscription, None)
        self.wanted.discard(feed.subscription)
        if not any(key.channel == feed.subscription.channel for key in self.feeds):
            self._progress_ns.pop(feed.subscription.channel, None)

    def reset(self) -> None:
        """Forget that it ended: `run` starts afresh, with the same feeds."""
        self.is_over = False
        self.attempts = 0
        self._turn_all("starting", None, keep=())

    async def run(self) -> None:
        """Listen until cancelled, or until the connector is done or failed for good."""
        try:
            connector = load_class(self.spec.factory)(config=self._config)
        except PluginError as error:
            self._turn_all("failed", str(error))
            self.is_over = True
            return
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch(), name=f"watch {self.name}")
            await self._listen(connector)
            self.is_over = True
            watch.cancel()

    async def _listen(self, connector: Any) -> None:
        while True:
            started_ns = self.clock.monotonic_ns()
            try:
                await self._run_once(connector)
                self._turn_all("failed", "the source is at its end")
                return
            except Fatal as error:
                self._turn_all("failed", error.detail + (f" Try: {error.fix}" if error.fix else ""))
                return
            except (Retryable, OSError, TimeoutError) as error:
                pause_s = self._pause_s(error, started_ns)
                why = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
                self.log.warning("%s: %s; again in %.1f s", self.name, why, pause_s)
                self._turn_all("reconnecting", why, keep=("stale", "failed"))
                await self.clock.sleep(pause_s)
            except Exception as error:
                self.log.exception("%s: bug in the connector", self.name)
                self._turn_all("failed", f"bug in the connector: {type(error).__name__}: {error}")
                return

    async def _run_once(self, connector: Any) -> None:
        """Run the connector until it ends by itself or a stalled channel ends it."""
        self._stalled.clear()
        self._run_since_ns = self.clock.now_ns()
        run = asyncio.create_task(connector.run(self), name=f"listen {self.name}")
        stalled = asyncio.create_task(self._stalled.wait())
        try:
            await asyncio.wait({run, stalled}, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                raise Retryable("no data although connected")
            await run
        finally:
            run.cancel()
            stalled.cancel()
            await asyncio.gather(run, stalled, return_exceptions=True)

    def _pause_s(self, error: BaseException, started_ns: int) -> float:
        if self.clock.monotonic_ns() - started_ns > _HEALTHY_AFTER_NS:
            self.attempts = 0
        pause_s = self._backoff.pause_s(self.attempts, self._chance)
        self.attempts += 1
        return max(pause_s, getattr(error, "retry_after_s", None) or 0.0)

    async def _watch(self) -> None:
        """Call feeds stale whose channel's event time has stood still for too long.

        A fresh connection that brings nothing either is given up in its turn.
        """
        while True:
            await self.clock.sleep(WATCH_EVERY_S)
            now_ns = self.clock.now_ns()
            for feed in tuple(self.feeds.values()):
                channel = feed.subscription.channel
                stale_s = feed.stale_after_s(self.spec.channel(channel).stale_s)
                if stale_s is None or feed.status not in ("live", "stale"):
                    continue
                moved_ns = self._progress_ns.get(channel, now_ns)
                silent_s = (now_ns - moved_ns) / NS
                if feed.status == "live" and silent_s >= stale_s:
                    self._silent_since_ns[channel] = moved_ns
                    feed.turn("stale", now_ns, f"nothing new on {channel} for {silent_s:.1f} s")
                    self._stalled.set()
                elif feed.status == "stale":
                    in_vain_s = (now_ns - max(moved_ns, self._run_since_ns)) / NS
                    if in_vain_s >= stale_s + _CONNECT_S:
                        self._stalled.set()

    def _turn_all(
        self, status: Status, reason: str | None, *, keep: tuple[Status, ...] = ("failed",)
    ) -> None:
        now_ns = self.clock.now_ns()
        for feed in tuple(self.feeds.values()):
            if feed.status not in keep:
                feed.turn(status, now_ns, reason)

    # The connector's Context

    def emit(self, channel: str, events: Iterable[Event]) -> None:
        """See Context."""
        now_ns = self.clock.now_ns()
        for symbol, run in groupby(events, key=_symbol):
            feed = self.feeds.get(Subscription(channel, symbol))
            if feed is None:
                continue  # nobody wants it any more: an unsubscription is on its way
            newest = feed.hear(list(run), now_ns)
            if newest is not None and newest > self._newest_ts.get(channel, newest - 1):
                self._newest_ts[channel] = newest
                self._progressed(channel, feed, now_ns)

    def live(self, channel: str, symbol: str | None = None) -> None:
        """See Context."""
        for feed in self._feeds_of(channel, symbol):
            if feed.status in ("starting", "reconnecting"):
                self._revive(feed, self.clock.now_ns())

    def heartbeat(self, channel: str, ts: int | None = None) -> None:
        """See Context."""
        now_ns = self.clock.now_ns()
        self._progress_ns[channel] = now_ns
        for feed in self._feeds_of(channel, None):
            if feed.status in ("stale", "reconnecting"):
                self._revive(feed, now_ns)
            feed.heartbeat(now_ns if ts is None else ts)

    def failed(self, channel: str, symbol: str, reason: str) -> None:
        """See Context."""
        for feed in self._feeds_of(channel, symbol):
            feed.turn("failed", self.clock.now_ns(), reason)

    def gap(
        self, channel: str, symbol: str | None, *, from_ns: int, to_ns: int, detail: str
    ) -> None:
        """See Context."""
        notice = Notice(code="gap", detail=detail, from_ns=from_ns, to_ns=to_ns)
        for feed in self._feeds_of(channel, symbol):
            feed.gap(notice)

    def cursor(self, channel: str, symbol: str) -> str | None:
        """See Context."""
        feed = self.feeds.get(Subscription(channel, symbol))
        return feed.last_id if feed else None

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """See Context."""
        return await fetch_json(url, params=params, headers=headers, timeout_s=timeout_s)

    def _feeds_of(self, channel: str, symbol: str | None) -> list[Feed]:
        return [
            feed
            for key, feed in self.feeds.items()
            if key.channel == channel and symbol in (None, key.symbol)
        ]

    def _progressed(self, channel: str, feed: Feed, now_ns: int) -> None:
        """The channel's event time moved: it is alive, and so is all that shares it."""
        self._progress_ns[channel] = now_ns
        if feed.status != "live":
            self._revive(feed, now_ns)
        for other in self._feeds_of(channel, None):
            if other.status == "stale":
                self._revive(other, now_ns)

    def _revive(self, feed: Feed, now_ns: int) -> None:
        was, since_ns = feed.status, feed.since_ns
        if was == "stale":
            since_ns = self._silent_since_ns.get(feed.subscription.channel, since_ns)
        feed.turn("live", now_ns)
        if was in ("stale", "reconnecting") and self.spec.capabilities.mode == "push":
            seconds = (now_ns - since_ns) / NS
            feed.gap(
                Notice(
                    code="gap",
                    detail=f"{feed.symbol or 'the source'} was {was} for {seconds:.1f} s; "
                    "what happened meanwhile may be missing",
                    from_ns=since_ns,
                    to_ns=now_ns,
                )
            )


def _symbol(event: Event) -> str:
    return event.symbol
