"""Read when a contract is traded, so that silence is told from quiet.

    20261120:0400-20261120:2000;20261121:CLOSED
is what `ContractDetails.tradingHours` looks like, in the time zone of `timeZoneId`. Source:
https://interactivebrokers.github.io/tws-api/classIBApi_1_1ContractDetails.html.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import attrs

_NS = 1_000_000_000


@attrs.frozen
class Hours:
    """The sessions of the next days.

    Attributes:
        sessions: Starts and ends in ns, in order.
        until_ns: Up to when all of it is known; 0 is not at all.
    """

    sessions: tuple[tuple[int, int], ...] = ()
    until_ns: int = 0

    def is_closed(self, now_ns: int) -> bool:
        """Whether it is surely not traded now; what isn't known may be open."""
        if now_ns >= self.until_ns:
            return False
        return not any(start <= now_ns < end for start, end in self.sessions)


def read_hours(text: str, time_zone: str) -> Hours:
    """Return what TWS says of a contract's hours; nothing of what can't be read."""
    try:
        zone = ZoneInfo(time_zone)
        days = [_session(part, zone) for part in text.split(";") if part]
    except (ValueError, OSError, KeyError):
        return Hours()
    sessions = tuple(sorted(day for day in days if day[0] < day[1]))
    return Hours(sessions, max((end for _, end in days), default=0))


def _session(part: str, zone: tzinfo) -> tuple[int, int]:
    """Read `20261120:0400-20261120:2000`, or `20261121:CLOSED` as an empty one at midnight."""
    if part.endswith(":CLOSED"):
        midnight = _ns(part.removesuffix(":CLOSED") + ":0000", zone)
        return midnight, midnight
    start, _, end = part.partition("-")
    return _ns(start, zone), _ns(end, zone)


def _ns(text: str, zone: tzinfo) -> int:
    local = datetime.strptime(text, "%Y%m%d:%H%M").replace(tzinfo=zone)
    return round(local.astimezone(UTC).timestamp()) * _NS
