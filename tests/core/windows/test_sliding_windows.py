"""Windows that slide: each is of the last so many seconds, one ends with every interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.windows.streams import (
    BTC,
    ETH,
    QUOTES,
    SECOND,
    Stream,
    a_quote,
    a_source,
    a_trade,
    ns,
    start_of,
)
from tests.core.windows.test_window_properties import FIELDS, assert_same_values, events


def a_sliding_stream(*sources, over=20, **options):
    """Every five seconds, over the last so many."""
    return Stream(*sources, window_ns=over * SECOND, **options)


def test_a_sliding_window_is_of_the_last_seconds_at_each_step():
    """Every 5 s a record of 20 s; the first ones are partial."""
    stream = a_sliding_stream()
    for at in range(0, 60, 1):
        stream.hear(a_trade(at + 0.2, 100 + at))
    stream.tick(62)

    for record in stream.seen:
        start, end = start_of(record), start_of(record) + 20
        inside = [at for at in range(60) if start <= at < end]
        assert (record.window_end_ns - record.window_start_ns, record.timeframe_ns) == (
            20 * SECOND, 20 * SECOND,
        )  # fmt: skip
        assert record.values["trades"] == record.sources["binance"].count == len(inside)
        assert record.values["price_open"] == 100 + inside[0]
        assert record.values["price_close"] == 100 + inside[-1]
        assert record.partial == (start < 0)
    assert [start_of(r) for r in stream.seen] == [*range(-15, 41, 5)]


def test_sliding_windows_with_a_late_event_are_all_sent_again():
    """Each window that had closed with it, and no other; those to come include it."""
    stream = a_sliding_stream(late="update", corrections_ns=60 * SECOND)
    for at in range(0, 31, 5):
        stream.hear(a_trade(at + 1))
    stream.hear(a_trade(12))  # in windows that end at 15, 20, 25, 30
    again = stream.tick(31.6)

    assert [(start_of(r) + 20, r.rev) for r in again] == [(15, 1), (20, 1), (25, 1), (30, 1)]
    assert [r.values["trades"] for r in again] == [4, 5, 5, 5]
    assert [r.sources["binance"].count for r in again] == [4, 5, 5, 5]

    # A window that is still to close includes it without a rev.
    stream.hear(a_trade(28))
    stream.tick(31.7)
    (later,) = stream.tick(37)
    assert (start_of(later) + 20, later.rev, later.values["trades"]) == (35, 0, 5)
    assert later.sources["binance"].count == 5


def test_a_late_event_of_a_sliding_stream_that_drops_is_in_no_window():
    """Not in those that closed, and not in those to come."""
    stream = a_sliding_stream()
    stream.hear(a_trade(1), a_trade(5.5), a_trade(2))
    (record,) = stream.tick(12)

    assert (record.values["trades"], record.sources["binance"].late) == (2, 1)


def test_the_coverage_of_a_sliding_window_is_of_all_of_it():
    """A source that was down for a part of it is unheard for that part."""
    stream = a_sliding_stream(start=0)
    stream.engine.on_status("binance", BTC, "stale", ns(10))
    stream.engine.on_status("binance", BTC, "live", ns(15))

    ends = {start_of(r) + 20: r.sources["binance"].coverage for r in stream.tick(42)}

    assert (ends[20], ends[30], ends[35], ends[40]) == (0.75, 0.75, 1.0, 1.0)


def test_a_sliding_stream_keeps_only_what_it_needs():
    """Panes of one window, however long it runs."""
    stream = a_sliding_stream()
    for at in range(1000):
        stream.hear(a_trade(at))
    kept = stream.engine._stream.open_windows[BTC, "trade"].kept
    (state,) = stream.engine._stream.sources[0].states.values()
    assert len(kept.panes) <= 4
    assert len(state.slides) <= 4


@given(events(seconds=20), st.sampled_from([2, 3, 7]))
def test_sliding_windows_equal_tumbling_ones_that_end_with_them(heard, seconds):
    """A window of n seconds that ends on a multiple of n is the tumbling one."""
    plan = {"symbols": (BTC, ETH), "fields": FIELDS, "seconds": (1,)}
    source = a_source(symbols=(BTC, ETH), idle_ns=1 << 60)
    sliding = Stream(source, **plan, window_ns=seconds * SECOND)
    tumbling = Stream(source, **(plan | {"seconds": (seconds,)}))
    for stream in (sliding, tumbling):
        for one in heard:
            stream.hear(one.trade)
        stream.finish(25)
    slides = {(r.symbol, r.window_end_ns): r for r in sliding.seen}

    for record in tumbling.seen:
        if (record.symbol, record.window_end_ns) in slides:
            assert_same_values(slides[record.symbol, record.window_end_ns], record)


@given(events(delay=3.0, seconds=20), st.sampled_from([2, 5, 9]), st.booleans())
def test_sliding_windows_are_what_all_their_panes_add_up_to(heard, seconds, update):
    """However they were put together, also after late events and across silence."""
    late = {"late": "update", "corrections_ns": 30 * SECOND} if update else {}
    source = a_source(symbols=(BTC, ETH), idle_ns=1 << 60)
    stream = Stream(source, symbols=(BTC, ETH), fields=FIELDS, seconds=(1,),
                    window_ns=seconds * SECOND, **late)  # fmt: skip
    panes = Stream(source, symbols=(BTC, ETH), fields=FIELDS, seconds=(1,), **late)
    for one in heard:
        for each in (stream, panes):
            each.hear(one.trade)
    for each in (stream, panes):
        each.finish(25)
    trades = {(r.symbol, r.window_end_ns): r.values["trades"] for r in panes.seen}
    volumes = {(r.symbol, r.window_end_ns): r.values["volume_sum"] for r in panes.seen}

    for record in {(r.symbol, r.window_end_ns): r for r in stream.seen}.values():
        ends = range(record.window_start_ns + SECOND, record.window_end_ns + 1, SECOND)
        inside = [(record.symbol, end) for end in ends]
        assert record.values["trades"] == sum(trades.get(key, 0) for key in inside)
        assert record.values["volume_sum"] == sum(volumes.get(key, 0) for key in inside)


@pytest.mark.parametrize(("window", "frames"), [(5, (5,)), (7, (5,)), (60, (5, 10))])
def test_a_sliding_window_that_makes_no_sense_is_refused(window, frames):
    """It is longer than its step, a multiple of it, and alone."""
    with pytest.raises(ValueError, match="slide"):
        Stream(seconds=frames, window_ns=window * SECOND)


def test_quotes_slide_as_trades_do():
    """Averages are of all samples of the window."""
    stream = Stream(a_source(kind="quote"), fields=QUOTES, window_ns=10 * SECOND)
    stream.hear(a_quote(1, 10, 12), a_quote(6, 20, 22))
    stream.finish(10)
    assert [r.values["bid_avg"] for r in stream.seen] == [10, 15]
