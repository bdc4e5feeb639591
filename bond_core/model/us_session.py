"""Say when shares are traded in the United States, so that silence can be told from trouble.

Regular hours are 09:30 to 16:00 in New York, Monday to Friday. Holidays and early closes are
not known here: on those days a source of stocks looks stale.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_OPEN_MIN, _CLOSE_MIN = 9 * 60 + 30, 16 * 60
_SUNDAY = 6


def is_us_session(at_ns: int) -> bool:
    """Whether it is within regular hours at a time, ns since 1970."""
    utc = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    there = utc - timedelta(hours=4 if _is_summer(utc) else 5)
    minute = there.hour * 60 + there.minute
    return there.weekday() < 5 and _OPEN_MIN <= minute < _CLOSE_MIN


def _is_summer(utc: datetime) -> bool:
    """Whether clocks in New York are an hour ahead.

    From the second Sunday of March to the first of November, each at 2 in the morning there
    (Energy Policy Act of 2005). Computed, not looked up: not every machine has time zones.
    """
    begins = _sunday(utc.year, 3, 2) + timedelta(hours=2 + 5)
    ends = _sunday(utc.year, 11, 1) + timedelta(hours=2 + 4)
    return begins <= utc < ends


def _sunday(year: int, month: int, which: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(_SUNDAY - first.weekday()) % 7 + 7 * (which - 1))
