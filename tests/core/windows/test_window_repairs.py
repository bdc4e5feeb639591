"""Windows of which more is known than was sent, because what a source missed was fetched."""

from __future__ import annotations

import pytest

from bond_core.model.record import Repaired
from tests.core.windows.streams import BTC, ETH, SECOND, Stream, a_trade, notices, ns, start_of

UPDATE = {"late": "update", "corrections_ns": 60 * SECOND}


def outage(stream, from_s, to_s):
    """A source is away for a while, and the clock goes on to two windows later."""
    stream.engine.on_status("binance", BTC, "reconnecting", ns(from_s))
    stream.engine.on_status("binance", BTC, "live", ns(to_s))
    return stream.tick(to_s + 12)


def repair(stream, from_s, until_s, *events, missing=None, at=None):
    """What it missed is fetched; returns what is sent with the next tick."""
    gap = None if missing is None else (ns(missing[0]), ns(missing[1]))
    told = Repaired(from_ns=ns(from_s), until_ns=ns(until_s), events=len(events), detail="fetched",
                    missing=gap)  # fmt: skip
    stream.engine.on_repaired("binance", BTC, told)
    stream.engine.on_events("binance", events)
    return stream.tick(at or until_s + 12.5)


def report(record):
    """What a record says of its source."""
    source = record.sources["binance"]
    return start_of(record), record.rev, source.coverage, source.count, len(source.repaired)


def test_a_repaired_window_is_heard_in_whole():
    """Its revision has the events, and coverage that says so; the next record tells of it, too."""
    stream = Stream(**UPDATE)
    stream.hear(a_trade(1))
    first, second, *_ = outage(stream, 6, 9)
    assert (first.values["trades"], report(second)) == (1, (5, 0, 0.4, 0, 0))

    (revised,) = repair(stream, 6, 9, a_trade(7), a_trade(8))
    following, *_ = stream.tick(31)

    assert report(revised) == (5, 1, 1.0, 2, 1)
    assert revised.values["trades"] == 2
    assert notices(revised) == ["revised"]
    assert report(following)[-1] == 1
    assert notices(following) == ["repaired"]


def test_a_window_that_was_silent_is_said_to_have_been():
    """Null was unknown; 0 is known, and has a rev of its own. What was known is not sent again."""
    stream = Stream(**UPDATE)
    stream.hear(a_trade(1))
    records = outage(stream, 4, 16)
    assert [record.values["trades"] for record in records[:3]] == [1, None, None]

    revised = repair(stream, 4, 16)

    assert [report(r) for r in revised] == [
        (0, 1, 1.0, 1, 1),
        (5, 1, 1.0, 0, 1),
        (10, 1, 1.0, 0, 1),
        (15, 1, 1.0, 0, 1),
    ]
    assert [r.values["trades"] for r in revised] == [1, 0, 0, 0]
    assert repair(stream, 4, 16, at=30) == []


def test_what_is_still_missing_is_not_heard():
    """Coverage grows by what was fetched, and a gap says what wasn't."""
    stream = Stream(**UPDATE)
    stream.hear(a_trade(1))
    outage(stream, 5, 15)

    revised = repair(stream, 5, 15, a_trade(12), missing=(5, 11))
    (following,) = stream.tick(36)

    assert [report(r) for r in revised] == [(10, 1, 0.8, 1, 1)]
    (notice,) = following.notices
    assert (notice.code, notice.from_ns, notice.to_ns) == ("gap", ns(5), ns(11))
    assert following.sources["binance"].gaps == 0  # it was counted when it was noticed


def test_only_the_symbol_that_was_repaired_is_sent_again():
    """The others heard nothing new."""
    stream = Stream(symbols=(BTC, ETH), **UPDATE)
    stream.hear(a_trade(1), a_trade(1, symbol=ETH))
    outage(stream, 6, 9)

    revised = repair(stream, 6, 9, a_trade(7))

    assert [(r.symbol, r.rev) for r in revised] == [(BTC, 1)]


@pytest.mark.parametrize("late", ["drop", "side"])
def test_without_corrections_only_what_is_open_gets_it(late):
    """What was sent stays; its events are late. An open window is whole, and covered."""
    stream = Stream(seconds=(5, 60), late=late)
    stream.hear(a_trade(1))
    outage(stream, 6, 9)

    sent = repair(stream, 6, 24, a_trade(7), a_trade(22), at=26)
    minute = [r for r in stream.tick(63) if r.timeframe_ns == 60 * SECOND]

    assert all(record.rev == 0 for record in [*sent, *stream.seen])
    assert stream.engine.totals["binance"].late == 1
    (record,) = minute
    assert record.values["trades"] == 2
    assert record.sources["binance"].coverage == 1.0
    assert len(record.sources["binance"].repaired) == 1


def test_windows_that_overlap_are_all_sent_again():
    """Each that holds a fetched event, with it."""
    stream = Stream(seconds=(10,), slide_ns=5 * SECOND, **UPDATE)
    stream.hear(a_trade(1), a_trade(11))
    outage(stream, 6, 9)

    revised = repair(stream, 6, 9, a_trade(7))

    assert [(start_of(r), r.values["trades"]) for r in revised] == [(0, 2), (5, 2)]
    assert all(r.sources["binance"].coverage == 1.0 for r in revised)
