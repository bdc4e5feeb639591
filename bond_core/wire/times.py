"""Write and read ISO 8601 times, UTC with `Z`, as fine as needed."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

NS = 1_000_000_000
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
_UTC = (None, "Z", "z")
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,9}))?"
    r"(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
)


def iso(ns: int) -> str:
    """Return ns since 1970 as `2025-10-21T13:30:05Z`, with a fraction only if there is one."""
    whole, fraction = divmod(ns, NS)
    if not fraction:
        return _second(whole) + "Z"
    return f"{_second(whole)}.{fraction:09d}".rstrip("0") + "Z"


@functools.lru_cache(maxsize=256)
def _second(whole: int) -> str:
    """Return a second as text; raw events ask for the same few thousands of times."""
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_iso(text: str) -> int | None:
    """Return ns since 1970 for an ISO 8601 time (UTC if it names no zone), or None."""
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in _UTC else zone}")
    except ValueError:
        return None
    return (at - _EPOCH) // _SECOND * NS + int((fraction or "0").ljust(9, "0"))
