"""Take from a message what a field of an event wants, or say why it can't be had.

Nothing is guessed: a text that is no number, a flag where a number belongs, a time of no
plausible year are refused, with a reason that names no value.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any, Literal

from bond_core.wire.times import parse_iso

Unit = Literal["s", "ms", "us", "ns", "iso"]

EARLIEST_NS, LATEST_NS = 946_684_800_000_000_000, 4_102_444_800_000_000_000
"""The years 2000 to 2099: a time outside of them has another unit than the mapping says."""

_FACTORS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_DIGITS = 60
MAX_TEXT = 200
"""No id or symbol is longer."""


class UnfitError(ValueError):
    """A value is not what its field wants."""


def number(value: Any) -> float:
    """Return a finite number, which may be written as a text."""
    if isinstance(value, str):
        if len(value) > _MAX_DIGITS or not _NUMBER.fullmatch(value):
            raise UnfitError("is a text that is no number")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnfitError(f"is {_kind(value)} and no number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise UnfitError("is no finite number")
    return found


def scaled(value: Any, factor: Decimal) -> float:
    """Return a number times a factor, rounded once."""
    number(value)  # it is one, and finite
    found = float(Decimal(value if isinstance(value, (str, int)) else repr(value)) * factor)
    if not math.isfinite(found):
        raise UnfitError("is no finite number")
    return found


def whole(value: Any) -> int:
    """Return a whole number, which may be written as a text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitError("is no whole number")
    if not 0 <= value < 1 << 63:
        raise UnfitError("is out of range")
    return value


def text(value: Any) -> str:
    """Return a text; a whole number becomes one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UnfitError(f"is {_kind(value)} and no text")
    found = str(value)
    if not 0 < len(found) <= MAX_TEXT:
        raise UnfitError(f"is empty, or longer than {MAX_TEXT} characters")
    return found


def time_ns(value: Any, unit: Unit) -> int:
    """Return a time in ns since 1970, to the last digit that was sent."""
    if unit == "iso":
        found = parse_iso(value) if isinstance(value, str) else None
        if found is None:
            raise UnfitError("is no ISO 8601 time")
    else:
        number(value)
        exact = Decimal(value if isinstance(value, (str, int)) else repr(value)) * _FACTORS[unit]
        found = int(exact) if 0 <= exact <= LATEST_NS else -1
    if not EARLIEST_NS <= found < LATEST_NS:
        raise UnfitError(f"lies outside of the years 2000 to 2099: is its unit {unit}?")
    return found


def is_same(value: Any, word: Any) -> bool:
    """Whether two scalars are equal as JSON: to Python, true is 1."""
    if isinstance(value, bool) or isinstance(word, bool):
        return value is word
    if isinstance(value, (int, float)) != isinstance(word, (int, float)):
        return False
    return bool(value == word)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    for cls, name in ((bool, "true or false"), (str, "a text"), (list, "a list")):
        if isinstance(value, cls):
            return name
    return "an object" if isinstance(value, dict) else "a number"
