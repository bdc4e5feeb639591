import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.windows.coverage import MAX_CHANGES, Coverage, share


def test_a_source_is_not_heard_before_it_is_said_to_be():
    """Until something is said of it, it is unheard."""
    assert Coverage().live_ns(0, 100) == 0


@pytest.mark.parametrize(
    ("start", "end", "live"),
    [(0, 100, 50), (0, 20, 10), (10, 20, 10), (20, 30, 0), (25, 65, 5), (60, 100, 40), (90, 95, 5)],
)
def test_live_time_is_measured_within_the_window(start, end, live):
    """Only what lies in it counts, start included, end excluded."""
    #  |    live    |      |   live →
    #  0   10      20     60
    coverage = Coverage()
    coverage.turn(True, 10)
    coverage.turn(False, 20)
    coverage.turn(True, 60)

    assert coverage.live_ns(start, end) == live


def test_a_status_said_to_be_older_counts_from_the_last():
    """Time goes forward, whatever order statuses come in."""
    coverage = Coverage()
    coverage.turn(True, 50)
    coverage.turn(False, 40)

    assert coverage.live_ns(0, 100) == 0
    coverage.turn(True, 70)
    assert coverage.live_ns(0, 100) == 30


def test_saying_the_same_again_changes_nothing():
    """`stale` after `reconnecting` is as unheard as before."""
    coverage = Coverage()
    coverage.turn(True, 10)
    coverage.turn(True, 20)

    assert coverage.live_ns(0, 30) == 20


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(0, 400), st.integers(0, 100))
def test_live_time_equals_what_counting_every_ns_gives(steps, start, length):
    """Against a list with an entry per ns, before and after old turns are forgotten."""
    coverage, at, line = Coverage(), 0, []
    for step in steps:
        line += [coverage.is_live] * step
        at += step
        coverage.turn(not coverage.is_live, at)
    line += [coverage.is_live] * 2000

    expected = sum(line[start : start + length])

    assert coverage.live_ns(start, start + length) == expected
    coverage.forget(start)
    assert coverage.live_ns(start, start + length) == expected


@pytest.mark.parametrize("last", [True, False], ids=["ends live", "ends silent"])
def test_flapping_costs_no_memory_and_claims_no_more_than_was_heard(last):
    """Of a storm of turns the oldest spells of being live are forgotten."""
    coverage = Coverage()
    for at in range(10_001 if last else 10_000):
        coverage.turn(at % 2 == 0, at)

    assert len(coverage.changes) <= MAX_CHANGES
    assert coverage.is_live is last
    assert coverage.live_ns(9_000, 10_000) == 500
    assert coverage.live_ns(0, 10_000) < 5_000


@pytest.mark.parametrize(
    ("live_ns", "count", "expected"),
    [
        (0, 0, 0.0),
        (1, 0, 0.001),
        (0, 1, 0.001),
        (500_000, 0, 0.5),
        (333_333, 9, 0.333),
        (999_999, 0, 0.999),
        (1_000_000, 0, 1.0),
    ],
)
def test_a_share_says_all_or_nothing_only_where_it_is(live_ns, count, expected):
    """Rounding never makes heard of unheard, nor whole of nearly."""
    assert share(live_ns, 1_000_000, count=count) == expected


@given(
    turns=st.lists(st.integers(0, 40), unique=True, max_size=12).map(sorted),
    begins_live=st.booleans(),
    from_ns=st.integers(0, 40),
    length=st.integers(0, 40),
)
def test_what_is_mended_counts_as_heard(turns, begins_live, from_ns, length):
    """It is as if the source had been live then, and everything else stays as it was."""
    coverage, is_live, heard = Coverage(), False, []
    if begins_live:
        coverage.turn(is_live=True, at_ns=-10)
        is_live = True
    for at in range(-10, 60):
        if at in turns:
            is_live = not is_live
            coverage.turn(is_live=is_live, at_ns=at)
        heard.append(is_live)

    coverage.mend(from_ns, from_ns + length)

    for at, was_live in zip(range(-10, 60), heard, strict=True):
        expected = was_live or from_ns <= at < from_ns + length
        assert coverage.live_ns(at, at + 1) == expected
    assert coverage.is_live == is_live
