"""The numbered cases of event-time windows: 5 s windows, lateness 0.5 s, idle 1.5 s.

The drawings have seconds after a round hour; `|` is a window's edge, `x` an event.
"""

import pytest

from bond_core.model.record import Notice
from tests.core.windows.streams import (
    BTC,
    ETH,
    MARKET,
    SECOND,
    TWEETS,
    Stream,
    T,
    a_post,
    a_source,
    a_trade,
    counts,
    notices,
    ns,
    start_of,
)


def test_case_01_a_window_has_its_start_and_not_its_end():
    """An event at the edge belongs to the window that starts there."""
    # |x        x|x
    # 0     4.999 5
    stream = Stream()

    stream.hear(a_trade(0), a_trade(4.999999999), a_trade(5))
    stream.finish(6)

    assert counts(stream.seen) == {0: 2, 5: 1}


def test_case_02_windows_are_aligned_to_the_epoch():
    """The first window starts on the grid, not with the first event, and says it is partial."""
    # |   start  x  |
    # 0    2.9  3.2 5
    stream = Stream(start=2.9)

    records = stream.hear(a_trade(3.2), a_trade(5.5))

    assert [(start_of(r), r.partial) for r in records] == [(0, True)]


def test_case_03_before_1970_windows_are_aligned_as_well():
    """One ns before the epoch is in the window that ends with it."""
    stream = Stream(start=-T / SECOND - 4)
    trade = a_trade(0)
    trade.ts = -1

    stream.hear(trade)
    stream.engine.finish(-1)

    (record,) = stream.take()
    assert (record.window_start_ns, record.window_end_ns) == (-5 * SECOND, 0)
    assert record.values["trades"] == 1


@pytest.mark.parametrize("seconds", [7, 86_400], ids=["7 s", "a day"])
def test_case_04_starts_are_multiples_of_the_length_since_the_epoch(seconds):
    """A length that doesn't divide the hour has its own grid; a day starts at midnight UTC."""
    stream = Stream(seconds=(seconds,))

    stream.hear(a_trade(1))

    (record,) = stream.finish(2)
    assert record.window_start_ns % (seconds * SECOND) == 0
    assert record.window_start_ns <= ns(1) < record.window_end_ns


def test_case_05_the_watermark_closes_what_it_reaches():
    """A window closes with the event that puts the watermark at its end, not one ns before."""
    # |          |     x          x
    # 0          5  5.499999999  5.5      watermark = event - 0.5
    stream = Stream()

    assert stream.hear(a_trade(5.499999999)) == []
    assert [start_of(r) for r in stream.hear(a_trade(5.5))] == [0]


def test_case_06_open_and_close_go_by_event_time():
    """Out of order within a window: the open is the earliest event's, not the first heard."""
    # |        3x   2x   1x|
    # 0       4.1  4.5  4.9 5
    stream = Stream()

    stream.hear(a_trade(4.9, 109), a_trade(4.1, 101), a_trade(4.5, 105))
    (record,) = stream.finish(5)

    assert (record.values["price_open"], record.values["price_close"]) == (101, 109)


@pytest.mark.parametrize("swap", [False, True], ids=["in order", "swapped"])
def test_case_07_equal_times_go_by_sequence(swap):
    """Where ids are ordered, arrival doesn't matter."""
    stream = Stream()
    events = [a_trade(1, 106, seq=6), a_trade(1, 107, seq=7)]

    stream.hear(*(reversed(events) if swap else events))
    (record,) = stream.finish(5)

    assert (record.values["price_open"], record.values["price_close"]) == (106, 107)


def test_case_07_equal_times_and_sequences_go_by_arrival():
    """Without ordered ids the first heard opens and the last heard closes."""
    stream = Stream()

    stream.hear(a_trade(1, 103), a_trade(1, 101), a_trade(1, 102))
    (record,) = stream.finish(5)

    assert (record.values["price_open"], record.values["price_close"]) == (103, 102)


def test_case_08_a_late_event_is_dropped_counted_and_told():
    """It changes no record, and the symbol's next one says it came."""
    # |  x2      |     x1
    # 0  1       5    5.5
    stream = Stream()
    (first,) = stream.hear(a_trade(2), a_trade(5.5))

    stream.hear(a_trade(1, recv_ts=ns(6.25)))
    (second,) = stream.hear(a_trade(10.5))

    assert first.sources["binance"].late == 0
    assert first.values["trades"] == 1
    assert second.sources["binance"].late == 1
    assert second.values["trades"] == 1
    (notice,) = second.notices
    assert (notice.code, notice.source) == ("late_dropped", "binance")
    assert (notice.from_ns, notice.to_ns) == (ns(1), ns(1))
    assert "5.250 s" in notice.detail
    assert stream.engine.totals["binance"].late == 1


def test_case_11_the_slowest_source_holds_the_stream_back():
    """Nothing closes until the other source says by an event or a heartbeat where it is."""
    # A |          |                    x
    # B |     x    |  h
    #   0     3    5  6                20
    stream = Stream(a_source("binance"), a_source("okx"))
    stream.hear(a_trade(20))
    stream.hear(a_trade(3), source="okx")

    assert stream.tick(4) == []
    stream.engine.on_heartbeat("okx", ns(6))

    assert [start_of(r) for r in stream.take()] == [0]


def test_case_12_the_clock_overtakes_a_silent_source():
    """A source that never spoke is waited for no longer than lateness + idle."""
    stream = Stream(a_source("binance"), a_source("okx"))
    stream.hear(a_trade(1), a_trade(8))

    assert stream.tick(6.99) == []
    assert [start_of(r) for r in stream.tick(7.0)] == [0]


def test_case_13_silence_makes_records_too():
    """Three windows without a word are three records: counts 0, prices unknown."""
    stream = Stream()

    records = stream.tick(17)

    assert [start_of(r) for r in records] == [0, 5, 10]
    for record in records:
        assert record.values["trades"] == 0
        assert record.values["volume_sum"] == 0
        assert record.values["price_close"] is None
        assert record.values["vwap"] is None
        assert record.sources["binance"].count == 0


def test_case_14_a_source_that_comes_back_with_old_events_is_late():
    """The watermark doesn't go back for it."""
    stream = Stream()
    stream.tick(12)
    before = stream.engine.watermark_ns

    stream.hear(a_trade(9))

    assert stream.engine.watermark_ns == before
    assert stream.engine.totals["binance"].late == 1


def test_case_14_an_older_event_takes_nothing_back():
    """Out of order while another source is waited for: where the first one is stays known."""
    # A |    x    |    x         |  x2 x1
    # B |                                     x
    #   0         5  10.7       15 15.2 15.7  30
    stream = Stream(a_source("binance"), a_source("okx"))

    stream.hear(a_trade(10.7), a_trade(15.7), a_trade(15.2))
    records = stream.hear(a_trade(30), source="okx")

    assert [start_of(r) for r in records] == [0, 5, 10]


def test_case_15_without_ticks_no_source_is_idle():
    """While ticks are held back (events wait to be read) nothing of a slow source is late."""
    stream = Stream(a_source("binance"), a_source("okx"))

    stream.hear(*(a_trade(at) for at in range(12)))
    stream.hear(*(a_trade(at) for at in range(12)), source="okx")

    assert stream.engine.totals["okx"].late == 0
    assert counts(stream.seen, "okx") == {0: 5, 5: 5}


def test_case_16_a_source_that_does_not_gate_is_not_waited_for():
    """Records leave half a second after their window; a post counts while that is open."""
    posts = a_source("x", "post", gates=False, routes={"BTC": (BTC,)})
    stream = Stream(a_source(), posts, fields=MARKET | TWEETS)

    stream.hear(a_post(4), source="x")
    (first,) = stream.hear(a_trade(1), a_trade(5.5))
    stream.hear(a_post(4.5), source="x")
    (second,) = stream.hear(a_trade(10.5))

    assert first.values["tweets"] == 1
    assert second.values["tweets"] == 0
    assert second.sources["x"].late == 1


def test_case_17_a_source_that_gates_is_waited_for():
    """Posts that gate are in their own window; it leaves after lateness + idle at the latest."""
    posts = a_source("x", "post", routes={"BTC": (BTC,)})
    stream = Stream(a_source(), posts, fields=MARKET | TWEETS)

    assert stream.hear(a_trade(1), a_trade(6.9)) == []
    stream.hear(a_post(4.5), source="x")
    (record,) = stream.tick(7)

    assert record.values["tweets"] == 1


def test_case_19_a_long_silence_is_filled_up_to_a_bound():
    """Of ten hours at once the first hundred windows are sent, and the last, with a gap."""
    stream = Stream()
    stream.hear(a_trade(1))

    records = stream.tick(36_000)

    starts = [start_of(r) for r in records]
    assert starts == [*range(0, 505, 5), 35_990]
    (notice,) = records[-1].notices
    assert (notice.code, notice.source) == ("gap", None)
    assert (notice.from_ns, notice.to_ns) == (ns(505), ns(35_990))
    assert stream.tick(36_005)[0].notices == ()


def test_case_20_duplicates_are_counted_where_they_belong():
    """What the source edge drops as a repeat shows in that symbol's record, and in no value."""
    stream = Stream(symbols=(BTC, ETH))
    stream.hear(a_trade(1))
    stream.engine.on_duplicates("binance", BTC, 2)

    btc, eth = stream.finish(5)

    assert (btc.sources["binance"].duplicates, btc.values["trades"]) == (2, 1)
    assert eth.sources["binance"].duplicates == 0
    assert stream.engine.totals["binance"].events == 3


def test_case_21_an_event_of_the_far_future_costs_no_memory():
    """Should one pass the source edge, the stream closes what it must and holds no more."""
    stream = Stream(seconds=(1, 5))

    records = stream.hear(a_trade(1), a_trade(10**9))

    assert len(records) < 150
    assert len(stream.engine._stream.open_windows[BTC, "trade"].open) == 1


def test_case_22_a_clock_that_steps_back_is_waited_for():
    """The watermark stays, and no record comes twice."""
    stream = Stream()
    first = stream.tick(7)
    before = stream.engine.watermark_ns

    assert stream.tick(5) == []
    assert stream.engine.watermark_ns == before
    assert stream.tick(11.9) == []
    assert [start_of(r) for r in [*first, *stream.tick(12)]] == [0, 5]


def test_case_24_only_the_first_window_is_partial():
    """A stream that starts within a window says so once; one that starts on an edge doesn't."""
    within, on_edge = Stream(start=3), Stream(start=5)

    assert [r.partial for r in within.tick(17)] == [True, False, False]
    assert [r.partial for r in on_edge.tick(17)] == [False, False]


def test_case_25_without_size_there_is_no_vwap():
    """Trades of size 0 have a price and a number, but nothing to weigh by."""
    stream = Stream()

    stream.hear(a_trade(1, 100, 0.0), a_trade(2, 102, 0.0))
    (record,) = stream.finish(5)

    assert record.values["vwap"] is None
    assert record.values["price_avg"] == 101
    assert record.values["trades"] == 2


def test_case_25_what_is_rejected_at_the_edge_is_told():
    """A NaN never gets here; its number does, and touches no field."""
    stream = Stream()
    stream.hear(a_trade(1))
    stream.engine.on_rejected("binance", BTC)

    (record,) = stream.finish(5)

    assert record.sources["binance"].rejected == 1
    assert record.values["trades"] == 1


def test_what_was_of_no_known_symbol_is_told_of_each():
    """A message that nobody could read is counted in every symbol's record, and once in all."""
    stream = Stream()
    stream.hear(a_trade(1))
    stream.engine.on_rejected("binance", None, 2)

    records = stream.finish(5)

    assert [record.sources["binance"].rejected for record in records] == [2] * len(records)
    assert stream.engine.totals["binance"].rejected == 2


def test_case_27_the_end_of_a_stream_sends_open_windows_once():
    """They are partial, and nothing comes after them."""
    stream = Stream(seconds=(1, 5))
    stream.hear(a_trade(0.5), a_trade(1.2), a_trade(2.7))

    records = stream.finish(2.8)

    assert [(start_of(r), r.timeframe_ns // SECOND, r.partial) for r in records] == [
        (2, 1, True),
        (0, 5, True),
    ]
    assert records[-1].values["trades"] == 3
    assert stream.finish(9) == []
    assert stream.hear(a_trade(4)) == []
    assert stream.tick(60) == []
    assert stream.engine.totals["binance"].late == 1


def test_case_27_a_stream_that_never_ran_sends_nothing():
    """Ended in the moment of its start, on an edge of its seconds."""
    assert Stream(seconds=(1, 5), start=1).finish(1) == []


def test_case_27_the_last_windows_come_in_order_of_their_ends():
    """Also where a longer one ends before a shorter."""
    # 2 s |   |   |   |   end
    # 6 s |           |      x    |
    # 10 s|                   |
    #     0           6     8 10  12
    stream = Stream(seconds=(2, 6, 10))
    stream.hear(a_trade(7))

    ends = [record.window_end_ns for record in stream.finish(8)]

    assert ends[-3:] == [ns(8), ns(10), ns(12)]


def test_case_27_an_event_ahead_of_the_end_is_sent_too():
    """Where a source's clock is ahead, its last events are in windows that begin later."""
    stream = Stream()
    stream.hear(a_trade(4.9), a_trade(5.2))

    records = stream.finish(4.95)

    assert counts(records) == {0: 1, 5: 1}
    assert [r.partial for r in records] == [True, True]


def test_a_notice_is_shown_once_to_every_symbol():
    """What the runtime tells is in the next record of each symbol, and then no more."""
    stream = Stream(symbols=(BTC, ETH))
    stream.engine.notify(Notice(code="takeover", detail="another server carries on"))

    first, second = stream.tick(7), stream.tick(12)

    assert [notices(r) for r in first] == [["takeover"], ["takeover"]]
    assert [notices(r) for r in second] == [[], []]
