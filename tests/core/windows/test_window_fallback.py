"""Sources that step in and leave while a stream runs, and streams that wait for none."""

from tests.core.windows.streams import (
    BTC,
    SECOND,
    TWEETS,
    Stream,
    a_post,
    a_source,
    a_trade,
    counts,
    ns,
    start_of,
)


def test_a_fallback_steps_in_and_leaves():
    """It is waited for and reported on while it serves, and told of once more after it left."""
    stream = Stream()
    stream.hear(a_trade(1))
    stream.engine.add_source(a_source("bybit"), ns(2))
    stream.engine.on_status("bybit", None, "live", ns(2))
    stream.hear(a_trade(3), source="bybit")
    (first,) = stream.tick(7)
    stream.hear(a_trade(6), source="bybit")
    stream.engine.remove_source("bybit", ns(6.5))
    (second,) = stream.tick(12)
    stream.hear(a_trade(11), source="bybit")
    (third,) = stream.tick(17)

    assert list(first.sources) == ["binance", "bybit"]
    assert first.served == ("binance", "bybit")
    assert first.sources["bybit"].coverage == 0.6
    assert (second.sources["bybit"].count, second.sources["bybit"].coverage) == (1, 0.3)
    assert list(third.sources) == ["binance"]
    assert stream.engine.totals["bybit"].unrouted == 1
    assert stream.engine._stream.sources == [stream.engine._sources["binance"]]


def test_a_fallback_may_come_back():
    """It keeps its totals, and is in the records of windows that close while it is there."""
    stream = Stream()
    for at in (1, 21):
        stream.engine.add_source(a_source("bybit"), ns(at))
        stream.hear(a_trade(at), source="bybit")
        stream.engine.remove_source("bybit", ns(at + 1))
        stream.tick(at + 19)

    told = counts([r for r in stream.seen if "bybit" in r.sources], "bybit")
    assert told == {0: 1, 15: None, 20: 1}
    assert stream.engine.totals["bybit"].counted == 2


def test_what_a_source_brought_ahead_of_time_stays_when_it_leaves():
    """Its clock was ahead: the window it is in closes long after, and has it."""
    stream = Stream()
    stream.engine.add_source(a_source("bybit"), ns(1))
    stream.hear(a_trade(12), source="bybit")
    stream.engine.remove_source("bybit", ns(2))

    records = stream.tick(17)

    assert [r.values["trades"] for r in records] == [0, 0, 1]
    assert records[-1].served == ("bybit",)


def test_a_source_that_leaves_holds_nothing_back():
    """What it was waited for closes at once."""
    stream = Stream(a_source("binance"), a_source("okx"))
    stream.hear(a_trade(1), a_trade(6))

    stream.engine.remove_source("okx", ns(6))

    assert [start_of(r) for r in stream.take()] == [0]


def test_without_a_source_that_gates_the_clock_closes_windows():
    """Once the slowest source had its lateness."""
    posts = a_source("x", "post", gates=False, lateness_ns=SECOND, routes={"BTC": (BTC,)})
    stream = Stream(posts, fields=TWEETS)
    stream.hear(a_post(1), a_post(30), source="x")

    assert stream.tick(5.99) == []
    assert [r.values["tweets"] for r in stream.tick(6)] == [1]


def test_a_source_that_failed_holds_nothing_back():
    """The others' records leave as soon as without it; once it is asked anew it is waited for."""
    stream = Stream(a_source("binance"), a_source("okx"))
    stream.engine.on_status("binance", None, "failed", ns(1), "no")
    stream.hear(a_trade(5.2), source="okx")
    stream.tick(5.3)
    assert stream.seen == []

    assert [start_of(r) for r in stream.hear(a_trade(5.6), source="okx")] == [0]

    stream.engine.on_status("binance", None, "starting", ns(6))
    assert stream.hear(a_trade(11), source="okx") == []
    assert [start_of(r) for r in stream.tick(12)] == [5]


def test_where_every_source_failed_records_come_all_the_same():
    """The clock closes windows as if they were silent."""
    stream = Stream(a_source("binance"), a_source("okx"))
    for name in ("binance", "okx"):
        stream.engine.on_status(name, None, "failed", ns(0), "no")

    (record,) = stream.tick(7)

    assert (start_of(record), record.values["trades"]) == (0, None)
