"""Read and write durations: `500ms`, `90s`, `1m`, `1h30m`, or a number of seconds."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)(ms|[smhdw])")
_MAX_TEXT = 32
_MAX_SECONDS = 10**12  # some 30,000 years; a number may have hundreds of digits


def parse_duration_ms(value: object) -> int | None:
    """Return milliseconds for a number of seconds or a text such as `1m30s`; None if neither.

    A fraction finer than a millisecond is none either: it could not be kept.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        if not abs(value) <= _MAX_SECONDS:
            return None
        ms = Decimal(str(value)) * 1000
        return int(ms) if ms == ms.to_integral_value() else None
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        return None
    at, total = 0, Decimal(0)
    while at < len(value):
        part = _PART.match(value, at)
        if part is None:
            return None
        total += Decimal(part[1]) * _UNIT_MS[part[2]]
        at = part.end()
    return int(total) if total == total.to_integral_value() else None


@lru_cache(maxsize=256)  # it is asked for each record
def format_duration(ms: int) -> str:
    """Return the shortest form: the largest unit that leaves no remainder (`90s`, not `1m30s`)."""
    for unit in ("w", "d", "h", "m", "s"):
        if ms and ms % _UNIT_MS[unit] == 0:
            return f"{ms // _UNIT_MS[unit]}{unit}"
    return f"{ms}ms"


def seconds(ms: int) -> int | float:
    """Return ms as seconds, whole where they are whole."""
    return ms // 1000 if ms % 1000 == 0 else ms / 1000
