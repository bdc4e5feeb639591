"""Keep one connector listening: start it, watch that data really flows, start it anew.

"Connected" is not "live": a channel whose newest event time stands still for `stale_s` is
stale, whatever its socket says, and the connector is started anew. Only progress makes a
stale feed live again, not a fresh connection.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from bond_core.clock import NS, Clock
from bond_core.errors import Fatal, PluginError, Retryable
from bond_core.model.event import Event
from bond_core.model.record import Notice, Status
from bond_core.plugin.context import Subscription
from bond_core.plugin.egress import Egress
from bond_core.plugin.factories import load_class
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.contained import cause_of, contained
from bond_core.runtime.feed import Feed, Future
from bond_core.runtime.hiding import Hiding
from bond_core.runtime.outside import Outside, WayOut
from bond_core.runtime.pulse import Pulse
from bond_core.runtime.repair import Repairs
from bond_core.runtime.wanted import Wanted

WATCH_EVERY_S = 0.25
"""How often staleness is looked at."""

STOP_WITHIN_S = 1.0
"""How long a connector may take to stop. Real seconds: it may hang where no clock reaches."""

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
        way_out: How it reaches the outside world; None is the world, plainly guarded.
        future: What happens to events whose time lies in the future.

    Attributes:
        reconnects: How often it was started anew after it had broken off or stalled.
        stales: How often a feed of it was called stale.
        unasked: Events of symbols that nobody listens to (any more), dropped here.
    """

    def __init__(  # noqa: PLR0913 -- all that stands between a connector and the world
        self, spec: ConnectorSpec, config: Any, *, name: str, clock: Clock,
        chance: random.Random, simulated_at: str | None, backoff: Backoff | None = None,
        way_out: WayOut | None = None, future: Future = "reject",
    ) -> None:  # fmt: skip
        self.spec = spec
        self.name = name
        self.clock = clock
        self._hide = Hiding(config)
        self.log = self._hide.logger(f"bond.connector.{spec.name}")
        self.simulated_at = simulated_at
        self.wanted = Wanted()
        self.feeds: dict[Subscription, Feed] = {}
        self.attempts = 0
        self.reconnects = 0
        self.stales = 0
        self.unasked = 0
        self.is_over = False
        self._why_away: str | None = None  # while it pauses
        self._config = config
        self._future = future
        self._chance = chance
        self._backoff = backoff or Backoff()
        self._pulses: dict[str, Pulse] = {}
        self._run_since_ns = 0  # monotonic
        self._stalled = asyncio.Event()
        self._connector: Any = None
        out = way_out or Outside(Egress(), own=spec.hosts, simulated_at=simulated_at, clock=clock)
        self.get_json, self.get_text, self.post_json = out.get_json, out.get_text, out.post_json
        self.ws, self.sdk, self.noting = out.ws, out.sdk, out.noting  # see Context
        self.repairs = Repairs(
            self, spec, config, clock=clock, chance=chance, connector=lambda: self._connector,
            feeds=self.feeds, hide=self._hide,
        )  # fmt: skip

    # What feeds.py does with it

    def feed(self, channel: str, symbol: str) -> Feed:
        """Return the feed of a subscription, wanting it from now on."""
        key = Subscription(channel, symbol)
        if key not in self.feeds:
            now_ns = self.clock.now_ns()
            its, holes = self.spec.channel(channel), self.repairs.holes(channel)
            self.feeds[key] = Feed(key, its, at_ns=now_ns, future=self._future, holes=holes)
            if self._why_away is not None:
                self.feeds[key].turn("reconnecting", now_ns, self._why_away)
            if channel not in self._pulses:
                self._pulses[channel] = Pulse.starting(self.clock)
            self.wanted.add(key)
        return self.feeds[key]

    def drop(self, feed: Feed) -> None:
        """Want a feed no longer."""
        self.feeds.pop(feed.subscription, None)
        self.repairs.dropped(feed)
        self.wanted.discard(feed.subscription)
        if not self._feeds_of(feed.subscription.channel, None):
            self._pulses.pop(feed.subscription.channel, None)

    def reset(self) -> None:
        """Forget that it ended: `run` starts afresh, with the same feeds."""
        self.is_over = False
        self.attempts = 0
        self._pulses = {channel: Pulse.starting(self.clock) for channel in self._pulses}
        self._turn_all("starting", None, keep=())

    async def run(self) -> None:
        """Listen until cancelled, or until the connector is done or failed for good."""
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch(), name=f"watch {self.name}")
            repair = tasks.create_task(self.repairs.run(), name=f"repair {self.name}")
            await self._listen()
            self.is_over = True
            watch.cancel()
            repair.cancel()

    async def _listen(self) -> None:
        while True:
            started_ns = self.clock.monotonic_ns()
            try:
                await self._run_once()
            except Exception as raised:  # noqa: BLE001 -- a plugin's code may raise anything
                error = cause_of(raised)
                if not isinstance(error, (Retryable, OSError, TimeoutError)):
                    self._turn_all("failed", self._hide(self._why_over(error)))
                    return
                pause_s = self._pause_s(error, started_ns)
                why = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
                why = self._hide(why)
                if self._backoff.gives_up(self.attempts):
                    why = f"given up after {self.attempts} failures in a row: {why}"
                    self._turn_all("failed", why)
                    return
                self.log.warning("%s: %s; again in %.1f s", self.name, why, pause_s)
                self._turn_all("reconnecting", why, keep=("stale", "failed"))
                self._why_away = why
                try:
                    await self.clock.sleep(pause_s)
                finally:
                    self._why_away = None
                self.reconnects += 1
            else:
                self._turn_all("failed", "the source is at its end")
                return

    def _why_over(self, error: BaseException) -> str:
        if isinstance(error, Fatal):
            return error.detail + (f" Try: {error.fix}" if error.fix else "")
        if isinstance(error, PluginError):
            return error.detail
        self.log.error("%s: bug in the connector", self.name, exc_info=error)
        return f"bug in the connector: {type(error).__name__}: {error}"

    async def _run_once(self) -> None:
        """Run the connector until it ends by itself or a stalled channel ends it."""
        if self._connector is None:
            self._connector = load_class(self.spec.factory)(config=self._config)
        self._stalled.clear()
        self._run_since_ns = self.clock.monotonic_ns()
        run = asyncio.create_task(contained(self._connector, self), name=f"listen {self.name}")
        stalled = asyncio.create_task(self._stalled.wait())
        try:
            await asyncio.wait({run, stalled}, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                raise Retryable("no data although connected")
            if run.cancelled():  # not by us, and not to be mistaken for it
                raise RuntimeError("it ended with a CancelledError of its own")
            await run
        finally:
            stalled.cancel()
            self.repairs.interrupt()
            await self._stop(run)

    async def _stop(self, run: asyncio.Task[None]) -> None:
        if not run.cancelling():  # a second cancel would cut its cleaning up short
            run.cancel()
        await asyncio.wait({run}, timeout=STOP_WITHIN_S)
        if not run.done():
            # Whatever hangs there must hold up nobody else, nor meet the next run on one object.
            self.log.error("%s: does not stop when cancelled; left behind", self.name)
            self._connector = None
        elif not run.cancelled():
            run.exception()  # seen: asyncio complains of what nobody looked at

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
            mono_ns = self.clock.monotonic_ns()
            for feed in tuple(self.feeds.values()):
                channel = feed.subscription.channel
                stale_s = feed.stale_after_s(self.spec.channel(channel).stale_s)
                if stale_s is None or feed.status == "failed":
                    continue
                since_ns = self._pulses[channel].silent_since_ns
                limit_s = stale_s
                if feed.status != "live":
                    since_ns = max(since_ns, self._run_since_ns)
                    limit_s += _CONNECT_S
                silent_s = (mono_ns - since_ns) / NS
                if silent_s < limit_s:
                    continue
                if feed.status in ("live", "starting"):
                    reason = f"nothing new on {channel} for {silent_s:.1f} s"
                    if instead := self._heard_instead(channel):
                        reason += f", but {instead}"
                    self._pulses[channel].is_stale = True
                    self.stales += 1
                    feed.turn("stale", self.clock.now_ns(), reason)
                self._stalled.set()

    def _heard_instead(self, channel: str) -> str | None:
        """Return what the connector says that it hears in place of a channel's events, if so."""
        why_silent = getattr(self._connector, "why_silent", None)
        if why_silent is None:
            return None
        try:
            why = why_silent(channel)
        except Exception as error:
            self.log.exception("%s: bug in the connector's why_silent", self.name, exc_info=error)
            return None
        return self._hide(why) if why else None

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
        for symbol, heard in _by_symbol(events):
            feed = self.feeds.get(Subscription(channel, symbol))
            if feed is None:  # an unsubscription is on its way, or the connector misnames it
                self._count_unasked(channel, symbol, len(heard))
                continue
            newest = feed.hear(heard, now_ns)
            if newest is not None and self._pulses[channel].has_moved(newest, now_ns):
                self._progressed(channel, feed)

    def _count_unasked(self, channel: str, symbol: str, n: int) -> None:
        if not self.unasked:
            self.log.warning(
                "%s: it sent %s of %s, which nobody asked for; asked for: %s. Dropped and counted",
                self.name, channel, symbol or "no symbol",
                ", ".join(sorted(key.symbol for key in self.feeds)) or "nothing any more",
            )  # fmt: skip
        self.unasked += n

    def live(self, channel: str, symbol: str | None = None) -> None:
        """See Context."""
        feeds = self._feeds_of(channel, None)
        if feeds and not any(feed.status == "live" for feed in feeds):
            # An outage may have been longer than any silence allowed on a connection.
            self._pulses[channel].silent_since_ns = self.clock.monotonic_ns()
        for feed in self._feeds_of(channel, symbol):
            if feed.status in ("starting", "reconnecting"):
                self._revive(feed, feed.since_ns)

    def heartbeat(self, channel: str, ts: int | None = None) -> None:
        """See Context."""
        now_ns = self.clock.now_ns()
        self._progressed(channel, None)
        for feed in self._feeds_of(channel, None):
            feed.heartbeat(now_ns if ts is None else ts)

    def failed(self, channel: str, symbol: str, reason: str) -> None:
        """See Context."""
        for feed in self._feeds_of(channel, symbol):
            feed.turn("failed", self.clock.now_ns(), self._hide(reason))

    def reject(self, why: str, *, n: int = 1) -> None:
        """See Context."""
        # A stream hears several feeds with one ear; which of them it was, nobody knows.
        ears = dict.fromkeys(ear for feed in self.feeds.values() for ear in feed.listeners)
        why = self._hide(why)
        for ear in ears:
            ear.on_rejected("", n, why)

    def gap(
        self, channel: str, symbol: str | None, *, from_ns: int, to_ns: int, detail: str
    ) -> None:
        """See Context."""
        notice = Notice(code="gap", detail=self._hide(detail), from_ns=from_ns, to_ns=to_ns)
        for feed in self._feeds_of(channel, symbol):
            feed.gap(notice)

    def tell(
        self, channel: str, symbol: str | None, *, code: str, detail: str,
        at_ns: int | None = None,
    ) -> None:  # fmt: skip
        """See Context."""
        notice = Notice(code=code, detail=self._hide(detail), from_ns=at_ns, to_ns=at_ns)
        for feed in self._feeds_of(channel, symbol):
            feed.tell(notice)

    def cursor(self, channel: str, symbol: str) -> str | None:
        """See Context."""
        feed = self.feeds.get(Subscription(channel, symbol))
        return feed.last_id if feed else None

    def _feeds_of(self, channel: str, symbol: str | None) -> list[Feed]:
        return [
            feed
            for key, feed in self.feeds.items()
            if key.channel == channel and symbol in (None, key.symbol)
        ]

    def _progressed(self, channel: str, by: Feed | None) -> None:
        """The channel's event time moved: it is alive, and so is all that shares it."""
        pulse = self._pulses.get(channel)
        if pulse is None:
            return  # nobody listens to the channel
        silent_since_ns = pulse.beat(self.clock)
        if by is not None and by.status != "live":
            self._revive(by, silent_since_ns)
        if by is not None and not pulse.is_stale:
            return  # the usual case, once per batch of events
        pulse.is_stale = False
        for feed in self._feeds_of(channel, None):
            if feed.status == "stale" or (by is None and feed.status == "reconnecting"):
                self._revive(feed, silent_since_ns)

    def _revive(self, feed: Feed, silent_since_ns: int) -> None:
        was, now_ns = feed.status, self.clock.now_ns()
        from_ns = silent_since_ns if was == "stale" else feed.since_ns
        feed.turn("live", now_ns)
        if was == "starting" or self.spec.capabilities.mode != "push":
            feed.forgive()
            return
        seconds = (now_ns - from_ns) / NS
        detail = f"{feed.symbol or 'the source'} was {was} for {seconds:.1f} s; "
        detail += "what happened meanwhile may be missing"
        feed.gap(Notice(code="gap", detail=detail, from_ns=from_ns, to_ns=now_ns))


_symbol = attrgetter("symbol")


def _by_symbol(events: Iterable[Event]) -> Iterable[tuple[str, list[Event]]]:
    """Return runs of events of one symbol; mostly there is one event, and nothing to sort out."""
    if isinstance(events, list) and len(events) == 1:
        return ((events[0].symbol, events),)
    return ((symbol, list(run)) for symbol, run in groupby(events, key=_symbol))
