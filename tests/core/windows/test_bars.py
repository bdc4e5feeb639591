"""Bars that trades close: by their number, their volume, their value."""

from __future__ import annotations

import itertools
import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.aggregators.moves import Returns
from bond_core.aggregators.quantiles import quantile_plan
from bond_core.model.record import Notice
from bond_core.windows.bars import MAX_SPLIT
from bond_core.windows.plan import BarPlan, Change
from tests.core.windows.streams import (
    BTC,
    ETH,
    MARKET,
    QUOTES,
    SECOND,
    TWEETS,
    Stream,
    T,
    a_post,
    a_quote,
    a_source,
    a_trade,
    notices,
)

TICKS_3 = BarPlan("3ticks", "ticks", 3.0)
VOL_10 = BarPlan("10vol", "volume", 10.0)
VALUE_1000 = BarPlan("1000value", "value", 1000.0)


def bars(records, name=None, symbol=None):
    """The bars among records."""
    return [
        record
        for record in records
        if record.bar is not None
        and name in (None, record.bar.timeframe)
        and symbol in (None, record.symbol)
    ]


def volumes(records):
    """The volume of each."""
    return [record.values["volume_sum"] for record in records]


def test_case_26_a_volume_bar_of_10_and_a_trade_of_25_are_two_bars_and_5_carried():
    """
    The crossing trade is split, and its sum kept.
    """
    stream = Stream(bars=(VOL_10,))
    stream.hear(a_trade(1, 7.0, 25.0))
    first = bars(stream.tick(8))
    stream.hear(a_trade(11, 8.0, 5.0))
    second = bars(stream.tick(18))

    assert volumes(first) == [10.0, 10.0]
    assert volumes(second) == [10.0]
    assert [r.bar.number for r in (*first, *second)] == [0, 1, 2]
    assert (second[0].values["price_open"], second[0].values["price_close"]) == (7.0, 8.0)
    assert second[0].values["vwap"] == 7.5


def test_a_bar_is_a_record_as_any_other():
    """
    It begins where the one before it ended and ends with the trade that filled it.
    """
    stream = Stream(bars=(TICKS_3,))
    stream.hear(*(a_trade(at, 100 + at, 2.0, side="buy") for at in (0.5, 1, 2, 3, 4.5)))
    (bar,) = bars(stream.tick(8))
    stream.hear(a_trade(9, 90.0))
    (second,) = bars(stream.tick(18))

    values = bar.values
    assert (bar.window_start_ns, bar.window_end_ns) == (T, T + 2 * SECOND)
    assert (second.window_start_ns, second.window_end_ns) == (T + 2 * SECOND, T + 9 * SECOND)
    assert [values[f"price_{each}"] for each in ("open", "high", "low", "close")] == [
        100.5, 102, 100.5, 102,
    ]  # fmt: skip
    assert (values["trades"], values["volume_sum"]) == (3, 6.0)
    assert second.values["price_low"] == 90.0
    assert bar.sources["binance"].count == 3
    assert (bar.partial, bar.sources["binance"].coverage) == (False, 1.0)
    assert bar.served == ("binance",)


def test_time_and_bars_are_in_the_order_of_their_ends():
    """
    A bar comes before the window that it ended in; of one end, the smaller timeframe first.
    """
    stream = Stream(seconds=(1, 2), bars=(TICKS_3, VOL_10))
    stream.hear(*(a_trade(0.1 * n, size=5.0) for n in range(10)))
    stream.tick(10)

    ends = [(r.window_end_ns - T, r.bar and r.bar.timeframe) for r in stream.seen][:7]
    assert ends == [
        (100_000_000, "10vol"), (200_000_000, "3ticks"), (300_000_000, "10vol"),
        (500_000_000, "3ticks"), (500_000_000, "10vol"), (700_000_000, "10vol"),
        (800_000_000, "3ticks"),
    ]  # fmt: skip
    assert [e for e, _ in ends] == sorted(e for e, _ in ends)


def test_value_bars_hold_so_much_money():
    """
    Price times size, to the cent; what an inverse market trades is counted as it says.
    """
    stream = Stream(bars=(VALUE_1000,))
    stream.hear(a_trade(1, 100.0, 4.0), a_trade(2, 200.0, 5.0))
    (bar,) = bars(stream.tick(8))

    assert bar.values["volume_sum"] == pytest.approx(4 + 3)
    assert bar.values["vwap"] * bar.values["volume_sum"] == pytest.approx(1000)

    inverse = Stream(bars=(VALUE_1000,))
    inverse.hear(a_trade(1, 100.0, 1500.0, size_unit="1 USD contracts"))
    (bar,) = bars(inverse.tick(8))
    assert (bar.values["volume_sum"], bar.size_unit) == (1000.0, "1 USD contracts")


def test_the_tenth_part_ten_times_is_whole():
    """
    Sums of floats that miss a bar's size by their last digits fill it all the same.
    """
    stream = Stream(bars=(BarPlan("1vol", "volume", 1.0),))
    stream.hear(*(a_trade(0.1 * n, size=0.1) for n in range(30)))

    filled = bars(stream.tick(10))
    assert [r.values["trades"] for r in filled] == [10, 10, 10]
    assert volumes(filled) == pytest.approx([1.0, 1.0, 1.0])


def test_what_else_was_heard_belongs_to_the_bar_that_was_filling():
    """
    Quotes and posts count in the bar of their time, whatever order they came in.
    """
    stream = Stream(
        a_source(),
        a_source("binance.quotes", "quote"),
        a_source("x", "post", routes={"BTC": (BTC,)}, gates=False),
        bars=(TICKS_3,),
        fields=MARKET | QUOTES | TWEETS,
    )
    stream.hear(a_post(0.1), a_post(3.5), source="x")
    stream.hear(*(a_trade(at) for at in (1, 2, 3, 3.6, 3.7, 3.8)))
    stream.hear(a_quote(0.5, 99, 101), a_quote(3.65, 89, 91), source="binance.quotes")
    first, second = bars(stream.tick(12))

    assert (first.values["tweets"], second.values["tweets"]) == (1, 1)
    assert (first.values["bid_avg"], second.values["bid_avg"]) == (99, 89)
    assert second.sources["x"].count == 1


def test_what_belongs_to_no_symbol_is_in_every_symbols_bar():
    """
    A source of the whole stream tells each symbol's bars the same.
    """
    stream = Stream(
        a_source(symbols=(BTC, ETH)),
        a_source("x", "post", scope="stream", routes={"": (BTC, ETH)}, gates=False),
        symbols=(BTC, ETH),
        bars=(BarPlan("1ticks", "ticks", 1.0),),
        fields=MARKET | TWEETS,
    )
    stream.hear(a_post(0.1, symbol=""), source="x")
    stream.hear(a_trade(1), a_trade(2, symbol=ETH))
    btc, eth = bars(stream.tick(12))

    assert (btc.symbol, eth.symbol) == (BTC, ETH)
    assert (btc.values["tweets"], eth.values["tweets"]) == (1, 1)


def test_changes_and_sorted_fields_are_over_bars():
    """
    A return is against the bar before; a median is of all trades of the bar, over panes.
    """
    moves = {name: ("trade", field) for name, field in Returns().plan().items()}
    sorted_ = {"price_median": ("trade", quantile_plan(50))}
    change = next(name for name, (_, field) in moves.items() if isinstance(field, Change))
    stream = Stream(bars=(TICKS_3,), fields=MARKET | moves | sorted_, seconds=(1,))
    prices = [100.0, 101.0, 120.0, 110.0, 132.0, 132.0]
    stream.hear(*(a_trade(0.7 * n, price) for n, price in enumerate(prices)))
    stream.tick(12)
    first, second = bars(stream.seen)

    assert first.values[change] is None
    assert second.values[change] in (pytest.approx(0.1), pytest.approx(math.log(1.1)))
    assert (first.values["price_median"], second.values["price_median"]) == (101.0, 132.0)


def test_a_bar_tells_what_happened_since_the_one_before():
    """
    Late events, duplicates and notices are in the next bar of their symbol, once.
    """
    stream = Stream(bars=(TICKS_3,))
    stream.hear(a_trade(1), a_trade(12))
    stream.tick(20)
    stream.hear(a_trade(2))
    stream.engine.on_duplicates("binance", BTC, 2)
    stream.engine.notify(Notice(code="stale", source="binance", detail="no news"), BTC)
    stream.hear(a_trade(21), a_trade(22), a_trade(23), a_trade(24))
    first, second = bars([*stream.seen, *stream.tick(40)])

    report = first.sources["binance"]
    assert (report.late, report.duplicates, report.count) == (1, 2, 3)
    assert set(notices(first)) == {"stale", "late_dropped"}
    assert (second.sources["binance"].late, notices(second)) == (0, [])


def test_bars_are_not_sent_again():
    """
    Where late events change windows, they are late for the bars, which say so.
    """
    stream = Stream(bars=(TICKS_3,), late="update", corrections_ns=60 * SECOND)
    stream.hear(a_trade(1), a_trade(7))
    stream.tick(8)
    stream.hear(a_trade(2))
    revised = [r for r in stream.tick(9) if r.rev]
    stream.hear(a_trade(11), a_trade(12))
    (bar,) = bars(stream.tick(20))

    assert [r.values["trades"] for r in revised] == [2]
    assert (bar.values["trades"], bar.sources["binance"].late) == (3, 1)
    assert bar.rev == 0


def test_the_end_sends_the_bar_that_is_filling_as_partial():
    """
    Once; a bar without an event is not sent.
    """
    stream = Stream(symbols=(BTC, ETH), bars=(TICKS_3,))
    stream.hear(a_trade(1), a_trade(2))
    last = bars(stream.finish(4))

    assert [(r.symbol, r.partial, r.values["trades"]) for r in last] == [(BTC, True, 2)]


def test_a_trade_that_would_fill_endless_bars_is_bounded_and_told():
    """
    It fills so many; the last holds what is left, and nothing of it is lost.
    """
    stream = Stream(bars=(VOL_10,))
    stream.hear(a_trade(1, size=1e12))
    filled = bars(stream.tick(8))

    assert len(filled) == MAX_SPLIT
    assert volumes(filled)[:-1] == [10.0] * (MAX_SPLIT - 1)
    assert math.fsum(volumes(filled)) == 1e12
    assert notices(filled[-1]) == ["bar_overfull"]


def test_each_symbol_fills_its_own_bars():
    """
    One symbol's trades don't count in another's, and each counts its own bars.
    """
    stream = Stream(symbols=(BTC, ETH), bars=(TICKS_3,))
    stream.hear(*(a_trade(0.1 * n, symbol=BTC if n % 2 else ETH) for n in range(12)))
    filled = bars(stream.tick(10))

    assert {(r.symbol, r.bar.number) for r in filled} == {(BTC, 0), (BTC, 1), (ETH, 0), (ETH, 1)}


@st.composite
def trades(draw):
    """Trades of a few seconds at unlike times, with an order of arrival that none is late in."""
    times = draw(st.lists(st.integers(0, 8000), min_size=1, max_size=40, unique=True))
    sizes = st.integers(0, 400).map(lambda n: n / 8)
    made = [
        a_trade(ms / 1000, draw(st.integers(1, 500)) / 4, draw(sizes), seq=n)
        for n, ms in enumerate(sorted(times))
    ]
    return made, draw(st.permutations(made))


SIZES = (
    TICKS_3, BarPlan("1ticks", "ticks", 1.0), VOL_10, BarPlan("0.125vol", "volume", 0.125),
    VALUE_1000,
)  # fmt: skip


def filled_by(events, *sizes, batch=1, seconds=(1,)):
    """All bars of a stream that hears events in an order in which none of them is late."""
    source = a_source(lateness_ns=100 * SECOND, idle_ns=100 * SECOND)
    stream = Stream(source, bars=sizes, seconds=seconds)
    for at in range(0, len(events), batch):
        stream.hear(*events[at : at + batch])
    stream.finish(10)
    return bars(stream.seen)


@given(trades(), st.sampled_from(SIZES), st.sampled_from([1, 7, 512]))
def test_bars_are_the_same_whatever_order_trades_come_in(made, size, batch):
    """
    They are filled in the order of time, across panes, whatever the batches.
    """
    in_order, shuffled = made
    expected = filled_by(in_order, size, batch=512, seconds=(100,))

    said = [(r.bar.number, r.window_start_ns, r.window_end_ns, r.partial) for r in expected]
    for other in (filled_by(in_order, size), filled_by(list(shuffled), size, batch=batch)):
        assert [
            (r.bar.number, r.window_start_ns, r.window_end_ns, r.partial) for r in other
        ] == said
        for a, b in zip(expected, other, strict=True):
            assert a.values.keys() == b.values.keys()
            for name, value in a.values.items():
                expected_value = None if value is None else pytest.approx(value, rel=1e-9)
                assert b.values[name] == expected_value, name


@given(trades(), st.sampled_from(SIZES))
def test_bars_hold_exactly_their_size_and_lose_nothing(made, size):
    """
    Every bar but the last is full; sums, and the highest and lowest price, are those of all.
    """
    in_order, _ = made
    filled = filled_by(in_order, size)
    weigh = {
        "ticks": lambda r: r.values["trades"],
        "volume": lambda r: r.values["volume_sum"],
        "value": lambda r: (r.values["vwap"] or 0) * r.values["volume_sum"],
    }[size.measure]

    full = [r for r in filled if not r.partial]
    split_to_the_end = [r for r in full if "bar_overfull" in notices(r)]
    for record in full:
        if record not in split_to_the_end:
            assert weigh(record) == pytest.approx(size.size)
    assert sum(r.partial for r in filled) <= 1
    total = math.fsum(trade.size for trade in in_order)
    assert math.fsum(volumes(filled)) == pytest.approx(total)
    assert max(r.values["price_high"] for r in filled) == max(t.price for t in in_order)
    assert [r.bar.number for r in filled] == list(range(len(filled)))
    for one, two in itertools.pairwise(filled):
        assert one.window_start_ns <= one.window_end_ns == two.window_start_ns
    if size.measure == "ticks":
        assert sum(r.values["trades"] for r in filled) == len(in_order)
        closes = [t.price for t in in_order][int(size.size) - 1 :: int(size.size)]
        assert [r.values["price_close"] for r in full] == closes


@pytest.mark.parametrize("seconds", [(1,), (5,), (5, 10)])
@pytest.mark.parametrize("late", ["drop", "update"])
def test_bars_do_not_change_the_windows_of_time(seconds, late):
    """
    The same stream without bars has the same windows, however often bars are filled.
    """
    events = [a_trade(0.3 * n, 100 + n, 3.0) for n in range(40)]
    policy = {"late": late, "corrections_ns": 30 * SECOND, "seconds": seconds, "start": 0.7}
    with_bars = Stream(bars=(VOL_10, TICKS_3), release_ns=SECOND // 2, **policy)
    without = Stream(**policy)
    for stream in (with_bars, without):
        stream.hear(*(attrs.evolve(event) for event in events))
        stream.tick(60)
        stream.hear(a_trade(61))
        stream.finish(62)

    timed = [r for r in with_bars.seen if r.bar is None]
    assert timed == without.seen


def test_bars_come_while_a_long_window_is_open():
    """
    They are filled as often as said, not only when the smallest timeframe closes.
    """
    stream = Stream(seconds=(60,), bars=(TICKS_3,), release_ns=SECOND)
    stream.hear(*(a_trade(at) for at in (0.1, 0.2, 0.3, 2)))

    assert [r.bar.number for r in stream.seen] == [0]
