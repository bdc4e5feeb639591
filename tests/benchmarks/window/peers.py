"""The same windows in other engines, set up as their own documentation does, at their best.

bytewax         `fold_window` with an event clock that waits 0.5 s, unordered, one worker, no
                network; a step for each timeframe; keys and datetimes are made beforehand
NautilusTrader  `TimeBarAggregator`, fed directly with ticks that are made beforehand, in order:
                it drops a tick that is older than the last one. OHLC and volume only
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bond_core.model.event import Trade
from tests.benchmarks.window.market import NS, T0, Row

Run = Callable[[], object]
_ALIGNED = datetime(2023, 1, 1, tzinfo=UTC)
_ALIGNED_S = round(_ALIGNED.timestamp())


def bytewax(trades: Sequence[Trade], seconds: Sequence[int]) -> Callable[[], list[Any]]:
    """Return what runs the dataflow; it gives `(symbol, (window number, state))` of all steps.

    Raises:
        ImportError: It isn't installed.
    """
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.operators import windowing as w
    from bytewax.testing import TestingSink, TestingSource, run_main

    utc = UTC
    items = [(t.symbol, (datetime.fromtimestamp(t.ts / NS, utc), t)) for t in trades]
    now = datetime.fromtimestamp(T0 / NS, utc)

    def fold(state: list[Any], item: tuple[datetime, Trade]) -> list[Any]:
        trade = item[1]
        at, price, size = (trade.ts, trade.seq), trade.price, trade.size
        if state[0] is None or at < state[0]:
            state[0], state[1] = at, price
        state[2] = max(state[2], price)
        state[3] = min(state[3], price)
        if state[4] is None or at >= state[4]:
            state[4], state[5] = at, price
        state[6] += size
        if trade.side == "buy":
            state[7] += size
        state[8] += 1
        return state

    def zero() -> list[Any]:
        return [None, 0.0, float("-inf"), float("inf"), None, 0.0, 0.0, 0.0, 0]

    def run() -> list[Any]:
        out: list[Any] = []
        flow = Dataflow("windows")
        stream = op.input("in", flow, TestingSource(items, batch_size=1000))
        for each in seconds:
            clock = w.EventClock(
                lambda item: item[0], timedelta(milliseconds=500),
                now_getter=lambda: now, to_system_utc=lambda _: None,
            )  # fmt: skip
            windows = w.TumblingWindower(length=timedelta(seconds=each), align_to=_ALIGNED)
            done = w.fold_window(
                f"w{each}", stream, clock, windows, zero, fold, lambda a, _: a, ordered=False
            )
            op.output(f"out{each}", done.down, TestingSink(out))
        run_main(flow)
        return out

    return run


def bytewax_rows(out: Sequence[Any], seconds: int) -> dict[tuple[str, int], Row]:
    """Return the candles of a run with one timeframe."""
    return {
        (symbol, (_ALIGNED_S + number * seconds) * NS): tuple(
            float(s[i]) for i in (1, 2, 3, 5, 6, 7, 8)
        )
        for symbol, (number, s) in out
    }


def nautilus(trades: Sequence[Trade], seconds: Sequence[int]) -> Callable[[], list[Any]]:
    """Return what runs the aggregators; it gives the bars.

    Raises:
        ImportError: It isn't installed.
    """
    from nautilus_trader.common.component import TestClock
    from nautilus_trader.data.aggregation import TimeBarAggregator
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.data import BarType, TradeTick
    from nautilus_trader.model.enums import AggressorSide
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
    from nautilus_trader.model.instruments import CurrencyPair
    from nautilus_trader.model.objects import Price, Quantity

    steps = {5: "5-SECOND", 60: "1-MINUTE", 300: "5-MINUTE"}
    instruments = {}
    for symbol in sorted({t.symbol for t in trades}):
        name = Symbol(symbol.replace("/", ""))
        instruments[symbol] = CurrencyPair(
            instrument_id=InstrumentId(name, Venue("SIM")), raw_symbol=name, base_currency=BTC,
            quote_currency=USDT, price_precision=6, size_precision=3,
            price_increment=Price.from_str("0.000001"), size_increment=Quantity.from_str("0.001"),
            ts_event=0, ts_init=0,
        )  # fmt: skip
    sides = {"buy": AggressorSide.BUYER, "sell": AggressorSide.SELLER}
    ticks = [
        TradeTick(
            instruments[t.symbol].id, Price(t.price, 6), Quantity(t.size, 3),
            sides[t.side or "buy"],
            TradeId(str(t.seq)), t.ts, t.ts,
        )
        for t in sorted(trades, key=lambda t: (t.ts, t.seq))
    ]  # fmt: skip

    def run() -> list[Any]:
        bars: list[Any] = []
        clock = TestClock()
        clock.set_time(T0)
        handlers: dict[Any, list[Callable[[Any], None]]] = {}
        for instrument in instruments.values():
            for each in seconds:
                kind = BarType.from_str(f"{instrument.id}-{steps[each]}-LAST-INTERNAL")
                aggregator = TimeBarAggregator(
                    instrument, kind, bars.append, clock,
                    interval_type="right-open", build_with_no_updates=False,
                )  # fmt: skip
                aggregator.start_batch_update(bars.append, T0)
                handlers.setdefault(instrument.id, []).append(aggregator.handle_trade_tick)
        for tick in ticks:
            for handle in handlers[tick.instrument_id]:
                handle(tick)
        return bars

    return run
