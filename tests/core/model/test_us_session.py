"""When shares are traded in the United States."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.model.us_session import is_us_session

try:
    NEW_YORK = ZoneInfo("America/New_York")
except ZoneInfoNotFoundError:
    NEW_YORK = None


@pytest.mark.skipif(NEW_YORK is None, reason="this machine has no time zones")
@given(st.datetimes(datetime(2008, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001 -- UTC is added
def test_regular_hours_are_those_of_new_york(moment):
    """Whatever the date, it is what the time zone database says of New York."""
    there = moment.replace(tzinfo=UTC).astimezone(NEW_YORK)
    minute = there.hour * 60 + there.minute
    expected = there.isoweekday() <= 5 and 570 <= minute < 960

    assert is_us_session(int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000_000) is expected


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-20T14:29:59", False),
        ("2026-11-20T14:30:00", True),
        ("2026-11-20T20:59:59", True),
        ("2026-11-20T21:00:00", False),
        ("2026-11-21T15:00:00", False),  # a Saturday
        ("2026-03-06T13:45:00", False),  # the Friday before clocks are set forward
        ("2026-03-09T13:45:00", True),  # and the Monday after
        ("2026-10-30T13:45:00", True),
        ("2026-11-02T13:45:00", False),
    ],
)
def test_opening_and_closing(at, is_open):
    """To the second, in winter and in summer."""
    seconds = (datetime.fromisoformat(f"{at}+00:00") - datetime(1970, 1, 1, tzinfo=UTC)) // (
        timedelta(seconds=1)
    )

    assert is_us_session(seconds * 1_000_000_000) is is_open
