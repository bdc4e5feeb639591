"""Say what a record's field may hold, and let nothing else through."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from bond_core.model.record import Value

Failed = Callable[[str, Exception], None]
"""Told of a field whose author's code raised or gave no value, and why."""

MAX_TEXT = 200
"""How long a field's text may be."""

MAX_SHARES = 64
"""How many venues a field may have numbers for."""

MAX_LEVELS = 100
"""How many levels of an order book a field may have."""

_MAX_INT = 2**63


def checked(
    failed: Failed,
    field: str,
    value: Any,
    *,
    gives: Literal["number", "text", "shares", "levels"] = "number",
) -> Value:
    """Let through what a field may hold: None, or a finite number of 64 bits at most.

    A field that gives texts has short ones instead, one that gives shares numbers by venue,
    one that gives levels pairs of numbers.
    Whatever else an author's code returned is told to `failed`, and the field is None.
    """
    if value is None:
        return None
    if gives == "shares":
        if isinstance(value, Mapping) and len(value) <= MAX_SHARES:
            return {str(venue): _number(failed, field, each) for venue, each in value.items()}
    elif gives == "levels":
        if isinstance(value, Sequence) and len(value) <= MAX_LEVELS:
            return _levels(failed, field, value)
    elif gives == "text":
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            return str(value)
    else:
        return _number(failed, field, value)
    failed(field, TypeError(f"its value is a {type(value).__name__}{_long(value)}"))
    return None


def _levels(
    failed: Failed, field: str, value: Sequence[Any]
) -> tuple[tuple[float, float], ...] | None:
    levels = tuple(tuple(level) for level in value)
    for level in levels:
        if len(level) != 2 or any(_number(failed, field, each) is None for each in level):
            return None
    return levels


def _number(failed: Failed, field: str, value: Any) -> float | int | None:
    if value is None:
        return None
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        failed(field, ValueError(f"its value is {value}, which is not finite"))
    elif isinstance(value, int) and not isinstance(value, bool):
        if -_MAX_INT <= value < _MAX_INT:
            return int(value)
        failed(field, ValueError("its value is a number of more than 64 bits"))
    else:
        failed(field, TypeError(f"its value is a {type(value).__name__}, not a number"))
    return None


def _long(value: object) -> str:
    return f" of {len(value)} characters" if isinstance(value, str) else ""
