"""Turn messages into events by rules that were read from a mapping.

What a rule's message lacks, or has in a form that its field can't be, is counted with a reason
that names the field and its path, never a value, so that the same fault is told together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import attrs

from bond_core.model.event import EVENT_CLASSES, Event
from bond_websocket import values
from bond_websocket.conditions import Conditions
from bond_websocket.path import MISSING, Path
from bond_websocket.values import UnfitError, Unit

MAX_ITEMS = 10_000
"""How many events are read from one message."""


@attrs.frozen
class Side:
    """How the aggressor is written."""

    path: Path
    buy: tuple[Any, ...]
    sell: tuple[Any, ...]


@attrs.frozen
class Number:
    """A number, and what it is multiplied by; None as it is."""

    name: str
    path: Path
    factor: Decimal | None
    may_be_null: bool


@attrs.define
class Heard:
    """What was found in one message.

    Attributes:
        events: In their order.
        refused: By reason, how many could not be read.
        others: Names of symbols that nobody asked for.
    """

    events: list[Event] = attrs.field(factory=list)
    refused: Counter[str] = attrs.field(factory=Counter)
    others: Counter[str] = attrs.field(factory=Counter)


@attrs.frozen(kw_only=True)
class Rule:
    """How one kind of event is read."""

    kind: str
    channel: str
    when: Conditions
    each: Path | None
    symbol: Path | None
    only: str | None
    time: tuple[Path, Unit] | None
    id: Path | None
    sequence: Path | None
    numbers: tuple[Number, ...]
    side: Side | None
    values: tuple[tuple[str, Path], ...]

    def read(
        self, message: Any, symbols: Mapping[str, str], *, now_ns: int, venue: str, heard: Heard
    ) -> None:
        """Read the events of a message that fits `when`.

        Args:
            message: Decoded.
            symbols: By the source's name, the symbols that are wanted.
            now_ns: When it was heard.
            venue: What events say of where they come from.
            heard: Takes in what is found.
        """
        items = (message,) if self.each is None else self.each.each(message)
        for n, item in enumerate(items):
            if n == MAX_ITEMS:
                heard.refused[f"{self.kind}: a message has more than {MAX_ITEMS} of them"] += 1
                return
            if self.each is not None and item is MISSING:
                why = f"each at {self.each.text} is missing, or no list"
                heard.refused[f"{self.kind}: {why}"] += 1
                continue
            try:
                symbol = self._symbol(message, item, symbols, heard)
                if symbol is not None:
                    heard.events.append(self._event(message, item, symbol, now_ns, venue))
            except _Refused as refused:
                heard.refused[f"{self.kind}: {refused}"] += 1

    def _symbol(
        self, message: Any, item: Any, symbols: Mapping[str, str], heard: Heard
    ) -> str | None:
        if self.only is not None:
            return self.only
        if self.symbol is None:
            return ""
        name = _taken("symbol", self.symbol, message, item, values.text)
        found = symbols.get(name)
        if found is None:
            heard.others[name] += 1
        return found

    def _event(self, message: Any, item: Any, symbol: str, now_ns: int, venue: str) -> Event:
        found: dict[str, Any] = {"symbol": symbol, "venue": venue, "ts": now_ns}
        for number in self.numbers:
            found[number.name] = _number(number, message, item)
        if self.time is not None:
            path, unit = self.time
            found["ts"] = _taken("time", path, message, item, lambda v: values.time_ns(v, unit))
        if self.id is not None:
            found["id"] = _taken("id", self.id, message, item, values.text)
        if self.sequence is not None:
            found["seq"] = _taken("sequence", self.sequence, message, item, values.whole)
        if self.side is not None:
            found["side"] = _taken("side", self.side.path, message, item, self._side)
        if self.kind == "custom":
            found["values"] = {
                name: _taken(name, path, message, item, _scalar) for name, path in self.values
            }
        event: Event = EVENT_CLASSES[self.kind](**found)
        return event

    def _side(self, value: Any) -> str:
        assert self.side is not None  # noqa: S101 -- it was asked for
        if any(values.is_same(value, word) for word in self.side.buy):
            return "buy"
        if any(values.is_same(value, word) for word in self.side.sell):
            return "sell"
        raise UnfitError("is none of the words for buy and sell")


class _Refused(Exception):  # noqa: N818 -- it never leaves this module
    def __init__(self, field: str, path: Path, why: str) -> None:
        super().__init__(f"{field} at {path.text} {why}")


def _number(number: Number, message: Any, item: Any) -> float | None:
    factor = number.factor

    def take(value: Any) -> float | None:
        if value is None and number.may_be_null:
            return None
        return values.number(value) if factor is None else values.scaled(value, factor)

    found: float | None = _taken(number.name, number.path, message, item, take)
    return found


def _taken(field: str, path: Path, message: Any, item: Any, take: Callable[[Any], Any]) -> Any:
    value = path.one(message, item)
    if value is MISSING:
        raise _Refused(field, path, "is missing")
    try:
        return take(value)
    except UnfitError as error:
        raise _Refused(field, path, str(error)) from None


def _scalar(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        raise UnfitError("is no single value")
    return value
