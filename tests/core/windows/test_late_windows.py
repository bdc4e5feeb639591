"""Late events that correct windows, or are handed on: `late = "update"` and `"side"`."""

from hypothesis import given
from hypothesis import strategies as st

from bond_core.windows.plan import Fold, Reduce
from tests.core.windows.streams import (
    BTC,
    ETH,
    SECOND,
    Stream,
    a_source,
    a_trade,
    about,
    notices,
)
from tests.core.windows.test_window_properties import FIELDS, assert_same_values, events


def a_corrected_stream(*sources, corrections=10, **options):
    """A stream that corrects its windows for so many seconds."""
    return Stream(*sources, late="update", corrections_ns=corrections * SECOND, **options)


def test_case_09_a_late_event_makes_a_second_record_with_all_of_it():
    """The same identity with rev 1; after corrections_s it is dropped, and counted."""
    stream = a_corrected_stream()
    first = stream.hear(a_trade(1, 100), a_trade(4, 110), a_trade(5.5, 120))
    assert stream.hear(a_trade(2, 90, 3.0), a_trade(3, 130)) == []
    (again,) = stream.tick(5.6)

    assert [about(r) for r in (*first, again)] == [(BTC, 5, 0, 0), (BTC, 5, 0, 1)]
    values = again.values
    assert (values["price_open"], values["price_close"]) == (100, 110)
    assert (values["price_low"], values["price_high"]) == (90, 130)
    assert (values["trades"], values["volume_sum"]) == (4, 6.0)
    assert again.sources["binance"].count == 4
    assert notices(again) == ["revised"]

    stream.tick(17)  # the watermark is at 15: corrections of the first window are over
    stream.hear(a_trade(2.5))
    (after,) = stream.tick(22)
    totals = stream.engine.totals["binance"]
    assert (totals.late, totals.counted, totals.corrected) == (1, 5, 2)
    assert (after.sources["binance"].late, notices(after)) == (1, ["late_dropped"])


def test_case_09_each_correction_has_the_next_rev():
    """Late events of one tick make one record, those of the next another."""
    stream = a_corrected_stream()
    stream.hear(a_trade(1), a_trade(5.5))

    revs = []
    for at in (5.6, 5.7, 5.8):
        stream.hear(a_trade(2))
        revs += [(r.rev, r.values["trades"]) for r in stream.tick(at)]

    assert revs == [(1, 2), (2, 3), (3, 4)]


def test_case_10_a_minute_that_is_open_includes_the_late_event():
    """Its five seconds are sent again; the minute is sent once, with all of it."""
    stream = a_corrected_stream(seconds=(5, 60))
    stream.hear(a_trade(1), a_trade(5.5))
    stream.hear(a_trade(2, size=4.0))
    (again,) = stream.tick(5.6)
    minutes = [r for r in stream.tick(62) if r.timeframe_ns == 60 * SECOND]

    assert about(again) == (BTC, 5, 0, 1)
    assert [about(r) for r in minutes] == [(BTC, 60, 0, 0)]
    assert (minutes[0].values["volume_sum"], minutes[0].sources["binance"].count) == (6.0, 3)


def test_a_minute_that_has_closed_is_corrected_with_its_pane():
    """Also with what its older panes, which are no longer kept, had added to it."""
    stream = a_corrected_stream(seconds=(5, 60), corrections=10)
    stream.hear(*(a_trade(at, 100 + at) for at in range(1, 60, 2)))
    stream.tick(62)
    stream.hear(a_trade(57.5, 5))

    five, minute = stream.tick(62.1)

    assert (about(five), about(minute)) == ((BTC, 5, 55, 1), (BTC, 60, 0, 1))
    assert (minute.values["price_low"], minute.values["trades"]) == (5, 31)
    assert (minute.values["price_open"], minute.values["price_close"]) == (101, 159)


def test_a_late_event_fills_a_window_that_had_none():
    """Null becomes a number, in the same window."""
    stream = a_corrected_stream()
    (empty,) = stream.tick(7)
    stream.hear(a_trade(2, 50))
    (again,) = stream.tick(7.1)

    assert (empty.values["price_close"], again.values["price_close"]) == (None, 50)
    assert (again.rev, again.sources["binance"].count) == (1, 1)


def test_late_events_of_two_sources_make_one_correction():
    """Both are in it, each counted under its own name, in a pane that was empty before."""
    stream = a_corrected_stream(a_source("binance"), a_source("okx"))
    stream.tick(7)
    stream.hear(a_trade(1, 10), source="okx")
    stream.hear(a_trade(2, 20), source="binance")

    (again,) = stream.tick(7.1)

    assert (again.values["price_open"], again.values["price_close"]) == (10, 20)
    assert [again.sources[name].count for name in ("binance", "okx")] == [1, 1]
    assert again.served == ("binance", "okx")


def test_only_the_late_events_symbol_is_sent_again():
    """The other symbol's window has not changed."""
    stream = a_corrected_stream(symbols=(BTC, ETH))
    stream.hear(a_trade(1), a_trade(1, symbol=ETH), a_trade(5.5))
    stream.hear(a_trade(2, symbol=ETH))

    assert [about(r) for r in stream.tick(5.6)] == [(ETH, 5, 0, 1)]


def test_an_event_older_than_the_stream_is_late_whatever_the_policy():
    """Its window was never sent, so there is nothing to correct."""
    stream = a_corrected_stream()
    stream.hear(a_trade(-9))

    assert stream.tick(1) == []
    assert stream.engine.totals["binance"].late == 1


def test_a_correction_does_not_wait_for_the_end():
    """What came late before the stream's end is sent, and nothing after it."""
    stream = a_corrected_stream()
    stream.hear(a_trade(1), a_trade(5.5))
    stream.hear(a_trade(2))

    assert [about(r) for r in stream.finish(6)] == [(BTC, 5, 0, 1), (BTC, 5, 5, 0)]
    stream.hear(a_trade(2.5))
    assert stream.tick(6.1) == []
    assert stream.engine.totals["binance"].late == 1


def test_corrections_of_what_needs_all_events_are_as_if_nothing_had_been_late():
    """A Reduce gets its columns again, in order of time."""
    order = Reduce(["price"], list, lambda a, b: [*a, *b], str, gives="text")
    stream = a_corrected_stream(fields={"order": ("trade", order)}, seconds=(5, 10))
    stream.hear(a_trade(1, 1.0), a_trade(4, 4.0), a_trade(7, 7.0), a_trade(10.5, 9.0))
    stream.hear(a_trade(2, 2.0))

    again = stream.tick(10.6)

    assert [r.values["order"] for r in again] == ["[1.0, 2.0, 4.0]", "[1.0, 2.0, 4.0, 7.0]"]


@given(events(delay=4.0, sources=("binance", "okx"), seconds=12))
def test_corrected_windows_are_those_of_a_patient_stream(heard):
    """The last record of each window says what it would have said had nothing been late."""
    names, given = ("binance", "okx"), {"symbols": (BTC, ETH), "seconds": (1, 5), "fields": FIELDS}

    def play(lateness_s, **options):
        sources = [
            a_source(n, symbols=(BTC, ETH), lateness_ns=int(lateness_s * SECOND), idle_ns=1 << 60)
            for n in names
        ]
        stream = Stream(*sources, **given, **options)
        for one in heard:
            stream.hear(one.trade, source=one.source)
            stream.engine.on_tick(one.at_ns)
        stream.take()
        stream.finish(20)
        return stream

    hasty = play(0.2, late="update", corrections_ns=60 * SECOND)
    patient = play(5.0)

    last = {}
    for record in hasty.seen:
        key = about(record)[:3]
        assert record.rev == (last[key].rev + 1 if key in last else 0)
        last[key] = record
    for record in patient.seen:
        ours = last[about(record)[:3]]
        assert_same_values(ours, record)
        for name in names:
            assert ours.sources[name].count == record.sources[name].count
    totals = hasty.engine.totals
    assert sum(t.counted for t in totals.values()) == len(heard)


@given(events(delay=4.0), st.lists(st.integers(1, 9), min_size=1))
def test_corrections_do_not_depend_on_batches(heard, sizes):
    """However events are split between two ticks, the records are the same, in the same order."""
    one, many = (a_corrected_stream(symbols=(BTC, ETH), seconds=(1, 5)) for _ in range(2))
    trades = [h.trade for h in heard]

    for trade in trades:
        one.hear(trade)
    while trades:
        size = sizes[len(trades) % len(sizes)]
        many.hear(*trades[:size])
        trades = trades[size:]
    for stream in (one, many):
        stream.tick(15)
        stream.finish(25)

    assert one.seen == many.seen


def test_a_fold_is_corrected_as_events_arrive():
    """A late event is added to its state."""
    sides = Fold(set, lambda s, e: s | {e.side}, lambda a, b: a | b, len)
    stream = a_corrected_stream(fields={"sides": ("trade", sides)})
    stream.hear(a_trade(1, side="buy"), a_trade(5.5, side="buy"), a_trade(2, side="sell"))
    (again,) = stream.tick(5.6)
    assert again.values["sides"] == 2
