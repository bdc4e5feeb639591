"""Positions in a log, and their text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.log.offset import START, Offset, parse_offset

_offsets = st.builds(Offset, st.integers(0, 10**15 - 1), st.integers(0, 10**9 - 1))


@given(_offsets, _offsets)
def test_an_offset_reads_back_and_sorts(one, other):
    """The text gives the same offset; offsets sort by window, then by number."""
    assert parse_offset(str(one)) == one
    assert (one < other) == ((one.ms, one.n) < (other.ms, other.n))
    assert one >= START


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-2-3", "1 -2", "+1-2", "\u0661-\u0662", "1-2\n", "x"]
)
def test_what_is_no_offset(text):
    """Anything but two plain numbers is none."""
    assert parse_offset(text) is None
