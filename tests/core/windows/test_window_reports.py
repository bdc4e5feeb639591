"""What a record says of its sources: coverage, counts, delays, units, who served, who left."""

import pytest

from bond_core.model.record import Notice
from bond_core.windows.plan import Count, First, Fold, Metric
from tests.core.windows.streams import (
    BTC,
    ETH,
    MARKET,
    QUOTES,
    SECOND,
    TWEETS,
    Stream,
    a_post,
    a_quote,
    a_source,
    a_trade,
    counts,
    notices,
    ns,
    start_of,
)


def test_a_source_that_was_down_for_the_whole_window_gives_null():
    """Unknown is never zero: no count, no volume, no number of trades."""
    stream = Stream(live=False)

    (record,) = stream.tick(7)

    assert set(record.values.values()) == {None}
    assert record.sources["binance"].count is None
    assert record.sources["binance"].coverage == 0
    assert record.sources["binance"].status == "starting"


def test_coverage_is_the_part_of_the_window_in_which_the_source_was_live():
    """Down for a part: the sum of what was heard, and how much of the window that is."""
    # |  live | reconnecting | live  |
    # 0       1              3       5
    stream = Stream()
    stream.hear(a_trade(0.5))
    stream.engine.on_status("binance", None, "reconnecting", ns(1), "closed by the venue")
    stream.engine.on_status("binance", None, "live", ns(3))

    (record,) = stream.tick(7)

    report = record.sources["binance"]
    assert (report.coverage, report.count, report.status) == (0.6, 1, "live")
    assert report.reason is None
    assert record.values["trades"] == 1


def test_the_status_is_the_one_at_the_close_with_its_reason():
    """A source that failed says why, in each record."""
    stream = Stream()
    stream.engine.on_status("binance", BTC, "failed", ns(6), "BTC/USDT is not listed")

    first, second = stream.tick(12)

    assert first.sources["binance"].coverage == 1
    assert (second.sources["binance"].status, second.sources["binance"].coverage) == (
        "failed",
        0.2,
    )
    assert second.sources["binance"].reason == "BTC/USDT is not listed"


def test_what_was_counted_was_heard():
    """An event of a source that was never said to be live makes its coverage more than 0."""
    stream = Stream(live=False)
    stream.hear(a_trade(1))

    (record,) = stream.tick(7)

    report = record.sources["binance"]
    assert (report.coverage, report.count) == (0.001, 1)
    assert record.values["trades"] == 1


@pytest.mark.parametrize(("since", "covered"), [(1, [0.6, 1.0, 0.8]), (6, [1.0, 0.6, 0.8])])
def test_the_coverage_of_a_larger_window_is_its_own(since, covered):
    """Ten seconds of which two were missed, seen in windows of five and of ten."""
    stream = Stream(seconds=(5, 10))
    stream.engine.on_status("binance", None, "stale", ns(since))
    stream.engine.on_status("binance", None, "live", ns(since + 2))

    records = [*stream.tick(7), *stream.tick(12)]

    assert [r.timeframe_ns // SECOND for r in records] == [5, 5, 10]
    assert [r.sources["binance"].coverage for r in records] == covered


@pytest.mark.parametrize("number", [1, 2, 15, 16, 17, 64, 1000])
def test_the_lag_is_the_median_delay(number):
    """Sampled beyond 16 events, and still the median of delays that are spread evenly."""
    stream = Stream()
    step = 2 * SECOND // 1000  # delays of 0, 2, 4, ... ms, shuffled by a fixed stride

    trades = [a_trade(1 + i / 1e6) for i in range(number)]
    for i, trade in enumerate(trades):
        trade.recv_ts = trade.ts + i * 377 % number * step
    stream.hear(*trades)
    (record,) = stream.finish(5)

    exact = (number - 1) * step / 2 / 1e6
    slack = 0.6 if number <= 16 else number * 0.25
    assert record.sources["binance"].lag_ms == pytest.approx(exact, abs=slack)


def test_a_larger_window_weighs_the_delays_of_its_panes_by_their_events():
    """A second with 900 quick events and one with 100 slow ones: the median is quick."""
    stream = Stream(seconds=(1, 2))
    quick = [a_trade(i / 1000, recv_ts=ns(i / 1000 + 0.010)) for i in range(900)]
    slow = [a_trade(1 + i / 1000, recv_ts=ns(1 + i / 1000 + 0.400)) for i in range(100)]

    stream.hear(*quick, *slow)
    records = stream.finish(2)

    assert [r.sources["binance"].lag_ms for r in records] == [10, 400, 10]


def test_a_record_names_the_venues_that_served_it():
    """Those with an event in it, in the plan's order, each once; posts happen at no venue."""
    routes = {"BTC": (BTC,)}
    stream = Stream(
        a_source("okx"),
        a_source("binance"),
        a_source("binance.quotes", "quote", venue="binance"),
        a_source("bybit"),
        a_source("x", "post", routes=routes),
        fields=MARKET | QUOTES | TWEETS,
    )
    stream.hear(a_trade(1))
    stream.hear(a_trade(2), source="okx")
    stream.hear(a_quote(1, 99, 101), source="binance.quotes")
    stream.hear(a_post(1), source="x")

    (record,) = stream.tick(7)

    assert record.served == ("okx", "binance")
    assert list(record.sources) == ["okx", "binance", "binance.quotes", "bybit", "x"]


def test_a_simulated_source_says_so():
    """In every record, whether it brought something or not."""
    stream = Stream(a_source(simulated=True))

    (record,) = stream.tick(7)

    assert record.sources["binance"].simulated is True


def test_merged_sources_add_up_and_report_apart():
    """Two venues' trades are one volume, and two counts."""
    stream = Stream(a_source("binance"), a_source("okx"))
    stream.hear(a_trade(1, 100, 2.0), a_trade(3, 103, 1.0))
    stream.hear(a_trade(2, 110, 4.0), a_trade(4, 99, 1.0), source="okx")

    (record,) = stream.tick(7)

    assert record.values["volume_sum"] == 8
    assert record.values["price_high"] == 110
    assert (record.values["price_open"], record.values["price_close"]) == (100, 99)
    assert [record.sources[s].count for s in ("binance", "okx")] == [2, 2]


def test_a_mixed_unit_is_rejected_and_told_once():
    """The first trade says what sizes count; what counts something else is not summed."""
    stream = Stream(symbols=(BTC, ETH))
    unit = "100 USD contracts"
    stream.hear(a_trade(1, 100, 7.0, size_unit=unit))
    stream.hear(a_trade(2, 100, 5.0), a_trade(3, 100, 5.0, size_unit="10 USD contracts"))
    stream.hear(a_trade(4, 100, 1.0, size_unit=b"100 USD contracts".decode()))

    btc, eth = stream.tick(7)

    assert btc.values["volume_sum"] == 8
    assert (btc.size_unit, eth.size_unit) == (unit, None)
    assert (btc.sources["binance"].count, btc.sources["binance"].rejected) == (2, 2)
    assert notices(btc) == ["mixed_size_units"]
    assert notices(eth) == []
    totals = stream.engine.totals["binance"]
    assert (totals.counted, totals.rejected, totals.events) == (2, 2, 4)


def test_an_unrouted_event_is_counted_and_nothing_else():
    """A shared feed may bring symbols that this stream didn't ask for."""
    stream = Stream()

    stream.hear(a_trade(1), a_trade(60, symbol="DOGE/USDT"))

    assert stream.engine.totals["binance"].unrouted == 1
    assert [r.values["trades"] for r in stream.finish(5)] == [1]


def test_one_event_may_count_for_several_symbols():
    """An asset's posts count for each of its markets; so do late ones."""
    swap = "BTC/USDT:USDT"
    posts = a_source("x", "post", routes={"BTC": (BTC, swap), "ETH": (ETH,)})
    stream = Stream(posts, symbols=(BTC, swap, ETH), fields=TWEETS)
    stream.hear(a_post(1), a_post(2), a_post(3, "ETH"), a_post(4, "SOL"), source="x")

    stream.engine.on_duplicates("x", "BTC", 3)
    first = stream.hear(a_post(6, "ETH"), source="x")
    stream.hear(a_post(4), source="x")
    second = stream.hear(a_post(11, "ETH"), source="x")

    assert [r.values["tweets"] for r in first] == [2, 2, 1]
    assert [r.sources["x"].duplicates for r in first] == [3, 3, 0]
    assert [r.values["tweets"] for r in second] == [0, 0, 1]
    assert [r.sources["x"].late for r in second] == [1, 1, 0]
    totals = stream.engine.totals["x"]
    assert (totals.counted, totals.late, totals.unrouted) == (2 * 2 + 1 + 2, 2, 1)


def test_a_source_without_symbols_repeats_in_every_record():
    """Its fields and its report are the stream's, whatever symbol its events name."""
    chain = a_source("x", "post", scope="stream", routes={})
    stream = Stream(a_source(symbols=(BTC, ETH)), chain, symbols=(BTC, ETH), fields=MARKET | TWEETS)
    stream.hear(a_trade(1), a_trade(2, symbol=ETH), a_trade(3))
    stream.hear(a_post(1, ""), a_post(2, "anything"), source="x")

    btc, eth = stream.tick(7)

    assert (btc.values["trades"], eth.values["trades"]) == (2, 1)
    assert (btc.values["tweets"], eth.values["tweets"]) == (2, 2)
    assert btc.sources["x"] == eth.sources["x"]
    assert (btc.sources["x"].scope, btc.sources["x"].count) == ("stream", 2)


def test_sources_with_and_without_symbols_of_one_kind_add_up():
    """A symbol's posts, and those that belong to all."""
    own = a_source("x", "post", routes={"BTC": (BTC,)})
    everybody = a_source("nitter", "post", scope="stream", routes={})
    stream = Stream(own, everybody, symbols=(BTC, ETH), fields=TWEETS)
    stream.hear(a_post(1), a_post(2), source="x")
    stream.hear(a_post(1, ""), source="nitter")

    btc, eth = stream.tick(7)

    assert (btc.values["tweets"], eth.values["tweets"]) == (3, 1)


def test_a_gap_is_counted_and_told():
    """For one symbol in its records, for all of a source's in everybody's."""
    stream = Stream(symbols=(BTC, ETH))
    hole = Notice(code="gap", source="binance", detail="ids 5 to 9 are missing")
    stream.engine.on_gap("binance", ETH, hole)
    stream.engine.on_gap("binance", None, hole)

    btc, eth = stream.tick(7)

    assert (btc.sources["binance"].gaps, eth.sources["binance"].gaps) == (1, 2)
    assert (notices(btc), notices(eth)) == (["gap"], ["gap", "gap"])
    assert stream.engine.totals["binance"].gaps == 2


def test_counts_of_a_timeframe_are_since_its_own_previous_record():
    """A late event in a second shows in the next second, and in the five seconds' record."""
    stream = Stream(seconds=(1, 5))
    stream.hear(a_trade(0.5), a_trade(2.6), a_trade(0.7))

    records = stream.tick(7)

    late = [(r.timeframe_ns // SECOND, start_of(r), r.sources["binance"].late) for r in records]
    assert [row for row in late if row[2]] == [(1, 2, 1), (5, 0, 1)]
    assert [notices(r) for r in records if notices(r)] == [["late_dropped"], ["late_dropped"]]


def test_late_events_are_told_per_source():
    """One notice for each source, with its number and the age of the oldest."""
    stream = Stream(a_source("binance"), a_source("okx"))
    stream.tick(7)
    stream.hear(a_trade(1, recv_ts=ns(11)), a_trade(2, recv_ts=ns(7)))
    stream.hear(a_trade(3, recv_ts=ns(28)), source="okx")

    (record,) = stream.tick(12)

    details = {notice.source: notice.detail for notice in record.notices}
    assert details["binance"].startswith("2 events of binance came after their window")
    assert "10.000 s" in details["binance"]
    assert "25.000 s" in details["okx"]


def test_old_events_count_as_far_back_as_the_watermark_began():
    """A window that ended before the start is sent if it got something; older is late."""
    # late |  x   |  x     |start
    # -10  -5    -0.4      0.3
    stream = Stream(seconds=(1,), start=0.3)
    stream.hear(a_trade(-10), a_trade(-0.4), a_trade(0.1))

    records = stream.hear(a_trade(2.5))

    assert [(start_of(r), r.partial) for r in records] == [(-1, True), (0, True), (1, False)]
    assert counts(records) == {-1: 1, 0: 1, 1: 0}
    assert sum(r.sources["binance"].late for r in records) == 1


def test_records_of_one_boundary_are_published_together():
    """By timeframe, and then in the plan's order of symbols."""
    stream = Stream(symbols=(ETH, BTC), seconds=(5, 10))
    stream.engine.on_tick(ns(12))

    closed = stream.engine.take()

    assert [c.window_end_ns for c in closed] == [ns(5), ns(10)]
    shown = [(r.timeframe_ns // SECOND, r.symbol) for r in closed[1].records]
    assert shown == [(5, ETH), (5, BTC), (10, ETH), (10, BTC)]


def test_a_leap_still_sends_the_larger_window_that_had_events():
    """Silence is left out; the minute that had a trade before it is not."""
    stream = Stream(seconds=(1, 600))
    stream.hear(a_trade(1))

    records = stream.tick(5000)

    minutes = [r for r in records if r.timeframe_ns == 600 * SECOND]
    assert [(start_of(r), r.values["trades"]) for r in minutes][:1] == [(0, 1)]
    assert len(records) < 120


def test_more_notices_than_a_record_holds_are_counted():
    """A storm of notices costs no memory, and is told."""
    stream = Stream()
    for number in range(1000):
        stream.engine.notify(Notice(code="stale", detail=str(number)))

    (record,) = stream.tick(7)

    assert len(record.notices) == 33
    assert record.notices[-1].code == "notices_dropped"
    assert "968" in record.notices[-1].detail


def test_too_many_open_panes_are_refused():
    """A source far ahead of one that is silent, and no tick: what is over is rejected."""
    stream = Stream(a_source("binance"), a_source("okx"), seconds=(1,))

    for at in range(1000):
        stream.hear(a_trade(at))

    totals = stream.engine.totals["binance"]
    assert totals.counted < 100
    assert totals.counted + totals.rejected == 1000


def test_a_fold_of_two_sources_sees_events_as_they_arrive():
    """Its state is the symbol's, not a source's."""
    path = Fold(tuple, lambda state, e: (*state, e.price), lambda a, b: a + b, repr, gives="text")
    fields = {"path": ("trade", path), "first": ("trade", Metric({"p": First("price")}))}
    stream = Stream(a_source("binance"), a_source("okx"), fields=fields)
    stream.hear(a_trade(3, 1.0))
    stream.hear(a_trade(1, 2.0), source="okx")
    stream.hear(a_trade(2, 3.0))

    (record,) = stream.tick(7)

    assert record.values == {"path": "(1.0, 2.0, 3.0)", "first": 2.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": (5, 7)},
        {"seconds": (10, 5)},
        {"seconds": ()},
        {"symbols": (ETH,), "sources": (a_source(),)},
        {"sources": (a_source(), a_source())},
    ],
    ids=["no multiple", "not rising", "none", "routes elsewhere", "one name twice"],
)
def test_a_plan_that_makes_no_sense_is_refused(changes):
    """Before anything runs."""
    given = {name: value for name, value in changes.items() if name != "sources"}

    with pytest.raises(ValueError, match=r"timeframes|symbols of the stream|already"):
        Stream(*changes.get("sources", ()), **given)


def test_a_source_that_was_never_here_is_an_error():
    """A wrong name is a mistake in the program, not a silent nothing."""
    stream = Stream()

    with pytest.raises(KeyError, match="okx"):
        stream.hear(a_trade(1), source="okx")
    with pytest.raises(KeyError, match="okx"):
        stream.engine.on_status("okx", None, "live", ns(1))


def test_a_kind_that_no_field_needs_still_moves_time():
    """A source may be there for its count alone."""
    stream = Stream(a_source(), fields={"tweets": ("post", Metric({"n": Count()}))})

    (record,) = stream.hear(a_trade(1), a_trade(5.5))

    assert record.sources["binance"].count == 1
    assert record.values == {"tweets": None}
