"""A stream for tests: an engine, spoken to in seconds after a round hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bond_core.aggregators.counts import Tweets
from bond_core.aggregators.prices import TradePrices
from bond_core.aggregators.quotes import Quotes
from bond_core.aggregators.volume import Volume
from bond_core.model.event import Post, Quote, Trade
from bond_core.model.record import Record
from bond_core.windows.engine import MAX_KEYS, WindowEngine
from bond_core.windows.plan import FieldPlan, SourcePlan, StreamPlan
from bond_core.windows.source_state import leave

SECOND = 1_000_000_000
T = 1_699_999_200 * SECOND
"""A full hour, and so a boundary of every window that the tests use."""

BTC = "BTC/USDT"
ETH = "ETH/USDT"

MARKET = {
    name: ("trade", field)
    for aggregator in (TradePrices(), Volume())
    for name, field in aggregator.plan().items()
}
QUOTES = {name: ("quote", field) for name, field in Quotes().plan().items()}
TWEETS = {name: ("post", field) for name, field in Tweets().plan().items()}


def ns(seconds: float) -> int:
    """Seconds after T, as a time in ns."""
    return T + round(seconds * SECOND)


def a_source(name: str = "binance", kind: str = "trade", **changes: object) -> SourcePlan:
    """A source with the lateness and idle time of the numbered cases."""
    symbols = changes.pop("symbols", (BTC,))
    given = {
        "lateness_ns": SECOND // 2,
        "idle_ns": 3 * SECOND // 2,
        "routes": {symbol: (symbol,) for symbol in symbols},
        "venue": name,
    }
    return SourcePlan(name=name, kind=kind, **(given | changes))


def a_trade(at: float, price: float = 100.0, size: float = 1.0, **changes: object) -> Trade:
    """A trade that was heard 30 ms after it happened."""
    ts = ns(at)
    given = {"symbol": BTC, "recv_ts": ts + 30_000_000}
    return Trade(ts=ts, price=price, size=size, **(given | changes))


def a_quote(at: float, bid: float | None, ask: float | None, **changes: object) -> Quote:
    """A quote that was heard 10 ms after it happened."""
    ts = ns(at)
    return Quote(**({"symbol": BTC, "recv_ts": ts + 10_000_000} | changes), ts=ts, bid=bid, ask=ask)


def a_post(at: float, symbol: str = "BTC") -> Post:
    """A post."""
    return Post(symbol=symbol, ts=ns(at), text="up", recv_ts=ns(at))


class Stream:
    """An engine whose sources are all live from its start on."""

    def __init__(
        self,
        *sources: SourcePlan,
        symbols: Sequence[str] = (BTC,),
        seconds: Sequence[float] = (5,),
        fields: Mapping[str, tuple[str, FieldPlan]] = MARKET,
        start: float = 0,
        live: bool = True,
        aside: Callable[[str, object], None] = leave,
        max_keys: int = MAX_KEYS,
        **plan: object,
    ) -> None:
        self.plan = StreamPlan(
            symbols=tuple(symbols),
            timeframes_ns=tuple(round(each * SECOND) for each in seconds),
            fields=fields,
            sources=sources or (a_source(symbols=symbols),),
            **plan,
        )
        self.engine = WindowEngine(self.plan, start_ns=ns(start), aside=aside, max_keys=max_keys)
        self.seen: list[Record] = []
        if live:
            for source in self.plan.sources:
                self.engine.on_status(source.name, None, "live", ns(start))

    def hear(self, *events: object, source: str = "binance") -> list[Record]:
        """Events arrive; returns the records that this closes."""
        self.engine.on_events(source, events)
        return self.take()

    def tick(self, at: float) -> list[Record]:
        """The clock says so many seconds after T."""
        self.engine.on_tick(ns(at))
        return self.take()

    def finish(self, at: float) -> list[Record]:
        """The stream ends."""
        self.engine.finish(ns(at))
        return self.take()

    def take(self) -> list[Record]:
        """Return the records of the windows that closed, in order."""
        records = [record for closed in self.engine.take() for record in closed.records]
        self.seen += records
        return records


def start_of(record: Record) -> float:
    """Where a record's window starts, seconds after T."""
    return (record.window_start_ns - T) / SECOND


def counts(records: Sequence[Record], source: str = "binance") -> dict[float, int | None]:
    """How many events of a source each window has, by its start."""
    return {start_of(record): record.sources[source].count for record in records}


def notices(record: Record) -> list[str]:
    """The codes of a record's notices."""
    return [notice.code for notice in record.notices]


def about(record: Record) -> tuple[str, int, float, int]:
    """What a record is about."""
    return record.symbol, record.timeframe_ns // SECOND, start_of(record), record.rev
