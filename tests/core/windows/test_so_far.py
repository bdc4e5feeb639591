"""A window that isn't closed yet, as of now: what it would say if nothing more came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.windows.so_far import so_far
from tests.core.windows.streams import (
    BTC,
    ETH,
    MARKET,
    QUOTES,
    SECOND,
    Stream,
    a_quote,
    a_source,
    a_trade,
    ns,
)
from tests.core.windows.test_window_properties import a_stream, events

FRAMES = (1, 5, 15)


def look(stream, now_ns):
    """Return what is so far in the newest windows, by symbol and length in seconds."""
    return {
        (symbol, seconds): so_far(stream.engine, symbol, frame, now_ns)
        for symbol in (BTC, ETH)
        for frame, seconds in enumerate(FRAMES)
    }


@given(events(delay=2.0, sources=("binance", "okx")), st.integers(1, 40))
def test_it_is_what_the_record_says_if_nothing_more_comes(heard, stop):
    """Field by field, the unknown ones too; and looking changes no record."""
    looked, other = (a_stream("binance", "okx", seconds=FRAMES) for _ in range(2))
    now_ns = ns(0)
    for one in heard[:stop]:
        now_ns = max(now_ns, one.trade.ts)
        for stream in (looked, other):
            stream.hear(one.trade, source=one.source)
        look(looked, now_ns)
    seen = look(looked, now_ns)
    for stream in (looked, other):
        stream.finish((now_ns - ns(0)) / SECOND + 0.001)

    assert looked.seen == other.seen
    for (symbol, seconds), found in seen.items():
        records = {
            r.window_start_ns: r
            for r in looked.seen
            if (r.symbol, r.timeframe_ns) == (symbol, seconds * SECOND)
        }
        start_ns = now_ns - now_ns % (seconds * SECOND)
        record = records.get(start_ns)
        if found is None:
            assert record is None or not record.values["trades"]
        else:
            assert (found.start_ns, found.end_ns) == (start_ns, record.window_end_ns)
            assert found.values == record.values


def test_kinds_stand_side_by_side():
    """Fields of trades and of quotes, each of its own events; of neither, there is no window."""
    sources = [a_source("binance"), a_source("book", kind="quote")]
    stream = Stream(*sources, fields=MARKET | QUOTES)
    empty = so_far(stream.engine, BTC, 0, ns(1))
    stream.hear(a_trade(1, 100.0, 2.0))
    stream.hear(a_quote(1, 99.0, 101.0), source="book")

    found = so_far(stream.engine, BTC, 0, ns(2))

    assert empty is None
    assert (found.values["volume_sum"], found.values["bid_avg"]) == (2.0, 99.0)


def test_it_is_the_newest_window():
    """One that the clock has begun, or a trade that came early; one that is over is not it."""
    stream = Stream(seconds=(5, 10))
    stream.hear(a_trade(4, 100.0))

    def start(frame, now):
        found = so_far(stream.engine, BTC, frame, ns(now))
        return None if found is None else (found.start_ns - ns(0)) // SECOND

    assert [start(0, 4.9), start(0, 5.1), start(1, 5.1)] == [0, None, 0]
    stream.hear(a_trade(6))
    assert [start(0, 4.9), start(1, 4.9), start(1, 10.1)] == [5, 0, None]
    stream.tick(12)
    assert [start(0, 4.9), start(1, 4.9), start(1, 9.0)] == [None, None, None]


@pytest.mark.parametrize("plan", [{"slide_ns": SECOND}, {"late": "update"}])
def test_windows_that_overlap_or_are_sent_again_are_refused(plan):
    """Their panes are kept otherwise: what is open alone would be too little."""
    stream = Stream(seconds=(5,), **plan)
    with pytest.raises(ValueError, match="can't be looked into"):
        so_far(stream.engine, BTC, 0, ns(1))
