"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.spec.duration import format_duration, parse_duration_ms, seconds


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        (5, 5_000), (0.1, 100), (0.25, 250), (90, 90_000), (0, 0), (-1, -1_000), ("500ms", 500),
        ("90s", 90_000), ("1m30s", 90_000), ("1h30m", 5_400_000), ("1.5s", 1_500),
        ("1d", 86_400_000), ("1w", 604_800_000), ("0.5m", 30_000),
    ],
)  # fmt: skip
def test_what_is_a_duration(written, ms):
    """A number is seconds; a text is numbers with units."""
    assert parse_duration_ms(written) == ms


@pytest.mark.parametrize(
    "written",
    [
        "", "5", "s", "1M", "1 m", "1m ", "-5s", "5s5", "1.5ms", "1e3s", "٣s", "1s" * 20, True,
        False, None, [], {}, 0.0001, float("nan"), float("inf"), -float("inf"), 10**400, 1e300,
    ],
)  # fmt: skip
def test_what_is_none(written):
    """Anything else is none, also what is finer than a millisecond or longer than the ages."""
    assert parse_duration_ms(written) is None


@given(st.integers(min_value=0, max_value=10**14))
def test_a_duration_reads_back(ms):
    """Written in its shortest form and as seconds it is the same duration again."""
    assert parse_duration_ms(format_duration(ms)) == ms
    assert parse_duration_ms(seconds(ms)) == ms


@pytest.mark.parametrize(
    ("ms", "written"),
    [(500, "500ms"), (90_000, "90s"), (60_000, "1m"), (1_500, "1500ms"), (0, "0ms"),
     (3_600_000, "1h"), (86_400_000, "1d"), (604_800_000, "1w")],
)  # fmt: skip
def test_the_shortest_form(ms, written):
    """The largest unit that leaves no remainder is the canonical one."""
    assert format_duration(ms) == written
