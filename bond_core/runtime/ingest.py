"""The source edge: stamp what was heard, refuse what makes no sense, drop what was heard before.

Every event passes here once, before any window sees it. Nothing is dropped uncounted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from bond_core.model.event import (
    Candle,
    Event,
    Funding,
    News,
    OpenInterest,
    OrderBook,
    Post,
    Trade,
    Trend,
)  # fmt: skip

MAX_FUTURE_NS = 5_000_000_000
"""How far an event's time may lie after its receipt: a venue's clock may be ahead, not wrong."""

FUTURE = "its time lies in the future"

_UNITS = {10**3: "microseconds", 10**6: "milliseconds", 10**9: "seconds"}
_IN_UNIT = {factor: f"its time is in {unit}, not in nanoseconds" for factor, unit in _UNITS.items()}
_TIMES_TOO_LARGE = {
    factor: f"its time is {factor} times too large: its unit was mistaken" for factor in _UNITS
}
WRONG_UNIT = frozenset((*_IN_UNIT.values(), *_TIMES_TOO_LARGE.values()))
"""The faults that say that a connector mistook the unit of a time."""

_FAR = 2**63


def stamp(event: Event, now_ns: int, *, by_receipt: bool) -> None:
    """Give the event its receive time, and its event time where it counts by that."""
    # Frozen for type checkers only; see bond_core.model.event.
    if not event.recv_ts:
        event.recv_ts = now_ns  # type: ignore[misc]  # the one place that may
    if by_receipt:
        if isinstance(event, (Post, News, Trend)) and not event.own_ts:
            event.own_ts = event.ts  # type: ignore[misc]  # as above
        event.ts = event.recv_ts  # type: ignore[misc]  # as above


def newest_of_plain_trades(events: Sequence[Event], now_ns: int) -> int | None:
    """Stamp trades that lack a receive time; return the newest event time, ns, if all are plain.

    That is what nearly all trades are: `fault_of` would find nothing, whatever their ids are. It
    is the same check for the case that comes by the ten thousand a second, written in one piece,
    of what is quickest: names are bound one by one, and `type` is asked, not `__class__`. If it
    says None, each event is looked at.
    """
    newest = oldest = now_ns // 2  # what is older has its unit looked at
    for e in events:
        if type(e) is not Trade:
            return None
        ts = e.ts
        recv_ts = e.recv_ts
        price = e.price
        size = e.size
        if not recv_ts:
            recv_ts = e.recv_ts = now_ns  # type: ignore[misc]  # as in `stamp`
        if not (
            type(price) is float
            and type(size) is float
            and type(ts) is int
            and type(recv_ts) is int
            and 0.0 < price < inf
            and 0.0 <= size < inf
            and oldest < ts
            and (ts <= recv_ts or ts <= recv_ts + MAX_FUTURE_NS)
        ):
            return None
        if ts > newest:  # noqa: PLR1730 -- a call costs more
            newest = ts
    return newest


def fault_of(event: Event) -> str | None:
    """Return why the event makes no sense, or None if it does.

    The reason names no value: events of one fault are counted together.
    """
    if event.ts.__class__ is not int or event.recv_ts.__class__ is not int:
        return "its time is not a whole number of nanoseconds"
    if not event.recv_ts // 2 < event.ts <= event.recv_ts + MAX_FUTURE_NS:
        fault = _far_fault(event.ts, event.recv_ts)
        if fault is not None:
            return fault
    if event.id is not None and event.id.__class__ is not str:
        return "its id is not a text"
    check = _CHECKS.get(event.kind)
    return check(event) if check else None


def _far_fault(ts_ns: int, recv_ns: int) -> str | None:
    """Return what is wrong with a time that is far from when it was heard."""
    for factor in _UNITS:
        if abs(abs(ts_ns) * factor - recv_ns) <= recv_ns // 10:
            return _IN_UNIT[factor]
        if abs(abs(ts_ns) - recv_ns * factor) <= recv_ns * factor // 10:
            return _TIMES_TOO_LARGE[factor]
    if abs(ts_ns) >= _FAR:
        return "its time has more than 64 bits"
    return FUTURE if ts_ns > recv_ns + MAX_FUTURE_NS else None


def _is_price(value: Any) -> bool:
    # A NaN fails every comparison, so the plain ranges refuse it too.
    return isinstance(value, (float, int)) and 0 < value < inf


def _is_size(value: Any) -> bool:
    return isinstance(value, (float, int)) and 0 <= value < inf


def _is_finite(value: Any) -> bool:
    return isinstance(value, (float, int)) and -inf < value < inf


def _sized_fault(event: Any) -> str | None:
    # Trades come by the ten thousand: the one check that is written out.
    price, size = event.price, event.size
    is_price = isinstance(price, (float, int)) and 0 < price < inf
    if not is_price and not (price is None and event.__class__ is Trade):
        return "its price is not a finite number above 0"
    if not (isinstance(size, (float, int)) and 0 <= size < inf):
        return "its size is not a finite number, or below 0"
    return None


def _quote_fault(event: Any) -> str | None:
    if event.bid is None and event.ask is None and event.last is None:
        return "it has neither bid, ask nor last price"
    return _quote_numbers(event)


def _book_fault(event: OrderBook) -> str | None:
    # Two hundred levels ten times a second of each market: one pass, and no call in it.
    try:
        last = inf
        for price, size in event.bids:
            if not (0 < price < last and 0 <= size < inf):
                return _level_fault(price, size)
            last = price
        last = 0.0
        for price, size in event.asks:
            if not (last < price < inf and 0 <= size < inf):
                return _level_fault(price, size)
            last = price
    except (TypeError, ValueError):  # compared with what is no number, or not two of a level
        return _NO_LEVEL
    if event.bids and event.asks and event.bids[0][0] >= event.asks[0][0]:
        return "its best bid is not below its best ask"
    return None


_NO_LEVEL = "a level of it is no price and size"


def _level_fault(price: Any, size: Any) -> str:
    if _is_price(price) and _is_size(size):
        return "its levels are not in order of price, best first"
    return _NO_LEVEL


def _candle_fault(event: Candle) -> str | None:
    fault = _candle_numbers(event)
    if fault is not None:
        return fault
    if None in (event.open, event.high, event.low, event.close, event.volume):
        return "it lacks a price or its volume"
    low, high = event.low, event.high
    if not (low <= event.open <= high and low <= event.close <= high):
        return "its prices lie outside of its low and high"
    if event.length_ns.__class__ is not int or event.length_ns <= 0:
        return "its length is not a whole number of nanoseconds above 0"
    return None


def _funding_fault(event: Funding) -> str | None:
    if event.rate is None and event.mark_price is None:
        return "it has neither rate nor mark price"
    return _funding_numbers(event)


def _open_interest_fault(event: OpenInterest) -> str | None:
    if event.amount is None and event.value is None:
        return "it has neither amount nor value"
    return _open_interest_numbers(event)


def _numbers(**checks: Callable[[Any], bool]) -> Callable[[Any], str | None]:
    """Return a check of attributes that are either None or pass."""

    def fault(event: Any) -> str | None:
        for name, is_fine in checks.items():
            value = getattr(event, name)
            if value is not None and not is_fine(value):
                return f"its {name} is out of range or not a finite number"
        return None

    return fault


_quote_numbers = _numbers(
    bid=_is_price, ask=_is_price, last=_is_price, bid_size=_is_size, ask_size=_is_size
)
_candle_numbers = _numbers(
    open=_is_price, high=_is_price, low=_is_price, close=_is_price, volume=_is_size
)
_funding_numbers = _numbers(rate=_is_finite, mark_price=_is_price)
_open_interest_numbers = _numbers(amount=_is_size, value=_is_size)
_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "trade": _sized_fault,
    "liquidation": _sized_fault,
    "quote": _quote_fault,
    "book": _book_fault,
    "candle": _candle_fault,
    "funding": _funding_fault,
    "open_interest": _open_interest_fault,
    "chain": _numbers(amount=_is_finite),
    "trend": _numbers(value=_is_finite),
}


class SeenIds:
    """Remembers the newest ids of one feed, at least `size` of them, in bounded memory.

    Most venues number their trades. An id that is above all before it (longer, or as long and
    later in order) can't have been seen, so as long as they rise, ids are only kept; they are put
    in sets, which cost much more time and room, once one comes that doesn't.

    Two generations: when the younger is full it becomes the elder, and nothing is ever evicted
    one by one.
    """

    __slots__ = ("_elder", "_highest", "_kept", "_rises", "_size", "_younger")

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._elder: set[str] | list[str] = []
        self._younger: set[str] = set()
        self._kept: list[str] = []  # of the younger generation, those that are in no set yet
        self._highest = ""
        self._rises = True

    def new_of(self, events: list[Event]) -> list[Event]:
        """Return those events whose id was not seen before, or that have none."""
        is_repeat = self.is_repeat
        return [event for event in events if event.id is None or not is_repeat(event.id)]

    def take_new(self, ids: Sequence[Any]) -> bool:
        """Take in ids that are all texts, all different, and were not seen before; else nothing."""
        try:
            "".join(ids)  # the quickest way to ask whether all are texts
        except TypeError:
            return False
        if self._rises and self._are_above(ids):
            self._make_room()
            self._kept.extend(ids)
            self._highest = ids[-1]
            return True
        elder = self._look_up()
        if not (self._younger.isdisjoint(ids) and elder.isdisjoint(ids)):
            return False
        self._make_room()
        room = len(self._younger) + len(ids)
        self._younger.update(ids)
        if len(self._younger) == room:
            self._raise(ids)
            return True
        self._younger.difference_update(ids)  # one stands there twice
        return False

    def is_repeat(self, event_id: str) -> bool:
        """Whether the id was seen before; from now on it was."""
        elder = self._look_up()
        if event_id in self._younger or event_id in elder:
            return True
        self._make_room()
        self._younger.add(event_id)
        self._raise((event_id,))
        return False

    def _are_above(self, ids: Sequence[str]) -> bool:
        """Whether the first is above all ids before, and each other above the one before it."""
        first, highest = ids[0], self._highest
        length = len(first)
        if length < len(highest) or (length == len(highest) and first <= highest):
            return False
        if len(ids) == 1:
            return True
        return {*map(len, ids)} == {length} and all(map(operator.lt, ids, ids[1:]))

    def _raise(self, ids: Iterable[str]) -> None:
        """Know the highest, where ids are numbers; where they aren't, rising means nothing."""
        self._rises = self._rises and all(map(str.isdecimal, ids))
        if self._rises:
            self._highest = max(self._highest, *ids, key=_number_order)

    def _look_up(self) -> set[str]:
        """Put all ids in sets; return the elder."""
        if self._kept:
            self._younger.update(self._kept)
            self._kept = []
        if isinstance(self._elder, list):
            self._elder = set(self._elder)
        return self._elder

    def _make_room(self) -> None:
        if len(self._younger) + len(self._kept) >= self._size:
            if self._younger:
                self._younger.update(self._kept)
            self._elder = self._younger or self._kept
            self._younger, self._kept = set(), []


def _number_order(text: str) -> tuple[int, str]:
    return len(text), text
