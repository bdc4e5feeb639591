"""Write many events of one kind as columns, and read the same events back.

    {"symbol": {"same": ["BTC/USDT", 2]}, "ts": {"d": [1700000000000000000, 5000000]},
     "price": [1.5, 2.0], …}

A column is a list with a value for each event, but where it can be said in less:

    {"same": [value, n]}   all n are equal
    {"d": [a, d, …]}       whole numbers: the first, then what is added each time
    {"j": "buy,sell"}      texts without a comma
    {"l": [[[p, s], …]]}   sides of order books: prices and sizes
    {"p": […]}             values that JSON doesn't know, as `bond_core.windows.checkpoint.plain`
                           writes them

Columns compress far better than rows, and a column is made and encoded in one call of the
interpreter: a recorder keeps up with ten thousand trades a second at under 1 µs each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, chain, repeat
from math import isfinite
from operator import sub
from typing import Any

import attrs

from bond_core.model.event import EVENT_CLASSES, Event
from bond_core.windows.checkpoint.plain import pack, unpack

Columns = Mapping[str, Any]

MOST = 10_000_000
"""As many events one set of columns may hold: what is read may come from anywhere."""

_NONE = type(None)
_CHECKED = frozenset(("ts", "recv_ts"))  # whole numbers: the source edge lets nothing else in
_OFTEN_ONE = frozenset(("symbol", "venue", "size_unit"))


def columns_of(kind: str, events: Sequence[Event]) -> Columns:
    """Return events of a kind as what `msgspec` can encode; there is one at least.

    Whole numbers of more than 64 bits and halves of characters are left as they are, and refused
    when they are encoded: see `plain_columns_of`.

    Raises:
        UnkeptError: One holds what is no plain value.
    """
    names, values = _reading(kind)
    written = {}
    for name, column in zip(names, values(events), strict=True):
        if name in _CHECKED:
            written[name] = _differences(column)
        elif name in _OFTEN_ONE and _are_one(column):
            written[name] = {"same": [column[0], len(column)]}
        else:
            written[name] = _written(column)
    return written


def plain_columns_of(kind: str, events: Sequence[Event]) -> Columns:
    """Return events of a kind as JSON values, whatever they hold.

    Raises:
        UnkeptError: One holds what is no plain value.
    """
    names, values = _reading(kind)
    columns = zip(names, values(events), strict=True)
    return {name: {"p": [pack(value) for value in column]} for name, column in columns}


def events_of(kind: str, columns: Columns) -> list[Event]:
    """Return the events that these columns say.

    A field that a later version knows is left out, and one that an earlier did not know is what
    it is by default.

    Raises:
        ValueError: They say none of that kind.
    """
    cls = EVENT_CLASSES.get(kind)
    if cls is None:
        raise ValueError(f"there is no event of kind {kind!r}")
    known = [field.name for field in attrs.fields(cls)]
    names = [name for name in known if name in columns]
    lists = [_read(columns[name]) for name in names]
    lengths = {c.n if isinstance(c, _Same) else len(c) for c in lists}
    if len(lengths) != 1 or max(lengths) > MOST:
        raise ValueError(f"the columns of {kind}s have lengths that can't be: {sorted(lengths)}")
    rows = [repeat(c.value, c.n) if isinstance(c, _Same) else c for c in lists]
    try:
        if names == known:
            return _making(kind)(rows)
        return [cls(**dict(zip(names, row, strict=True))) for row in zip(*rows, strict=True)]
    except TypeError as error:
        raise ValueError(f"a {kind} lacks something: {error}") from None


@attrs.frozen
class _Same:
    value: Any
    n: int


@functools.cache
def _making(kind: str) -> Callable[[Sequence[Iterable[Any]]], list[Event]]:
    """Return what makes events of all columns of a kind.

    Generated for the same reason as `_reading`: a call of `__init__` for each takes a fifth more.
    """
    cls = EVENT_CLASSES[kind]
    names = [field.name for field in attrs.fields(cls)]
    sets = "".join(f"        event.{name} = _{name}\n" for name in names)
    made: dict[str, Any] = {"cls": cls, "new": cls.__new__}
    code = (
        "def make(rows):\n    events = []\n"
        f"    for {', '.join(f'_{name}' for name in names)} in zip(*rows):\n"
        f"        event = new(cls)\n{sets}        events.append(event)\n    return events\n"
    )
    exec(code, made)  # noqa: S102 -- names of our own
    make: Callable[[Sequence[Iterable[Any]]], list[Event]] = made["make"]
    return make


Reads = Callable[[Sequence[Event]], tuple[list[Any], ...]]


@functools.cache
def _reading(kind: str) -> tuple[tuple[str, ...], Reads]:
    """Return the names of a kind's fields, and what gets their values from events.

    Generated, as attribute by attribute in a comprehension is the fastest that Python has: it
    takes a third of the time of `attrgetter`.
    """
    names = tuple(field.name for field in attrs.fields(EVENT_CLASSES[kind]))
    lists = ", ".join(f"[e.{name} for e in events]" for name in names)
    made: dict[str, Any] = {}
    exec(f"def values(events):\n    return ({lists},)", made)  # noqa: S102 -- names of our own
    return names, made["values"]


def _written(column: list[Any]) -> Any:
    """Return a column as JSON says it, in the way that its first value suggests, if it can."""
    write = _USUAL.get(column[0].__class__)
    with suppress(TypeError):  # another value is of another type
        if write is not None and (written := write(column)) is not None:
            return written
    kinds = set(map(type, column))
    if kinds == {float, _NONE}:
        if isfinite(sum(filter(None, column))):
            return column
    elif kinds <= {str, _NONE} or kinds == {bool}:
        return column
    elif kinds == {tuple} and _are_levels(column):
        return {"l": column}
    return {"p": [pack(value) for value in column]}


def _floats(column: list[float]) -> Any:
    # JSON tells 1.0 from 1: a whole number among them comes back as one.
    total = sum(column)
    return column if total.__class__ is float and isfinite(total) else None


def _ints(column: list[int]) -> Any:
    if set(map(type, column)) != {int}:  # differences would make numbers of truth values
        return None
    return _differences(column)


def _differences(column: list[int]) -> Any:
    return {"d": [column[0], *map(sub, column[1:], column)]}


def _texts(column: list[str]) -> Any:
    joined = ",".join(column)
    return {"j": joined} if joined.count(",") == len(column) - 1 else None


_USUAL: Mapping[type, Callable[[list[Any]], Any]] = {float: _floats, int: _ints, str: _texts}


def _are_one(column: list[Any]) -> bool:
    """Whether all of them are one text, or unknown; what is equal to a text is as good as it."""
    first = column[0]
    return (first is None or first.__class__ is str) and column.count(first) == len(column)


def _are_levels(column: Sequence[tuple[Any, ...]]) -> bool:
    """Whether these are sides of order books: pairs of floats."""
    levels = list(chain.from_iterable(column))
    if set(map(type, levels)) != {tuple} or set(map(len, levels)) != {2}:
        return False
    numbers = list(chain.from_iterable(levels))
    return set(map(type, numbers)) == {float} and isfinite(sum(numbers))


def _read(column: Any) -> Any:
    if isinstance(column, list):
        return column
    if isinstance(column, Mapping) and len(column) == 1:
        ((how, inner),) = column.items()
        if how == "d":
            return list(accumulate(inner))
        if how == "j":
            return inner.split(",")
        if how == "same":
            return _Same(*inner)
        if how == "l":
            return [tuple(map(tuple, side)) for side in inner]
        if how == "p":
            return [unpack(value) for value in inner]
    raise ValueError("a column of it can't be read")
