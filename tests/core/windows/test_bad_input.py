"""What makes no sense is refused at the edge or counted, and no window is wrong for it."""

import math

import pytest

from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import Channel
from bond_core.runtime.feed import Feed
from tests.core.windows.streams import BTC, SECOND, Stream, a_trade, ns

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
        self.engine.on_rejected("binance", symbol, n)


def a_feed():
    """A stream, its feed, and who listens in between."""
    stream = Stream()
    channel = Channel(name="trades", kind="trade", fields=("trades",))
    feed = Feed(Subscription("trades", BTC), channel, at_ns=ns(0))
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


@pytest.mark.parametrize("ts", [-1, -3600 * SECOND, HEARD // 1_000_000, HEARD // SECOND], ids=str)
def test_a_time_long_past_or_in_the_wrong_unit_is_late_and_counted(ts):
    """Before 1970, or ms or s where ns are meant: never in a window, never lost from the count."""
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
