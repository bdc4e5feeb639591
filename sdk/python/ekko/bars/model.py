"""What a stream manager hands out: ticks, bars, predictions, signals, and events around them."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from typing import Any, Literal

import attrs

Direction = Literal["buy", "sell", "hold"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class EventType(enum.StrEnum):
    """What callbacks are called for."""

    TICK = "tick"
    BAR_COMPLETE = "bar_complete"
    PREDICTION = "prediction"
    SIGNAL = "signal"
    RECONNECT = "reconnect"
    HEALTH = "health"


@attrs.define(frozen=False, slots=True, eq=False)
class Tick:
    """One trade, as its venue told it. Not to be changed.

    Attributes:
        symbol: `BTC/USDT`, `TSLA`.
        price: In the quote currency; None for a trade that counts for volume and for no price,
            by the rules of its market (an odd lot, one that was reported late).
        volume: In base units.
        side: The aggressor's; None where the venue doesn't say.
        ts_ns: When it happened by the venue's clock, ns since 1970.
        received_ns: When Bond heard it, ns since 1970; 0 where nobody says.
        source: Who brought it.
        id: The venue's id of the trade; None if it has none.
        simulated: Whether it is made up.
        repaired: Whether it was fetched after the fact, for a hole.
    """

    symbol: str
    price: float | None
    volume: float
    side: Literal["buy", "sell"] | None
    ts_ns: int
    received_ns: int = 0
    source: str = ""
    id: str | None = None
    simulated: bool = False
    repaired: bool = False

    @property
    def timestamp(self) -> dt.datetime:
        """When it happened, UTC, to the microsecond."""
        return time_of(self.ts_ns)


@attrs.frozen(kw_only=True)
class Bar:
    """What was traded of one symbol in `[start_ns, end_ns)`, both ns since 1970.

    What nobody knows is None: all prices where nothing was heard, the sums where the source was
    down for the whole bar, and `buy_volume` and `sell_volume` where the venue didn't say the side
    of some of its trades. `unknown_volume` is the volume of those.

    Attributes:
        vwap: Σ price·size / Σ size; None where nothing was traded.
        trades: Number of trades.
        partial: Whether it doesn't tell of all its time: it was listened to for a part of it only,
            a connection was down, or something was lost.
        gaps: How many holes were noticed in it.
        coverage: How much of its time the worst of its sources was heard, 0 to 1; None for a bar
            that is being built.
        complete: Whether it is closed. `get_current_bar` gives one that isn't.
        simulated: Whether any of it is made up.
        replayed: Whether it comes from a recording.
    """

    symbol: str
    timeframe: str
    start_ns: int
    end_ns: int
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None
    vwap: float | None = None
    trades: int | None = None
    buy_volume: float | None = None
    sell_volume: float | None = None
    unknown_volume: float | None = None
    partial: bool = False
    gaps: int = 0
    coverage: float | None = None
    complete: bool = True
    simulated: bool = False
    replayed: bool = False

    @property
    def start(self) -> dt.datetime:
        """When it begins, UTC."""
        return time_of(self.start_ns)

    @property
    def end(self) -> dt.datetime:
        """When it ends, UTC; excluded."""
        return time_of(self.end_ns)

    timestamp = start


@attrs.frozen(kw_only=True)
class Prediction:
    """What a predictor makes of a bar.

    Attributes:
        direction: `buy` for up, `sell` for down, `hold` for neither.
        confidence: How sure it is, 0 to 1.
        bar: The bar that it was made at.
        features: What it was made of.
        raw: What the predictor itself returned.
    """

    symbol: str
    direction: Direction
    confidence: float
    bar: Bar
    features: Mapping[str, Any] = attrs.field(factory=dict)
    raw: Any = None

    @property
    def simulated(self) -> bool:
        """Whether the bar is made up."""
        return self.bar.simulated


@attrs.frozen(kw_only=True)
class Signal:
    """A prediction that was sure enough. Nothing is ordered by it.

    Attributes:
        price: The close of the bar that it was made at.
    """

    symbol: str
    direction: Direction
    confidence: float
    price: float
    prediction: Prediction

    @property
    def bar(self) -> Bar:
        """The bar that it was made at."""
        return self.prediction.bar

    @property
    def simulated(self) -> bool:
        """Whether the bar is made up."""
        return self.prediction.simulated


@attrs.frozen(kw_only=True)
class Reconnect:
    """A source came back, or was given up.

    Attributes:
        source: Which one.
        count: How often it has come back so far.
        status: `live`, or `failed` when it was given up.
        reason: Why it had gone, as it was told.
        symbol: For which one it was given up; None is all.
    """

    source: str
    count: int
    status: str
    reason: str | None
    symbol: str | None = None


@attrs.define(eq=False)
class StreamEvent:
    """What most callbacks are called with.

    Attributes:
        type: What happened.
        data: A `Tick`, `Prediction`, `Signal` or `Reconnect`, or a health report.
    """

    type: EventType
    data: Any


def time_of(ns: int) -> dt.datetime:
    """Return ns since 1970 as a time in UTC."""
    return _EPOCH + dt.timedelta(microseconds=ns // 1000)
