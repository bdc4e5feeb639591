"""Trading hours as TWS writes them, and frames as its protocol has them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_ibkr.hours import Hours, read_hours
from bond_ibkr.wire import frame, read_fields

WEEK = "20261120:0400-20261120:2000;20261121:CLOSED;20261122:CLOSED;20261123:0400-20261123:2000"


def ns(text):
    """Return a time in UTC as ns."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("at", "closed"),
    [
        ("2026-11-20T08:59:59", True),  # 03:59:59 in New York
        ("2026-11-20T09:00:00", False),
        ("2026-11-21T00:59:59", False),  # 19:59:59
        ("2026-11-21T01:00:00", True),
        ("2026-11-21T12:00:00", True),  # Saturday
        ("2026-11-23T09:00:00", False),
        ("2026-11-24T12:00:00", False),  # nothing is known of Tuesday
    ],
)
def test_hours_are_those_of_the_exchange(at, closed):
    """
    A session counts in its own time zone; beyond what is known nothing is called closed.
    """
    assert read_hours(WEEK, "US/Eastern").is_closed(ns(at)) is closed


@pytest.mark.parametrize(
    ("text", "zone"), [("", "UTC"), (WEEK, "EST (Eastern Standard Time)"), ("no hours", "UTC"),
                       (WEEK, "../../etc/passwd"), (WEEK, "")]
)  # fmt: skip
def test_hours_that_cannot_be_read_are_unknown(text, zone):
    """
    Unknown is not closed.
    """
    hours = read_hours(text, zone)

    assert hours == Hours()
    assert not hours.is_closed(ns("2026-11-21T12:00:00"))


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)))
def test_a_frame_gives_back_its_fields(fields):
    """
    Whatever texts a frame is made of are read from it again.
    """

    async def go():
        reader = asyncio.StreamReader()
        reader.feed_data(frame(*fields))
        return await read_fields(reader)

    assert asyncio.run(go()) == fields
