"""Windows that overlap: over the last so many seconds, every few."""

from __future__ import annotations

import math
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tests.core.windows.streams import SECOND, Stream, T, a_trade, start_of


def sliding(**plan):
    """A stream of the last 15 s, every 5 s."""
    return Stream(seconds=(15,), slide_ns=5 * SECOND, **plan)


def test_each_window_holds_the_last_panes():
    """One ends every five seconds, and an event is in each of the three that hold it."""
    # |  x    |   x   |       |       |
    # 0  1    5   6   10      15      20
    stream = sliding()

    stream.hear(a_trade(1, 10, 1), a_trade(6, 20, 2), a_trade(20.5))

    assert [(start_of(r), r.values["trades"], r.values["price_open"]) for r in stream.seen] == [
        (-10, 1, 10),
        (-5, 2, 10),
        (0, 2, 10),
        (5, 1, 20),
    ]
    assert [r.partial for r in stream.seen] == [True, True, False, False]
    assert {r.timeframe_ns for r in stream.seen} == {15 * SECOND}


def test_counts_of_sources_are_since_the_record_before():
    """Values are of the window; what a source did is told once, so that it can be added up."""
    stream = sliding()

    stream.hear(a_trade(1), a_trade(6), a_trade(7), a_trade(20.5))

    assert [r.sources["binance"].count for r in stream.seen] == [1, 2, 0, 0]


def test_coverage_is_of_the_whole_window():
    """A source that was live for the last third of it covers a third."""
    stream = sliding(live=False)
    stream.engine.on_status("binance", None, "live", T + 10 * SECOND)

    stream.hear(a_trade(11), a_trade(20.5))

    assert [r.sources["binance"].coverage for r in stream.seen if r.sources] == [0, 0, 0.333, 0.667]


def test_a_late_event_revises_every_window_that_holds_it():
    """All three are sent again, the oldest first, with the next rev."""
    stream = sliding(late="update", corrections_ns=20 * SECOND)

    stream.hear(a_trade(1), a_trade(16), a_trade(20.5), a_trade(7, 5))
    revisions = stream.tick(20.6)

    assert [(start_of(r), r.rev, r.values["trades"]) for r in revisions] == [
        (-5, 1, 2),
        (0, 1, 2),
        (5, 1, 2),
    ]


def test_the_end_flushes_what_has_begun():
    """The pane that is open closes, and with it the last window, as partial."""
    stream = sliding()

    stream.hear(a_trade(1), a_trade(6))
    last = stream.finish(7)

    assert [(start_of(r), r.partial, r.values["trades"]) for r in last] == [(-5, True, 2)]


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 9)), max_size=50),
    st.sampled_from([1, 2, 3, 12]),
    st.sampled_from(["drop", "update"]),
)
def test_windows_are_what_adding_up_gives(heard, panes, late):
    """
    Against a plain sum over all events that were not dropped: every window's last record, and
    none is missing.
    """
    length = 5 * panes
    stream = Stream(seconds=(length,), slide_ns=5 * SECOND, late=late, corrections_ns=30 * SECOND)
    sizes: dict = defaultdict(list)
    for at, size in heard:
        before = stream.engine.totals["binance"].late
        stream.hear(a_trade(at / 10, size=size))
        if stream.engine.totals["binance"].late == before:
            sizes[at // 50 * 5].append(size)
        stream.tick(0)
    stream.finish(60)

    found = {start_of(r) + length: r.values["volume_sum"] for r in stream.seen}
    last = max([60, *(pane + 5 for pane in sizes)])
    assert found == {
        end: math.fsum(sum(sizes[pane]) for pane in range(end - length, end, 5) if pane in sizes)
        for end in range(5, last + 1, 5)
    }


def test_what_is_kept_is_bounded_by_the_window():
    """However long it runs, it keeps the panes of one window."""
    stream = sliding()

    for at in range(3000):
        stream.hear(a_trade(at))

    (windows,) = stream.engine._stream.open_windows.values()
    assert len(windows.kept.panes) <= 3
    assert windows.kept.merged == {}
