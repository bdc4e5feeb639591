"""Whatever comes, and however odd it is: each event is told as what became of it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.core.windows.streams import SECOND, a_trade, ns
from tests.core.windows.test_bad_input import a_feed

WHAT = ("good", "good", "good", "repeated", "nan", "future", "milliseconds", "nobody's")


def an_event(what, number, at, size):
    """An event of a sort, heard some seconds after the start."""
    now_ns = ns(at)
    trade = a_trade(at - (number % 4) * 0.4, size=size, id=str(number), recv_ts=now_ns)
    match what:
        case "repeated":
            trade.id = "0"
        case "nan":
            trade.price = math.nan
        case "future":
            trade.ts = now_ns + 60 * SECOND
        case "milliseconds":
            trade.ts = now_ns // 1_000_000
        case "nobody's":
            trade.symbol = "XYZ/USDT"
    return trade


some = st.lists(
    st.tuples(st.sampled_from(WHAT), st.integers(0, 40), st.integers(1, 400)), max_size=60
)


@given(some, st.sampled_from(["reject", "clamp"]), st.sampled_from(["drop", "update"]))
def test_p2_each_event_is_counted_once_as_what_became_of_it(told, future, late):
    """Counted, late, repeated, rejected or nobody's: together all, and so is the volume."""
    stream, feed, _ = a_feed(future, late=late, corrections_ns=5 * SECOND)
    totals = stream.engine.totals["binance"]
    volume = 0.0
    feed.hear([a_trade(0, size=1.0, id="0", recv_ts=ns(0))], ns(0))
    volume += 1.0
    for number, (what, tenths, eighths) in enumerate(sorted(told, key=lambda one: one[1]), start=1):
        size, before = eighths / 8, totals.counted
        feed.hear([an_event(what, number, tenths / 2, size)], ns(tenths / 2))
        stream.tick(tenths / 2)
        volume += size * (totals.counted - before)
    feed.hear([a_trade(30, size=2.0, id="last", recv_ts=ns(30))], ns(30))
    stream.finish(31)

    last = {record.window_start_ns: record for record in stream.seen}
    reports = [record.sources["binance"] for record in stream.seen]
    assert totals.events == len(told) + 2
    assert sum(r.sources["binance"].count or 0 for r in last.values()) == totals.counted
    assert [sum(getattr(r, what) for r in reports) for what in ("late", "duplicates", "rejected")] \
        == [totals.late, totals.duplicates, totals.rejected]  # fmt: skip
    summed = math.fsum(record.values["volume_sum"] or 0.0 for record in last.values())
    assert math.isclose(summed, volume + 2.0, rel_tol=1e-9)
