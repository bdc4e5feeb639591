"""Times as clients see and send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.wire.times import iso, parse_iso


@given(st.integers(0, 253_402_300_799 * 10**9))
def test_a_time_reads_back(ns):
    """Every ns from 1970 to 9999 is written so that it reads back, with Z, no finer than needed."""
    text = iso(ns)

    assert parse_iso(text) == ns
    assert text.endswith("Z")
    assert not text.endswith(("0Z", ".Z")) or "." not in text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (1_761_053_405_000_000_000, "2025-10-21T13:30:05Z"),
        (1_761_053_405_250_000_000, "2025-10-21T13:30:05.25Z"),
        (1_761_053_405_000_000_001, "2025-10-21T13:30:05.000000001Z"),
        (0, "1970-01-01T00:00:00Z"),
    ],
)
def test_how_a_time_is_written(ns, text):
    """UTC with Z, and a fraction only where there is one."""
    assert iso(ns) == text


@pytest.mark.parametrize(
    "text",
    ["2025-10-21T15:30:05+02:00", "2025-10-21T15:30:05+0200", "2025-10-21 13:30:05",
     "2025-10-21T13:30:05z", "2025-10-21T11:30:05-02:00"],
)  # fmt: skip
def test_other_ways_to_write_it(text):
    """An offset, a small z, a space, and no zone at all, which is UTC."""
    assert parse_iso(text) == 1_761_053_405_000_000_000


@pytest.mark.parametrize(
    "text",
    ["", "now", "2025-10-21", "13:30:05", "2025-13-21T13:30:05Z", "2025-10-21T25:30:05Z",
     "2025-02-30T00:00:00Z", "2025-10-21T13:30:05.1234567890Z", "2025-10-21T13:30:05+99:00",
     "٢٠٢٥-10-21T13:30:05Z", "2025-10-21T13:30:05Z ", "2025-10-21T23:59:60Z"],
)  # fmt: skip
def test_what_is_no_time(text):
    """Anything else is none, never a guess."""
    assert parse_iso(text) is None


@given(st.text(alphabet="0123456789-:T.Z+ ", max_size=40))
def test_no_text_breaks_the_reader(text):
    """Whatever is sent, the answer is a time or None."""
    parse_iso(text)


def test_the_ends_of_the_calendar():
    """The first and the last day of the calendar are times too, in any zone."""
    assert parse_iso("0001-01-01T00:00:00+14:00") < 0
    assert parse_iso("9999-12-31T23:59:59-12:00") > 0
