"""Bond's own windows, from the source edge on: checks, ids seen before, engine, records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bond_core.aggregators.prices import TradePrices
from bond_core.aggregators.volume import Volume
from bond_core.model.event import Event, Trade
from bond_core.model.record import Notice, Record, Repaired, Status
from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import Channel
from bond_core.runtime.feed import Feed
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import FieldPlan, Max, Metric, SourcePlan, StreamPlan
from tests.benchmarks.window.market import LATENESS_NS, NS, T0, Row

BATCH = 64

CANDLE_FIELDS = ("price_open", "price_high", "price_low", "price_close", "volume_sum",
                 "buy_volume", "trades")  # fmt: skip
_ALL: Mapping[str, FieldPlan] = {**TradePrices().plan(), **Volume().plan()}

CANDLE: Mapping[str, tuple[str, FieldPlan]] = {f: ("trade", _ALL[f]) for f in CANDLE_FIELDS}
TWELVE: Mapping[str, tuple[str, FieldPlan]] = {
    **{name: ("trade", plan) for name, plan in _ALL.items()},
    "largest": ("trade", Metric({"x": Max("size")})),
}


def an_engine(
    symbols: Sequence[str], fields: Mapping[str, tuple[str, FieldPlan]], seconds: Sequence[int]
) -> WindowEngine:
    """Return the engine of a stream with one source, which is live."""
    source = SourcePlan(
        name="venue", kind="trade", lateness_ns=LATENESS_NS, idle_ns=3 * NS // 2, venue="venue",
        routes={symbol: (symbol,) for symbol in symbols},
    )  # fmt: skip
    plan = StreamPlan(
        symbols=tuple(symbols),
        timeframes_ns=tuple(each * NS for each in seconds),
        fields=fields,
        sources=(source,),
    )
    engine = WindowEngine(plan, start_ns=T0)
    engine.on_status("venue", None, "live", T0)
    return engine


class Ear:
    """Hands what the feed lets through to the engine, as a stream's own does."""

    def __init__(self, engine: WindowEngine) -> None:
        self.engine = engine
        self.records: list[Record] = []

    def on_events(self, symbol: str, events: Sequence[Trade]) -> None:
        """Take events, and the windows that they close."""
        self.engine.on_events("venue", events)
        for closed in self.engine.take():
            self.records += closed.records

    def on_duplicates(self, symbol: str, n: int) -> None:
        """See Listener."""
        self.engine.on_duplicates("venue", symbol, n)

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        """See Listener."""
        self.engine.on_rejected("venue", symbol, n)

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        """See Listener."""

    def on_heartbeat(self, ts: int) -> None:
        """See Listener."""

    def on_clamped(self, symbol: str, n: int) -> None:
        """See Listener."""

    def on_gap(self, symbol: str, notice: Notice) -> None:
        """See Listener."""

    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None:
        """See Listener."""


def run(trades: Sequence[Trade], engine: WindowEngine) -> list[Record]:
    """Take trades through the whole contract, in batches as a socket brings them."""
    ear = Ear(engine)
    channel = Channel(name="trades", kind="trade", fields=())
    feed = Feed(Subscription("trades", ""), channel, at_ns=T0)
    feed.attach(ear, None)
    for at in range(0, len(trades), BATCH):
        batch = trades[at : at + BATCH]
        feed.hear(batch, batch[-1].recv_ts)
    return ear.records


def rows(records: Sequence[Record], seconds: int) -> dict[tuple[str, int], Row]:
    """Return the candles among records of a timeframe, by symbol and start."""
    return {
        (r.symbol, r.window_start_ns): tuple(float(r.values[name]) for name in CANDLE_FIELDS)  # type: ignore[arg-type]
        for r in records
        if r.timeframe_ns == seconds * NS and r.values["trades"]
    }
