"""What silent windows say, and how much is kept, whatever comes."""

import math

import pytest

from tests.core.windows.streams import (
    BTC,
    ETH,
    SECOND,
    Stream,
    a_trade,
    about,
    notices,
    ns,
    start_of,
)


def test_case_18_a_silent_bar_has_the_previous_close():
    """Open, high, low and close are it, the volume is 0, vwap is null; before a trade, nothing."""
    stream = Stream(fill="previous")
    before = stream.tick(7)[0]
    stream.hear(a_trade(6, 100), a_trade(7, 120))
    traded, filled = stream.tick(17)

    assert (before.filled, before.values["price_close"]) == (False, None)
    assert (traded.filled, traded.values["price_close"]) == (False, 120)
    prices = [filled.values[f"price_{name}"] for name in ("open", "high", "low", "close")]
    assert (filled.filled, prices) == (True, [120] * 4)
    assert (filled.values["volume_sum"], filled.values["vwap"]) == (0, None)


def test_case_18_what_was_not_heard_is_not_filled():
    """Of a source that was down nothing is known, also no previous price."""
    stream = Stream(fill="previous")
    stream.hear(a_trade(1, 100))
    stream.engine.on_status("binance", BTC, "reconnecting", ns(5))

    _, down = stream.tick(12)

    assert (down.filled, down.values["price_close"], down.values["volume_sum"]) == (
        False, None, None,
    )  # fmt: skip


def test_case_18_skip_sends_no_record_of_a_heard_silence():
    """The next record says how many were left out; what was not heard is sent."""
    stream = Stream(fill="skip")
    stream.hear(a_trade(1))
    assert [start_of(r) for r in stream.tick(22)] == [0]
    stream.hear(a_trade(23))
    assert [(start_of(r), r.skipped) for r in stream.tick(27)] == [(20, 3)]

    stream.engine.on_status("binance", BTC, "reconnecting", ns(26))
    assert [start_of(r) for r in stream.tick(37)] == [25, 30]


def test_case_19_a_long_silence_is_filled_up_to_a_bound_then_told():
    """A hundred filled bars, one gap, then live."""
    stream = Stream(fill="previous")
    stream.hear(a_trade(1, 100))
    records = stream.tick(36_000)
    filled = [r for r in records if r.filled]

    assert len(filled) == 100 + 1  # and the last before now, which tells of the gap
    assert [notices(r) for r in records if r.notices] == [["gap"]]
    stream.hear(a_trade(36_001, 130))
    (live,) = stream.tick(36_007)[-1:]
    assert (live.filled, live.values["price_close"]) == (False, 130)


def test_a_correction_changes_what_bars_to_come_are_filled_with():
    """Those that were filled and sent stay as they were; the next has the close that is known."""
    stream = Stream(fill="previous", late="update", corrections_ns=60 * SECOND)
    stream.hear(a_trade(1, 100))
    stream.tick(17)
    stream.hear(a_trade(4, 90))

    again = stream.tick(17.1)

    assert [(start_of(r), r.rev, r.values["price_close"]) for r in again] == [(0, 1, 90)]
    assert stream.tick(22)[0].values["price_close"] == 90


def test_a_skipped_window_that_gets_a_late_event_is_sent_for_the_first_time():
    """Nothing was sent of it, so its rev is 0."""
    stream = Stream(fill="skip", late="update", corrections_ns=60 * SECOND)
    stream.hear(a_trade(1))
    stream.tick(12)
    stream.hear(a_trade(6))

    assert [(start_of(r), r.rev) for r in stream.tick(12.1)] == [(5, 0)]


# Keys


def test_case_28_a_silent_key_is_forgotten_and_starts_clean():
    """After key_ttl its unit is unknown again, so another may begin; before, it is rejected."""
    stream = Stream(key_ttl_ns=30 * SECOND)
    stream.hear(a_trade(1, size_unit="contracts"))
    stream.tick(20)
    stream.hear(a_trade(21))
    assert stream.engine.totals["binance"].rejected == 1

    stream.tick(60)
    (windows,) = stream.engine._stream.open_windows.values()
    assert windows.is_idle
    stream.hear(a_trade(61, 50))
    record = stream.tick(67)[-1]
    assert (record.values["price_close"], record.size_unit) == (50, None)


def test_case_28_the_last_close_is_kept_only_where_it_is_asked_for():
    """A bar that is filled with the previous close needs it, however long ago that was."""
    stream = Stream(key_ttl_ns=30 * SECOND, fill="previous")
    stream.hear(a_trade(1, 100))
    for at in range(7, 100, 5):
        records = stream.tick(at)

    assert records[-1].values["price_close"] == 100


def test_case_28_more_keys_than_there_is_room_for_are_refused_and_counted():
    """Their events are counted as nobody's, and everybody is told."""
    stream = Stream(symbols=(BTC, ETH), max_keys=1)
    stream.hear(a_trade(1), a_trade(1, symbol=ETH))
    btc, eth = stream.finish(5)

    totals = stream.engine.totals["binance"]
    assert (totals.counted, totals.unrouted, totals.refused_keys) == (1, 1, 1)
    assert (btc.values["trades"], eth.values["trades"]) == (1, None)
    assert "too_many_keys" in notices(btc)


# Floods


@pytest.mark.parametrize("late", ["drop", "update"])
def test_p10_a_flood_of_times_leaves_state_bounded(late):
    """Future, ancient and scattered times: counted or rejected, and no more panes than fit."""
    stream = Stream(late=late, corrections_ns=20 * SECOND, seconds=(1, 60))
    bound = stream.engine._grid.max_open
    for number in range(20_000):
        at = (number * 7919) % 4001 - 2000
        stream.hear(a_trade(at if number % 3 else number / 1000))
        if number % 100 == 0:
            stream.tick(number / 1000)
        (windows,) = stream.engine._stream.open_windows.values()
        kept = 0 if windows.kept is None else len(windows.kept.panes)
        assert len(windows.open) <= bound
        assert kept <= 22
    stream.finish(5000)

    totals = stream.engine.totals["binance"]
    assert totals.events == 20_000
    assert math.isclose(sum(
        r.sources["binance"].count or 0
        for r in {about(r)[:3]: r for r in stream.seen}.values()
        if r.timeframe_ns == SECOND
    ), totals.counted)  # fmt: skip
