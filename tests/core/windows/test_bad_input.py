"""What makes no sense is refused at the edge or counted, and no window is wrong for it."""

import math

import pytest

from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import Channel
from bond_core.runtime.feed import Feed
from bond_core.runtime.ingest import WRONG_UNIT
from bond_core.windows.checkpoint.dump import dumped
from tests.core.windows.streams import BTC, SECOND, Stream, a_trade, ns, start_of

HEARD = ns(6)
"""When everything here is heard."""


class Heard:
    """A listener that hands on to an engine, and keeps why something was refused."""

    def __init__(self, stream):
        self.engine = stream.engine
        self.reasons = {}

    def on_events(self, symbol, events):
        self.engine.on_events("binance", events)

    def on_status(self, symbol, status, at_ns, reason):
        self.engine.on_status("binance", symbol, status, at_ns, reason)

    def on_duplicates(self, symbol, n):
        self.engine.on_duplicates("binance", symbol, n)

    def on_rejected(self, symbol, n, why):
        self.reasons[why] = self.reasons.get(why, 0) + n
        self.engine.on_rejected("binance", symbol, n, "wrong_unit" if why in WRONG_UNIT else "")

    def on_clamped(self, symbol, n):
        self.engine.on_clamped("binance", symbol, n)


def a_feed(future="reject", **policy):
    """A stream, its feed, and who listens in between."""
    stream = Stream(**policy)
    channel = Channel(name="trades", kind="trade", fields=("trades",))
    feed = Feed(Subscription("trades", BTC), channel, at_ns=ns(0), future=future)
    feed.turn("live", ns(0))
    listener = Heard(stream)
    feed.attach(listener, None)
    return stream, feed, listener


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"price": math.nan}, "price"),
        ({"price": math.inf}, "price"),
        ({"price": 0.0}, "price"),
        ({"size": math.nan}, "size"),
        ({"size": math.inf}, "size"),
        ({"size": -1.0}, "size"),
        ({"ts": HEARD + 3600 * SECOND}, "future"),
    ],
)
def test_nonsense_is_refused_with_its_reason_and_the_window_is_right(bad, why):
    """The good trade beside it is counted; the bad one is told, and no window closes for it."""
    stream, feed, listener = a_feed()
    nonsense = a_trade(2, recv_ts=HEARD)
    for name, value in bad.items():
        setattr(nonsense, name, value)
    feed.hear([a_trade(1, price=7.0, recv_ts=HEARD), nonsense], HEARD)
    assert stream.take() == []

    feed.hear([a_trade(5.5, recv_ts=HEARD)], HEARD)
    (record,) = stream.take()

    ((reason, n),) = listener.reasons.items()
    assert why in reason
    assert n == record.sources["binance"].rejected == 1
    assert (record.values["trades"], record.values["price_high"]) == (1, 7.0)


@pytest.mark.parametrize("ts", [-1, -3600 * SECOND, HEARD - 300 * 86_400 * SECOND], ids=str)
def test_a_time_long_past_is_late_and_counted(ts):
    """Before 1970, or of last year: never in a window, never lost from the count."""
    stream, feed, _ = a_feed()
    feed.hear([a_trade(1, recv_ts=HEARD), a_trade(5.5, recv_ts=HEARD)], HEARD)
    (first,) = stream.take()
    odd = a_trade(2, recv_ts=HEARD)
    odd.ts = ts
    feed.hear([odd], HEARD)
    feed.hear([a_trade(10.5, recv_ts=ns(11))], ns(11))
    (second,) = stream.take()

    totals = stream.engine.totals["binance"]
    assert (totals.counted, totals.late, totals.events) == (3, 1, 4)
    assert (first.values["trades"], second.sources["binance"].late) == (1, 1)


@pytest.mark.parametrize(
    ("ts", "why"),
    [
        (HEARD // SECOND, "in seconds, not in nanoseconds"),
        (HEARD // 1_000_000, "in milliseconds, not in nanoseconds"),
        (HEARD // 1_000 - 86_400_000_000, "in microseconds, not in nanoseconds"),
        (-HEARD // 1_000, "in microseconds, not in nanoseconds"),
        (HEARD * 1_000, "1000 times too large"),
        (HEARD * 1_000_000 + 3_600, "1000000 times too large"),
        (HEARD * SECOND, "1000000000 times too large"),
    ],
)
@pytest.mark.parametrize("future", ["reject", "clamp"])
def test_a_time_in_the_wrong_unit_is_refused_and_named(ts, why, future):
    """Seconds for nanoseconds, or milliseconds for seconds: it is the connector's mistake."""
    stream, feed, listener = a_feed(future)
    odd = a_trade(2, recv_ts=HEARD)
    odd.ts = ts
    feed.hear([a_trade(1, recv_ts=HEARD), odd], HEARD)
    feed.hear([a_trade(5.5, recv_ts=HEARD)], HEARD)

    (record,) = stream.take()
    ((reason, n),) = listener.reasons.items()
    totals = stream.engine.totals["binance"]
    assert why in reason
    assert (n, totals.wrong_unit, totals.rejected, totals.late) == (1, 1, 1, 0)
    assert (record.values["trades"], record.sources["binance"].rejected) == (1, 1)


def test_a_time_of_more_than_64_bits_is_refused():
    """Whatever it was meant to be, nothing else could hold it."""
    _, feed, listener = a_feed()
    odd = a_trade(2, recv_ts=HEARD)
    odd.ts = -(10**30)

    feed.hear([odd], HEARD)

    assert list(listener.reasons) == ["its time has more than 64 bits"]


def test_case_21_clamped_an_event_of_the_future_counts_when_it_was_heard():
    """No window closes for it; it is in the one of its receipt, and counted as clamped."""
    stream, feed, listener = a_feed("clamp")
    feed.hear([a_trade(5.1, price=1.0, recv_ts=HEARD)], HEARD)
    feed.hear([a_trade(3600, price=9.0, recv_ts=HEARD)], HEARD)
    feed.hear([a_trade(3600, price=math.nan, recv_ts=HEARD)], HEARD)
    assert [start_of(record) for record in stream.take()] == [0]

    feed.hear([a_trade(10.5, recv_ts=ns(11))], ns(11))
    (record,) = stream.take()

    totals = stream.engine.totals["binance"]
    assert (start_of(record), record.values["trades"], record.values["price_close"]) == (5, 2, 9.0)
    assert (totals.clamped, totals.rejected, totals.counted, totals.late) == (1, 1, 3, 0)
    assert [why for why in listener.reasons if "price" not in why] == []


def test_a_regressing_clock_of_a_source_takes_no_time_back():
    """Its watermark stays, and its older events are late, each counted."""
    stream, feed, _ = a_feed()
    for second in (1, 5.5, 4, 3, 2, 1):
        feed.hear([a_trade(second, recv_ts=HEARD)], HEARD)
    watermark_ns = stream.engine.watermark_ns
    feed.hear([a_trade(0.5, recv_ts=HEARD)], HEARD)

    assert stream.engine.watermark_ns == watermark_ns
    assert [r.values["trades"] for r in stream.take()] == [1]
    assert stream.engine.totals["binance"].late == 5


def test_a_flood_of_the_future_is_refused_and_opens_nothing():
    """Ten thousand trades from an hour ahead leave as many panes open as one good trade."""
    stream, feed, listener = a_feed()
    feed.hear([a_trade(1, recv_ts=HEARD)], HEARD)
    (windows,) = stream.engine._stream.open_windows.values()
    before = len(windows.open)
    feed.hear([a_trade(3600 + n, recv_ts=HEARD) for n in range(10_000)], HEARD)

    assert sum(listener.reasons.values()) == 10_000
    assert len(windows.open) == before
    assert stream.engine.totals["binance"].events == 10_001


def test_case_20_a_trade_that_is_repeated_counts_once_and_one_without_id_each_time():
    """A snapshot after a reconnect is harmless where trades have ids; elsewhere nobody can know."""
    stream, feed, _ = a_feed()
    known = [a_trade(n, size=2.0, id=f"t{n}", recv_ts=HEARD) for n in (1, 2, 3)]
    feed.hear(known, HEARD)
    feed.hear([a_trade(2, size=2.0, id="t2", recv_ts=HEARD)], HEARD)
    feed.hear([a_trade(4, size=5.0, recv_ts=HEARD), a_trade(4, size=5.0, recv_ts=HEARD)], HEARD)
    feed.hear([a_trade(5.5, recv_ts=HEARD)], HEARD)

    (record,) = stream.take()
    assert (record.values["trades"], record.values["volume_sum"]) == (5, 3 * 2.0 + 2 * 5.0)
    assert record.sources["binance"].duplicates == 1


def test_case_25_a_nan_is_rejected_and_touches_no_field():
    """The record is that of the good trades alone, but for the number rejected."""
    records = []
    for nonsense in ([], [a_trade(2, math.nan, recv_ts=HEARD)]):
        stream, feed, _ = a_feed()
        feed.hear([a_trade(1, 7.0, 0.0, recv_ts=HEARD), *nonsense], HEARD)
        feed.hear([a_trade(5.5, recv_ts=HEARD)], HEARD)
        records += stream.take()

    without, with_nan = records
    assert with_nan.values == without.values
    assert (with_nan.values["vwap"], with_nan.values["trades"]) == (None, 1)
    assert [r.sources["binance"].rejected for r in records] == [0, 1]


def far(n, ts):
    """A trade with a time of its own."""
    trade = a_trade(0, id=str(n), recv_ts=HEARD)
    trade.ts = ts
    return trade


FLOODS = {
    "an hour ahead": lambda n: far(n, HEARD + 3600 * SECOND + n),
    "ever further ahead": lambda n: far(n, HEARD + n * n * SECOND),
    "ancient": lambda n: far(n, HEARD - (n + 1) * 1000 * SECOND),
    "before 1970": lambda n: far(n, -n * SECOND),
    "in milliseconds": lambda n: far(n, HEARD // 1_000_000 + n),
    "a clock that runs backwards": lambda n: far(n, HEARD - n * SECOND // 50),
    "scattered": lambda n: far(n, HEARD + (n * 7919 % 60 - 55) * SECOND),
    "no number": lambda n: a_trade(1, math.nan, id=str(n), recv_ts=HEARD),
    "infinite": lambda n: a_trade(1, math.inf, id=str(n), recv_ts=HEARD),
    "of negative size": lambda n: a_trade(1, size=-1.0, id=str(n), recv_ts=HEARD),
    "for nothing": lambda n: a_trade(1, 0.0, id=str(n), recv_ts=HEARD),
    "of contracts": lambda n: a_trade(1, size_unit=f"unit {n}", id=str(n), recv_ts=HEARD),
    "of nobody's symbol": lambda n: a_trade(1, symbol=f"S{n}/USDT", id=str(n), recv_ts=HEARD),
}


@pytest.mark.parametrize("late", ["drop", "update"])
@pytest.mark.parametrize("future", ["reject", "clamp"])
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_leaves_no_more_than_its_first_drops(flood, future, late):
    """
    All that a stream knows, as its snapshot says it, is as long after 6,000 bad trades as after
    600, but for a few digits; and each of them is counted.
    """
    stream, feed, _ = a_feed(future, late=late, corrections_ns=20 * SECOND)
    feed.hear([a_trade(1, recv_ts=HEARD)], HEARD)

    def known_after(*numbers):
        for n in numbers:
            feed.hear([FLOODS[flood](n)], HEARD)
            stream.engine.on_tick(HEARD)
            stream.take()
        return sum(map(len, dumped(stream.engine)))

    first = known_after(*range(600))

    assert known_after(*range(600, 6000)) <= first * 1.05 + 1000
    assert stream.engine.totals["binance"].events == 6001
