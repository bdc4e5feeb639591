"""Write any plain value as JSON and read the same back: a tuple stays one, and infinity too.

Numbers, texts, lists, booleans and None are themselves. Everything else is an object with one
key that says what it was:

    {"x": "inf"}  a float that JSON has no number for      {"t": [...]}  a tuple
    {"i": "..."}  an int of more than 64 bits              {"s": [...]}  a set
    {"b": "..."}  bytes, as hex                            {"f": [...]}  a frozenset
    {"o": "..."}  one of our own marks                     {"d": [[k, v], ...]}  a dict
    {"e": [kind, field, ...]}  an event

Only exactly these types are taken: whatever an author derived from them would come back as
something else.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from bond_core.model.event import EVENT_CLASSES
from bond_core.windows import expression
from bond_core.windows.pane import UNSET
from bond_core.windows.program import BROKEN, NOTHING

MAX_ITEMS = 200_000
"""As many values one state may hold to be kept: writing more would hold everybody up."""

SLIM = "slim"
"""The key of an event that only has what expressions may name."""

_LARGEST = 2**63
_MARKS: Mapping[str, object] = {"broken": BROKEN, "nothing": NOTHING, "unset": UNSET}
_EVENT_NAMES = {
    cls: tuple(field.name for field in attrs.fields(cls)) for cls in EVENT_CLASSES.values()
}


class UnkeptError(ValueError):
    """A value that can't be written, and why."""


def pack(value: Any) -> Any:
    """Return what stands for a value in JSON.

    Raises:
        UnkeptError: It is, or holds, something that isn't plain, or too much.
    """
    return _Packing().pack(value)


def is_mark(value: Any) -> bool:
    """Whether it is one of our own marks, in an author's state's place."""
    return any(value is mark for mark in _MARKS.values())


def unpack(packed: Any) -> Any:
    """Return the value.

    Raises:
        ValueError: It is nothing that `pack` gives.
    """
    if packed.__class__ is list:
        return [unpack(each) for each in packed]
    if packed.__class__ is not dict:
        return packed
    ((tag, inner),) = packed.items()
    if tag not in _READ:
        raise ValueError(f"there is no value of type {tag!r}")
    return _READ[tag](inner)


class _Packing:
    """One value on its way; counts what it holds."""

    def __init__(self) -> None:
        self.room = MAX_ITEMS

    def pack(self, value: Any) -> Any:
        self.room -= 1
        if self.room < 0:
            raise UnkeptError(f"it holds more than {MAX_ITEMS} values")
        for name, mark in _MARKS.items():
            if value is mark:
                return {"o": name}
        write = _WRITE.get(type(value))
        if write is None:
            raise UnkeptError(f"a {type(value).__name__} in it can't be kept over a restart")
        return write(self, value)

    def each(self, values: Any) -> list[Any]:
        return [self.pack(value) for value in values]


def _float(_: _Packing, value: float) -> Any:
    return value if math.isfinite(value) else {"x": repr(value)}


def _int(_: _Packing, value: int) -> Any:
    return value if -_LARGEST <= value < _LARGEST else {"i": str(value)}


def _text(_: _Packing, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnkeptError("a text in it holds half a character") from None
    return value


def _event(packing: _Packing, event: Any) -> Any:
    names = _EVENT_NAMES[type(event)]
    return {"e": [event.kind, *(packing.pack(getattr(event, name)) for name in names)]}


def _as_it_is(_: _Packing, value: Any) -> Any:
    return value


_WRITE: Mapping[type, Callable[[_Packing, Any], Any]] = {
    float: _float,
    int: _int,
    str: _text,
    bool: _as_it_is,
    type(None): _as_it_is,
    list: _Packing.each,
    tuple: lambda packing, value: {"t": packing.each(value)},
    set: lambda packing, value: {"s": sorted(packing.each(value), key=repr)},
    frozenset: lambda packing, value: {"f": sorted(packing.each(value), key=repr)},
    dict: lambda packing, value: {"d": [packing.each(item) for item in value.items()]},
    bytes: lambda _, value: {"b": value.hex()},
    **dict.fromkeys(_EVENT_NAMES, _event),
}
_READ: Mapping[str, Callable[[Any], Any]] = {
    "x": float,
    "i": int,
    "b": bytes.fromhex,
    "t": lambda inner: tuple(map(unpack, inner)),
    "s": lambda inner: set(map(unpack, inner)),
    "f": lambda inner: frozenset(map(unpack, inner)),
    "d": lambda inner: {unpack(key): unpack(value) for key, value in inner},
    "o": lambda inner: _MARKS[inner],
    "e": lambda inner: EVENT_CLASSES[inner[0]](*map(unpack, inner[1:])),
}


@functools.cache
def _named(kind: str) -> Callable[[Any], tuple[Any, ...]]:
    return operator.attrgetter(*expression.event_fields(kind))


def pack_event(event: Any) -> list[Any]:
    """Return of an event what expressions may name; nothing else of it is ever read."""
    return [pack_scalar(value) for value in _named(event.kind)(event)]


def unpack_event(kind: str, values: list[Any]) -> Any:
    """Return an event of a kind with those values."""
    cls = EVENT_CLASSES[kind]
    given = dict(zip(expression.event_fields(kind), map(unpack, values), strict=True))
    return cls(**_needed(cls) | given)


@functools.cache
def _needed(cls: type) -> dict[str, None]:
    return dict.fromkeys(f.name for f in attrs.fields(cls) if f.default is attrs.NOTHING)


def pack_scalar(value: Any) -> Any:
    """Pack a number, text or None, also of a type that a connector derived from them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value) if value - value == 0.0 else {"x": repr(float(value))}
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value < _LARGEST else {"i": str(int(value))}
    return value.encode(errors="replace").decode() if isinstance(value, str) else pack(value)
