"""Late events that windows are sent again for, or that are handed aside."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.windows.streams import (
    BTC,
    ETH,
    SECOND,
    Stream,
    T,
    a_source,
    a_trade,
    counts,
    notices,
    ns,
    start_of,
)

UPDATE = {"late": "update", "corrections_ns": 20 * SECOND}


def said(record):
    """What a test compares of a record."""
    return (start_of(record), record.rev, record.values["trades"], record.values["volume_sum"])


def test_case_09_a_window_is_sent_again_for_a_late_event():
    """The second record has the same identity, the next rev, and all of the window."""
    # |  x   x?  |    x
    # 0  1   2   5   5.5  ?: heard after the window had closed
    stream = Stream(**UPDATE)

    stream.hear(a_trade(1, 100, 2), a_trade(5.5))
    stream.hear(a_trade(2, 90, 3), a_trade(3, 110, 1))
    first, second = [*stream.take(), *stream.tick(5.6)] and stream.seen

    assert (said(first), said(second)) == ((0, 0, 1, 2), (0, 1, 3, 6))
    assert second.values["price_open"] == 100
    assert second.values["price_low"] == 90
    assert second.values["price_close"] == 110
    assert (second.window_end_ns, second.timeframe_ns) == (first.window_end_ns, 5 * SECOND)
    assert second.sources["binance"].count == 3
    assert second.sources["binance"].late == 0
    assert notices(second) == ["revised"]
    assert stream.engine.totals["binance"].corrected == 2
    assert stream.engine.totals["binance"].counted == 4


def test_case_09_after_the_time_for_corrections_it_is_dropped_and_counted():
    """A pane may change as long after its end as the plan says, and no longer."""
    stream = Stream(late="update", corrections_ns=10 * SECOND)

    stream.hear(a_trade(1), a_trade(15.4))  # the watermark is at 14.9
    stream.hear(a_trade(2))
    (revision,) = stream.tick(15.41)
    stream.hear(a_trade(15.5))  # now 15: the first window's end + 10
    stream.hear(a_trade(2))
    stream.tick(15.6)
    stream.finish(16)

    assert said(revision) == (0, 1, 2, 2.0)
    assert counts(stream.seen)[0] == 2
    assert stream.seen[-1].sources["binance"].late == 1
    assert stream.engine.totals["binance"].late == 1


def test_case_10_a_larger_window_that_is_open_just_has_it():
    """The five seconds are sent again; the minute comes once, with everything."""
    stream = Stream(seconds=(5, 60), **UPDATE)

    stream.hear(a_trade(1, size=1), a_trade(5.5), a_trade(2, size=10))
    stream.tick(5.6)
    stream.hear(a_trade(60.5))

    assert [said(r) for r in stream.seen if start_of(r) == 0 and r.timeframe_ns == 5 * SECOND] == [
        (0, 0, 1, 1.0),
        (0, 1, 2, 11.0),
    ]
    (minute,) = [r for r in stream.seen if r.timeframe_ns == 60 * SECOND]
    assert (minute.rev, minute.values["trades"], minute.values["volume_sum"]) == (0, 3, 12.0)


def test_a_larger_window_that_was_sent_is_sent_again_too():
    """Both records of one boundary come together."""
    stream = Stream(seconds=(5, 10), **UPDATE)

    stream.hear(a_trade(1), a_trade(6), a_trade(10.5), a_trade(7))
    revisions = stream.tick(10.6)

    assert [(r.timeframe_ns // SECOND, *said(r)) for r in revisions] == [
        (5, 5, 1, 2, 2.0),
        (10, 0, 1, 3, 3.0),
    ]


def test_an_empty_window_gets_its_first_event_late():
    """Nothing, and then something: the count goes from 0 to 1, the price from null to a price."""
    stream = Stream(**UPDATE)

    stream.hear(a_trade(5.5), a_trade(2, 70))
    stream.tick(5.6)

    first, second = stream.seen
    assert (first.values["trades"], first.values["price_close"]) == (0, None)
    assert (second.values["trades"], second.values["price_close"]) == (1, 70)
    assert (second.rev, second.served) == (1, ("binance",))


def test_only_symbols_with_late_events_are_sent_again():
    """A revision says nothing of the others."""
    stream = Stream(symbols=(BTC, ETH), **UPDATE)

    stream.hear(a_trade(1), a_trade(1, symbol=ETH), a_trade(5.5), a_trade(2, symbol=ETH))

    assert [(r.symbol, r.rev) for r in stream.tick(5.6)] == [(ETH, 1)]


def test_a_window_that_was_never_sent_is_not_sent_again():
    """What a long silence left out stays left out: the event is late, counted and told."""
    stream = Stream(late="update", corrections_ns=3600 * SECOND)

    stream.hear(a_trade(1), a_trade(3000.5))
    stream.hear(a_trade(2000))
    stream.tick(3000.6)
    stream.finish(3001)

    assert all(r.rev == 0 for r in stream.seen)
    assert stream.engine.totals["binance"].late == 1


def test_the_end_of_a_stream_sends_revisions_first():
    """A late event just before the end isn't lost."""
    stream = Stream(**UPDATE)

    stream.hear(a_trade(1), a_trade(5.5), a_trade(2))
    last = stream.finish(6)

    assert [(start_of(r), r.rev) for r in last] == [(0, 1), (5, 0)]


def test_a_source_that_left_may_still_have_been_heard():
    """A revision knows the kinds that its window's first record knew."""
    stream = Stream(a_source("binance"), a_source("okx"), **UPDATE)

    stream.hear(a_trade(1), source="binance")
    stream.hear(a_trade(5.5), source="okx")
    stream.hear(a_trade(5.5))
    stream.engine.remove_source("okx", ns(5.6))
    stream.hear(a_trade(2))
    (revision,) = stream.tick(5.7)

    assert said(revision) == (0, 1, 2, 2.0)
    assert list(revision.sources) == ["binance", "okx"]


def test_side_hands_a_late_event_aside_and_counts_it():
    """It is in no window, and whoever asked has it."""
    got = []
    stream = Stream(late="side", aside=lambda name, event: got.append((name, event)))
    late = a_trade(2)

    stream.hear(a_trade(1), a_trade(5.5), late)
    stream.hear(a_trade(10.5))

    assert got == [("binance", late)]
    assert [r.sources["binance"].late for r in stream.seen] == [0, 1]


_events = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from([BTC, ETH]), st.integers(1, 9)), max_size=60
)


@given(
    _events,
    st.sampled_from([(5,), (5, 10), (5, 15, 30)]),
    st.sampled_from([0, 5, 20, 1000]),
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_p6_revs_count_up_and_the_last_has_all_that_was_not_dropped(
    heard, seconds, corrections, sizes
):
    """
    Whatever comes however late: every event is in its window's last rev or counted as late,
    revs are 0, 1, 2 ..., and the larger windows are the sum of the small ones.
    """
    stream = Stream(
        symbols=(BTC, ETH), seconds=seconds, late="update", corrections_ns=corrections * SECOND
    )
    events = [a_trade(at / 10, size=size, symbol=s) for at, s, size in heard]
    expected: dict = defaultdict(float)
    rest = iter(events)
    for size in itertools.cycle(sizes):
        batch = list(itertools.islice(rest, size))
        if not batch:
            break
        for event in batch:
            late_before = stream.engine.totals["binance"].late
            stream.hear(event)
            if stream.engine.totals["binance"].late == late_before:
                for length in seconds:
                    start = (event.ts - T) // SECOND // length * length
                    expected[event.symbol, length, start] += event.size
        stream.engine.on_tick(ns(0))
        stream.take()
    stream.finish(40)

    revs, volumes = defaultdict(list), {}
    for r in stream.seen:
        key = (r.symbol, r.timeframe_ns // SECOND, start_of(r))
        revs[key].append(r.rev)
        volumes[key] = r.values["volume_sum"]
    assert {key: v for key, v in volumes.items() if v} == dict(expected)
    assert all(found == list(range(len(found))) for found in revs.values())
    totals = stream.engine.totals["binance"]
    assert totals.counted + totals.late == len(events)


def test_what_is_kept_is_bounded_by_the_time_for_corrections():
    """However long it runs, so many panes of a symbol are kept, and no more."""
    stream = Stream(seconds=(5, 60), **UPDATE)

    for at in range(0, 3000, 2):
        stream.hear(a_trade(at), a_trade(at - 7) if at % 3 else a_trade(at))
        stream.tick(at + 0.1)

    (windows,) = stream.engine._stream.open_windows.values()
    (state,) = stream.engine._stream.sources[0].states.values()
    assert len(windows.kept.panes) <= 4
    assert len(windows.kept.merged) <= 2
    assert len(state.kept) <= 4
    assert len(stream.engine._stream.sent) <= 5
    assert len(stream.engine._grid.sent) <= 4


@pytest.mark.parametrize("late", ["drop", "side"])
def test_without_corrections_nothing_is_kept(late):
    """Other policies pay nothing for this one."""
    stream = Stream(seconds=(5, 60), late=late)

    stream.hear(a_trade(1), a_trade(5.5))

    (windows,) = stream.engine._stream.open_windows.values()
    assert windows.kept is None
    assert stream.engine._stream.sent == {}
