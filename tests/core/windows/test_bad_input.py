"""What makes no sense is refused at the edge or counted, and no window is wrong for it."""

import math

import pytest

from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import Channel
from bond_core.runtime.feed import Feed
from bond_core.runtime.ingest import WRONG_UNIT
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


def a_feed(future="reject"):
    """A stream, its feed, and who listens in between."""
    stream = Stream()
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
