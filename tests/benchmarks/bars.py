"""What a tick costs on its way to a closed bar's callback, and how long one takes to a signal.

`cost`: process time, in microseconds a tick and as ratios to the bare window engine's, which is
given the same trades in the same batches: 100 symbols, 1000 trades a second, bars of 1, 5 and 15
minutes, and as many trades a frame as it says. Both begin with trades that were checked and not
heard before, as the feed hands them on; the manager's end with its bar callback. Beside it the
same from the connector on, and with a callback for each tick. 64 trades come within one turn of
the loop.

`signal`: 100 symbols, 100 ticks a second each, in real time, bars of a second. From the hearing of
the tick that ends a bar (the first one half a second past its end: so long is waited for late
ones) to the executor, after features and a prediction; p99 over all signals. Beside it a bare loop
that keeps sums in a dictionary and calls the same functions.

`clients`: how many subscriptions at a simulated TWS 50 SSE clients of one contract cost.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bond_core.aggregators.prices import TradePrices
from bond_core.aggregators.volume import Volume
from bond_core.clock import NS
from bond_core.model.event import Trade
from bond_core.windows.engine import WindowEngine
from ekko.bars import Bar, Signal, StreamingTradingEngine, features_of
from ekko.bars.specs import FIELDS
from tests.benchmarks.figure import Figure
from tests.benchmarks.sse_clients import upstreams_of
from tests.benchmarks.window import bond
from tests.journeys.spoken_venue import T0, listening

CASES = ("cost", "signal", "clients")
FRAMES = (1, 10, 64)
AT_MOST = 3.0
P99_MS = 50.0

_CLIENTS = 50

_SYMBOLS = [f"S{n}/USDT" for n in range(100)]
_TRADES = 153_600
_A_TURN = 64
_ROUNDS = 3
_PER_S = 10_000
_FOR_S = 6.0
_LATENESS_NS = NS // 2
_PLANS = {**TradePrices().plan(), **Volume().plan()}

Frames = list[list[Trade]]


def run(case: str | None = None) -> Iterable[Figure]:
    """Yield the figures of all, or of one."""
    if case in (None, "cost"):
        yield from _cost()
    if case in (None, "signal"):
        yield from _signal()
    if case in (None, "clients"):
        yield _clients()


# Cost


def _cost() -> Iterable[Figure]:
    for size in FRAMES:
        ways: dict[str, Callable[[], float]] = {
            "bare": lambda size=size: _bare_s(_frames(size)),
            "bars": lambda size=size: asyncio.run(_manager_s(_frames(size))),
            "with on_tick": lambda size=size: asyncio.run(_manager_s(_frames(size), is_told=True)),
            "from connector": lambda size=size: asyncio.run(
                _manager_s(_frames(size), is_checked=False)
            ),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(_ROUNDS):
            for name, way in ways.items():
                took[name].append(way())
        for name in list(ways)[1:]:
            ratio = statistics.median(a / b for a, b in zip(took[name], took["bare"], strict=True))
            figure = Figure(
                bench="bars", case=f"{name}, {size} a frame", against="bare engine", ratio=ratio
            )
            yield figure.at_most(AT_MOST) if name == "bars" else figure
        for name in ways:
            of_one = statistics.median(took[name]) / _TRADES * 1e6
            yield Figure(
                bench="bars", case=f"{name}, {size} a frame", against="1 us a tick", ratio=of_one
            )


def _frames(size: int) -> Frames:
    chance, frames = random.Random(3), []
    for begin in range(0, _TRADES, size):
        symbol = _SYMBOLS[chance.randrange(len(_SYMBOLS))]
        times = [(n, T0 + n * NS // 1000) for n in range(begin, min(begin + size, _TRADES))]
        frames.append([
            Trade(symbol, at, 100 + chance.random(), chance.random(),
                  "buy" if chance.random() < 0.5 else "sell", str(n), n, at)
            for n, at in times
        ])  # fmt: skip
    return frames


def _engine() -> WindowEngine:
    fields = {name: ("trade", _PLANS[name]) for name in FIELDS}
    return bond.an_engine(_SYMBOLS, fields, (60, 300, 900))


def _bare_s(frames: Frames) -> float:
    engine, records = _engine(), 0
    gc.collect()
    began = time.process_time()
    for frame in frames:
        engine.on_events("venue", frame)
        for closed in engine.take():
            records += len(closed.records)
    took = time.process_time() - began
    if not records:
        raise RuntimeError("no bar closed")
    return took


class _Moved:
    """A clock that is moved without waiting for anybody: who sleeps, sleeps on."""

    def __init__(self) -> None:
        self.at_ns = T0

    def now_ns(self) -> int:
        return self.at_ns

    monotonic_ns = now_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.get_running_loop().create_future()

    sleep_until = sleep


async def _manager_s(frames: Frames, *, is_told: bool = False, is_checked: bool = True) -> float:
    clock, bars, ticks = _Moved(), [], 0

    def told(_: Any) -> None:
        nonlocal ticks
        ticks += 1

    callbacks = {"on_bar_complete": bars.append, **({"on_tick": told} if is_told else {})}
    async with listening(_SYMBOLS, clock=clock, callbacks=callbacks) as (manager, venue):
        ears = {key.symbol: feed.listeners for key, feed in venue.ctx.feeds.items()}
        ears = {symbol: next(iter(each)) for symbol, each in ears.items()}
        waiting = 0
        gc.collect()
        began = time.process_time()
        for frame in frames:
            clock.at_ns = frame[-1].ts
            if is_checked:
                symbol = frame[0].symbol
                ears[symbol].on_events(symbol, frame)
            else:
                venue.say(*frame)
            waiting += len(frame)
            if waiting >= _A_TURN:
                waiting = 0
                await asyncio.sleep(0)
        while manager.get_metrics()["ticks"] < _TRADES:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0)
        took = time.process_time() - began
        if not bars or (is_told and ticks < _TRADES - 10_000):
            raise RuntimeError(f"only {len(bars)} bars and {ticks} ticks were told")
        return took


# Signal


def _signal() -> Iterable[Figure]:
    ours = asyncio.run(_our_delays_ms())
    bare = asyncio.run(_bare_delays_ms())
    for name, place in (("p50", 0.50), ("p99", 0.99)):
        figure = Figure(bench="bars", case=f"tick to signal {name}", against="1 ms",
                        ratio=_at(ours, place))  # fmt: skip
        yield figure.at_most(P99_MS) if name == "p99" else figure
        yield Figure(bench="bars", case=f"tick to signal {name}", against="bare loop",
                     ratio=_at(ours, place) / _at(bare, place))  # fmt: skip
        yield Figure(bench="bars", case=f"bare loop {name}", against="1 ms",
                     ratio=_at(bare, place))  # fmt: skip


def _at(delays: Sequence[float], place: float) -> float:
    ordered = sorted(delays)
    return ordered[min(len(ordered) - 1, math.ceil(place * len(ordered)))]


def _predict(features: Any) -> float:
    return 0.9 if (features["return_1"] or 0.0) >= 0 else 0.1


async def _paced(say: Callable[[list[Trade]], None]) -> None:
    """Say so many trades a second, each of its own symbol, as of now; in real time."""
    gc.collect()
    gc.freeze()  # as `bond serve` does: what is loaded is not looked through again and again
    chance, began, sent = random.Random(5), time.perf_counter(), 0
    while (past := time.perf_counter() - began) < _FOR_S:
        now_ns = time.time_ns()
        due = int(past * _PER_S)
        for n in range(sent, due):
            symbol = _SYMBOLS[n % len(_SYMBOLS)]
            say([Trade(symbol, now_ns, 100 + chance.random(), 1.0, "buy", str(n), n)])
        sent = due
        await asyncio.sleep(0.001)


class _Delays:
    """When ticks that end bars were heard, and how long after it each signal came, ms."""

    def __init__(self) -> None:
        self.ended_by: dict[int, int] = {}
        self.found: list[float] = []

    def heard(self, trade: Trade) -> None:
        """Note a tick."""
        end_ns = (trade.ts - _LATENESS_NS) // NS * NS
        if end_ns not in self.ended_by:
            self.ended_by[end_ns] = time.time_ns()

    def execute(self, signal: Signal) -> None:
        """Note a signal; see Executor."""
        heard_ns = self.ended_by.get(signal.bar.end_ns)
        if heard_ns is not None:
            self.found.append((time.time_ns() - heard_ns) / 1e6)


async def _our_delays_ms() -> list[float]:
    delays = _Delays()
    frames = {"supported_timeframes": ["1s"], "default_timeframe": "1s"}
    async with listening(_SYMBOLS, **frames) as (manager, venue):
        engine = StreamingTradingEngine(manager, _predict, delays)
        await engine.start()

        def say(trades: list[Trade]) -> None:
            delays.heard(trades[0])
            venue.say(*trades)

        await _paced(say)
    return _enough(delays)


async def _bare_delays_ms() -> list[float]:
    delays = _Delays()
    sums: dict[tuple[str, int], list[float]] = {}
    history: dict[str, list[Bar]] = {symbol: [] for symbol in _SYMBOLS}
    closed_ns = 0

    def say(trades: list[Trade]) -> None:
        nonlocal closed_ns
        trade = trades[0]
        delays.heard(trade)
        key = trade.symbol, trade.ts // NS * NS
        price, size = trade.price or 0.0, trade.size
        bar = sums.get(key)
        if bar is None:
            sums[key] = [price, price, price, price, size, price * size, size, 1]
        else:
            bar[1], bar[2], bar[3] = max(bar[1], price), min(bar[2], price), price
            bar[4] += size
            bar[5] += price * size
            bar[6] += size
            bar[7] += 1
        end_ns = (trade.ts - _LATENESS_NS) // NS * NS
        if end_ns > closed_ns:
            closed_ns = end_ns
            for symbol, start in [each for each in sums if each[1] < end_ns]:
                _close(history[symbol], symbol, start, sums.pop((symbol, start)), delays)

    await _paced(say)
    return _enough(delays)


def _close(
    bars: list[Bar], symbol: str, start_ns: int, sums: Sequence[float], delays: _Delays
) -> None:
    opened, high, low, close, volume, turnover, bought, trades = sums
    bar = Bar(symbol=symbol, timeframe="1s", start_ns=start_ns, end_ns=start_ns + NS, open=opened,
              high=high, low=low, close=close, volume=volume, vwap=turnover / volume,
              trades=int(trades), buy_volume=bought)  # fmt: skip
    bars.append(bar)
    sure = _predict(features_of(bars[-50:]))
    delays.execute(_Made(bar, sure))  # type: ignore[arg-type] -- what is read of it is there


class _Made:
    def __init__(self, bar: Bar, sure: float) -> None:
        self.bar, self.sure = bar, sure


def _enough(delays: _Delays) -> list[float]:
    if len(delays.found) < 3 * len(_SYMBOLS):
        raise RuntimeError(f"only {len(delays.found)} signals came")
    return delays.found


# Clients


def _clients() -> Figure:
    try:
        upstreams = asyncio.run(upstreams_of(_CLIENTS))
    except ModuleNotFoundError:
        upstreams = None
    figure = Figure(
        bench="bars", case=f"{_CLIENTS} SSE clients", against="1 upstream", ratio=upstreams
    )
    return figure if upstreams is None else figure.at_most(1.0)
