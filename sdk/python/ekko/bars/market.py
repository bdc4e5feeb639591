"""What a stream manager knows of what it listens to: bars, sources, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from ekko.bars.building import Building
from ekko.bars.calling import LOG, Callback
from ekko.bars.clock import Clock
from ekko.bars.config import StreamManagerConfig, timeframe_ns
from ekko.bars.health import Health, overall
from ekko.bars.hearing import SoFar, Trade
from ekko.bars.history import History, bar_of, bar_of_fields
from ekko.bars.inbox import Inbox, Ticks
from ekko.bars.listened import Listened
from ekko.bars.model import Bar, EventType, StreamEvent

_COUNTS = ("bars", "predictions", "signals", "reconnects", "gaps", "late", "lost")


class Market:
    """Listens (see Listener), keeps what it hears, and leaves what is to be told in an inbox.

    Args:
        config: Settings.
        symbols: What is listened to.
        inbox: Where what callbacks get is left.
        clock: Tells the time.
        tick_callbacks: Who wants to be called back for ticks, now.
        adds_up: Whether what is being built is summed up here: nobody tells of windows to look
            into.

    Attributes:
        ticks: How many trades were heard.
        counts: How often what else happened.
        health: The sources.
        history: The closed bars.
        failures: Streams that ended, and why.
    """

    def __init__(
        self, config: StreamManagerConfig, symbols: Iterable[str], *, inbox: Inbox, clock: Clock,
        tick_callbacks: Sequence[Callback], adds_up: bool,
    ) -> None:  # fmt: skip
        self.ticks = 0
        self.counts: Counter[str] = Counter()
        self.health = Health()
        self.history = History(config.bar_history_size)
        self.failures: list[str] = []
        self._config = config
        self._inbox = inbox
        self._clock = clock
        self._tick_callbacks = tick_callbacks
        self._shortest = config.shortest
        self._began_ns = clock.now_ns()
        self._listened = {each: Listened() for each in symbols}
        self._newest: dict[str, Trade] = {}
        self._so_far: dict[str, SoFar] = {}
        self._building: dict[str, Building] = {}
        if adds_up:
            lengths = config.supported_timeframes
            self._building = {each: Building(each, lengths) for each in self._listened}

    def on_sources(self, simulated: Mapping[str, bool]) -> None:
        """See Listener."""
        self.health.know(simulated)

    def on_windows(self, symbols: Sequence[str], so_far: SoFar) -> None:
        """See Listener."""
        self._so_far |= dict.fromkeys(symbols, so_far)

    def on_repaired(self, source: str, trades: Sequence[Trade]) -> None:
        """See Listener."""
        self.on_trades(source, trades, repaired=True)

    def on_trades(self, source: str, trades: Sequence[Trade], *, repaired: bool = False) -> None:
        """See Listener. What isn't done here for every trade costs nothing."""
        self.ticks += len(trades)
        newest = trades[-1]
        self._newest[newest.symbol] = newest
        if self._building and (building := self._building.get(newest.symbol)) is not None:
            building.add(trades)
        if self._tick_callbacks:
            self._inbox.put_ticks(Ticks(source, trades, repaired=repaired))

    def on_status(self, source: str, symbol: str | None, status: str, reason: str | None) -> None:
        """See Listener."""
        now_ns = self._clock.now_ns()
        for listened in self._about(symbol):
            listened.turn(source, is_live=status == "live", now_ns=now_ns)
        told = self.health.source(source).turn(source, symbol, status, reason)
        if told is not None:
            if told.status == "failed":
                LOG.error("%s is given up: %s", source, told.reason)
            else:
                self.counts["reconnects"] += 1
            self._inbox.put(EventType.RECONNECT, StreamEvent(EventType.RECONNECT, told))

    def on_gap(self, source: str, symbol: str | None, detail: str) -> None:
        """See Listener."""
        self.counts["gaps"] += 1
        self.health.source(source).gaps += 1
        for listened in self._about(symbol):
            listened.missed(self._clock.now_ns())
        LOG.warning("%s: a gap in %s: %s", source, symbol or "everything", detail)

    def on_record(self, record: Mapping[str, Any]) -> None:
        """See Listener."""
        bar = bar_of(record)
        if bar.timeframe == self._shortest:
            self.counts["late"] += sum(each["late"] for each in record["sources"].values())
        if (building := self._building.get(bar.symbol)) is not None:
            building.close(bar)
        self.history.add(bar)
        self.counts["bars"] += 1
        self._inbox.put(EventType.BAR_COMPLETE, bar)

    def on_lost(self, detail: str) -> None:
        """See Listener."""
        self.counts["lost"] += 1
        for listened in self._listened.values():
            listened.missed(self._clock.now_ns())
        LOG.warning("%s", detail)

    def _about(self, symbol: str | None) -> list[Listened]:
        if symbol is None:
            return list(self._listened.values())
        found = self._listened.get(symbol)
        return [found] if found is not None else []

    # What is known

    def current(self, symbol: str, timeframe: str) -> Bar | None:
        """Return the bar that is being built; None before its first trade."""
        bar = None
        if (building := self._building.get(symbol)) is not None:
            bar = building.current(timeframe, self._clock.now_ns())
        elif (so_far := self._so_far.get(symbol)) is not None:
            window = so_far(symbol, timeframe_ns(timeframe))
            if window is not None:
                bar = bar_of_fields(
                    window.values, symbol=symbol, timeframe=timeframe, start_ns=window.start_ns,
                    end_ns=window.end_ns, complete=False,
                )  # fmt: skip
        if bar is None:  # it may also have been added since, and isn't listened to yet
            return None
        partial = self._listened[symbol].is_partial(bar.start_ns)
        return attrs.evolve(bar, partial=partial, simulated=self.health.simulated)

    def report(self, last_error: str | None, slow: Sequence[str] = ()) -> dict[str, Any]:
        """Return how all of it does; see StreamManager.get_health."""
        stale_s, now_ns = self._config.stale_threshold_seconds, self._clock.now_ns()
        symbols: dict[str, Any] = {}
        for symbol in self._listened:
            newest = self._newest.get(symbol)
            age_s = None if newest is None else (now_ns - newest.recv_ts) / 10**9
            is_stale = age_s is not None and age_s > stale_s
            symbols[symbol] = {"last_tick_age_s": age_s, "is_stale": is_stale}
        problems = [*self.failures, *slow]
        if self._inbox.dropped:
            problems.append(f"{self._inbox.dropped} ticks were dropped: on_tick is too slow")
        if lost := self._inbox.told_dropped:
            problems.append(f"{lost} bars and reconnects were dropped: callbacks are too slow")
        if last_error:
            problems.append(f"a callback raised, last {last_error}")
        sources = self.health.report()
        is_any_stale = any(symbol["is_stale"] for symbol in symbols.values())
        return {
            "status": overall(sources, is_any_stale=is_any_stale, problems=bool(problems)),
            "simulated": self.health.simulated,
            "sources": sources,
            "symbols": symbols,
            "problems": problems,
        }

    def metrics(self) -> dict[str, Any]:
        """Return counts since the start."""
        return {
            "ticks": self.ticks,
            **{name: self.counts[name] for name in _COUNTS},
            "ticks_waiting": self._inbox.waiting,
            "ticks_dropped": self._inbox.dropped,
            "told_waiting": self._inbox.told_waiting,
            "told_dropped": self._inbox.told_dropped,
            "uptime_s": (self._clock.now_ns() - self._began_ns) / 10**9,
            "simulated": self.health.simulated,
        }
