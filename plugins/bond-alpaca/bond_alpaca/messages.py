"""Read Alpaca's messages: arrays of objects that `T` tells apart.

Sources: https://docs.alpaca.markets/docs/streaming-market-data, .../real-time-stock-pricing-data
and .../real-time-crypto-pricing-data.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from bond_alpaca.conditions import is_trade, sets_price
from bond_core.plugin import MessageArrays, Trade

_NS = 1_000_000_000
_SIDES: dict[str, Literal["buy", "sell"]] = {"B": "buy", "S": "sell"}


class Success(msgspec.Struct, tag_field="T", tag="success"):
    """`connected` or `authenticated`."""

    msg: str


class Refusal(msgspec.Struct, tag_field="T", tag="error"):
    """What went wrong."""

    code: int
    msg: str = ""


class Subscribed(msgspec.Struct, tag_field="T", tag="subscription"):
    """All that this connection is subscribed to, after each change."""

    trades: list[str] = []
    quotes: list[str] = []
    bars: list[str] = []


class TradeMessage(msgspec.Struct, tag_field="T", tag="t"):
    """A trade. Shares have an exchange, conditions and a tape; crypto has a taker's side."""

    S: str
    p: float
    s: float
    t: str
    i: int | None = None
    x: str = ""
    c: list[str] = []
    z: str = ""
    tks: str = ""


class QuoteMessage(msgspec.Struct, tag_field="T", tag="q"):
    """Best bid and ask; a side that isn't there has a price of 0."""

    S: str
    bp: float
    ap: float
    t: str
    bs: float = 0
    ask_size: float = msgspec.field(name="as", default=0)


class BarMessage(msgspec.Struct, tag_field="T", tag="b"):
    """A minute; `t` is its start."""

    S: str
    o: float
    h: float
    c: float
    v: float
    t: str
    low: float = msgspec.field(name="l")


class UpdatedBarMessage(BarMessage, tag_field="T", tag="u"):
    """A minute that a late trade changed."""


class CorrectionMessage(msgspec.Struct, tag_field="T", tag="c"):
    """A trade that was told wrong, and how it was."""

    S: str
    op: float
    os: float
    cp: float
    cs: float
    t: str


class CancelMessage(msgspec.Struct, tag_field="T", tag="x"):
    """A trade that is taken back."""

    S: str
    p: float
    s: float
    t: str


class StatusMessage(msgspec.Struct, tag_field="T", tag="s"):
    """Whether a share is traded."""

    S: str
    sc: str
    t: str
    sm: str = ""
    rc: str = ""
    rm: str = ""


Message = (
    Success | Refusal | Subscribed | TradeMessage | QuoteMessage | BarMessage | UpdatedBarMessage
    | CorrectionMessage | CancelMessage | StatusMessage
)  # fmt: skip

read = MessageArrays[Message](Message).read


class Times:
    """Reads times such as `2026-11-20T15:30:00.123456789Z`, to the nanosecond.

    Nearly all that come are of the second that the one before was of, and that is remembered.
    """

    def __init__(self) -> None:
        self._second = ""
        self._second_ns = 0

    def ns(self, text: str) -> int:
        """Return ns since 1970. ValueError: it is no such time."""
        second, rest = text[:19], text[19:]
        if second != self._second:
            at = datetime.fromisoformat(second).replace(tzinfo=UTC)
            self._second_ns = int(at.timestamp()) * _NS
            self._second = second
        if rest == "Z":
            return self._second_ns
        fraction = rest[1:-1]
        if rest[0] != "." or rest[-1] != "Z" or len(fraction) > 9 or not fraction.isdigit():
            raise ValueError("it is no time in UTC")
        return self._second_ns + int(fraction.ljust(9, "0"))


def trade_of(t: TradeMessage, times: Times) -> Trade | None:
    """Return a trade, or None for what is none. ValueError: its time can't be read."""
    if not is_trade(t.c):
        return None
    ts = times.ns(t.t)
    return Trade(
        symbol=t.S, ts=ts, price=t.p if sets_price(t.c, t.z) else None, size=t.s,
        side=_SIDES.get(t.tks),
        # Exchanges number their trades by themselves, and anew each day.
        id=None if t.i is None else f"{t.x}{t.i}@{ts}",
    )  # fmt: skip
