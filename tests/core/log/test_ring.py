"""What of a stream is kept in memory, against a model that keeps everything."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from bond_core.log.event_log import Entry, Retention
from bond_core.log.offset import START, Offset
from bond_core.log.ring import Ring


def entries_of(windows):
    """Return a stream's entries: per window its end in ms and the sizes of its records."""
    made, prev = [], START
    for ms, sizes in windows:
        for n, size in enumerate(sizes):
            made.append(Entry(Offset(ms, n), prev, b"x" * size))
            prev = made[-1].offset
    return made


def kept_of(entries, retention):
    """Return what should be kept: by time or count, whichever is more; then by size."""
    ends = sorted({entry.offset.ms for entry in entries})
    if not ends:
        return []
    since_ms = ends[-1] - retention.seconds * 1000
    keep = [ms for i, ms in enumerate(ends) if ms >= since_ms or len(ends) - i <= retention.windows]
    while (
        len(keep) > 1
        and sum(len(e.data) for e in entries if e.offset.ms >= keep[0]) > retention.max_bytes
    ):
        keep.pop(0)
    return [entry for entry in entries if entry.offset.ms >= keep[0]]


_windows = st.lists(
    st.tuples(
        st.sampled_from([1, 499, 500, 1_000, 2_500]),
        st.lists(st.integers(0, 40), min_size=1, max_size=3),
    ),
    max_size=40,
).map(lambda gaps: [(sum(g for g, _ in gaps[: i + 1]), sizes) for i, (_, sizes) in enumerate(gaps)])
_retention = st.builds(
    Retention,
    seconds=st.sampled_from([0, 1, 7.5, 60]),
    windows=st.integers(1, 12),
    max_bytes=st.sampled_from([0, 50, 200, 10**6]),
)


@given(_windows, _retention, st.data())
def test_the_ring_keeps_what_is_promised(windows, retention, data):
    """After each window: time or count, whichever is more, at most so many bytes, whole windows."""
    ring, told = Ring(retention), []
    for window in windows:
        new = [e for e in entries_of([*windows[: windows.index(window) + 1]]) if e not in told]
        ring.extend(new)
        told += new
        expected = kept_of(told, retention)

        assert list(ring.after(START, 10_000)) == expected
        assert ring.oldest == expected[0]
        assert ring.newest == expected[-1]
        assert ring.top == told[-1].offset

        position = data.draw(st.builds(Offset, st.integers(0, 50_000), st.integers(0, 4)))
        limit = data.draw(st.integers(1, 5))
        after = [e for e in expected if e.offset > position][:limit]
        assert list(ring.after(position, limit)) == after


def test_a_window_of_exactly_that_age_is_kept():
    """`seconds` is the age up to which a window stays, that age included."""
    ring = Ring(Retention(seconds=1, windows=1))

    ring.extend(entries_of([(999, [1]), (1_000, [1]), (2_000, [1])]))

    assert [entry.offset.ms for entry in ring.after(START, 10)] == [1_000, 2_000]


def test_an_empty_ring_has_nothing():
    """Before the first entry there is neither oldest nor newest, and the top is the start."""
    ring = Ring(Retention())

    assert (ring.oldest, ring.newest, ring.top) == (None, None, START)
    assert ring.after(START, 10) == ()


def test_the_newest_window_stays_however_large():
    """A window above the limit alone drives out all others, and is kept until the next comes."""
    ring = Ring(Retention(max_bytes=10))

    ring.extend(entries_of([(1, [5]), (2, [50, 50]), (3, [1])]))

    assert [entry.offset.ms for entry in ring.after(START, 10)] == [3]


def test_what_left_takes_no_memory():
    """The bytes of entries that are no longer kept are free."""
    ring = Ring(Retention(seconds=0, windows=50))
    tracemalloc.start()
    for ms in range(1, 101):
        ring.extend([Entry(Offset(ms, 0), Offset(ms - 1, 0), bytes(100_000))])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 52 * 100_000
