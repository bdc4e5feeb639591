"""The source edge: what is stamped, what is refused, and what was heard before."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.model.event import (
    Candle,
    Chain,
    Custom,
    Funding,
    Liquidation,
    OpenInterest,
    OrderBook,
    Post,
    Quote,
    Trend,
)
from bond_core.runtime.ingest import MAX_FUTURE_NS, SeenIds, fault_of, stamp
from bond_core.testing.builders import START_NS, a_quote, a_trade

NAN, INF = float("nan"), float("inf")
AT = {"symbol": "BTC", "ts": START_NS, "recv_ts": START_NS}
BAR = {"length_ns": 1, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 0}


def fault(event):
    """Return why an event is refused, once it is stamped."""
    stamp(event, START_NS, by_receipt=False)
    return fault_of(event)


@pytest.mark.parametrize(
    "event",
    [
        a_trade(), a_trade(size=0, price=1), a_trade(ts=START_NS + MAX_FUTURE_NS), a_trade(ts=0),
        a_quote(), a_quote(bid=None, ask=None, last=1.0), a_quote(bid_size=0.0, ask_size=None),
        OrderBook(**AT, bids=((1.0, 2.0),), asks=()), OrderBook(**AT, bids=(), asks=()),
        OrderBook(**AT, bids=((2, 0.0), (1.0, 2)), asks=((2.5, 1.0), (3, 1))),
        Funding(**AT, mark_price=1.0), Candle(**AT, **BAR), Post(**AT, text=""),
        Liquidation(**AT, price=1.0, size=2.0), Funding(**AT, rate=-0.01),
        Trend(**AT, keyword="x", value=0), OpenInterest(**AT, amount=None, value=0.0),
        Chain(**AT, chain="sol", type="tx", amount=-1.0),
        Custom(**AT, values={"x": NAN}),
    ],
)  # fmt: skip
def test_what_makes_sense_passes(event):
    """Every kind of event, at the edges of what is allowed."""
    assert fault(event) is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (a_trade(price=NAN), "its price"), (a_trade(price=INF), "its price"),
        (a_trade(price=0.0), "its price"), (a_trade(price=-1.0), "its price"),
        (a_trade(price="1"), "its price"),
        (a_trade(price=Decimal(1)), "its price"), (a_trade(size=NAN), "its size"),
        (a_trade(size=-1.0), "its size"), (a_trade(size=INF), "its size"),
        (a_trade(size=None), "its size"), (a_trade(ts=1.5), "whole number"),
        (a_trade(ts=None), "whole number"), (a_trade(ts=True), "whole number"),
        (a_trade(ts=START_NS + MAX_FUTURE_NS + 1), "the future"),
        (a_trade(recv_ts="x"), "whole number"), (a_trade(id=7), "its id"),
        (a_trade(id=[]), "its id"),
        (Quote("BTC", START_NS), "neither bid, ask nor last"),
        (a_quote(bid=NAN), "its bid"), (a_quote(ask=-1.0), "its ask"),
        (a_quote(last="1"), "its last"),
        (a_quote(bid_size=NAN), "its bid_size"), (a_quote(ask_size=-1.0), "its ask_size"),
        (OrderBook(**AT, bids=((NAN, 1.0),), asks=()), "a level"),
        (OrderBook(**AT, bids=((1.0, -1.0),), asks=()), "a level"),
        (OrderBook(**AT, bids=(), asks=((1.0, INF),)), "a level"),
        (OrderBook(**AT, bids=(("1", "2"),), asks=()), "a level"),
        (OrderBook(**AT, bids=((1.0, 2.0, 3.0),), asks=()), "a level"),
        (OrderBook(**AT, bids=None, asks=()), "a level"),
        (OrderBook(**AT, bids=((1.0, 1.0), (2.0, 1.0)), asks=()), "not in order"),
        (OrderBook(**AT, bids=(), asks=((2.0, 1.0), (2.0, 1.0))), "not in order"),
        (OrderBook(**AT, bids=((2.0, 1.0),), asks=((2.0, 1.0),)), "not below its best ask"),
        (Candle(**AT, **{**BAR, "high": NAN}), "its high"),
        (Candle(**AT, **{**BAR, "volume": -1.0}), "its volume"),
        (Candle(**AT, **{**BAR, "open": None}), "it lacks a price"),
        (Candle(**AT, **{**BAR, "close": 2}), "outside of its low and high"),
        (Candle(**AT, **{**BAR, "length_ns": 0}), "its length"),
        (Funding(**AT), "neither rate nor mark price"), (Funding(**AT, mark_price=0), "its mark"),
        (OpenInterest(**AT), "neither amount nor value"),
        (Liquidation(**AT, price=NAN, size=1.0), "its price"),
        (Liquidation(**AT, price=None, size=1.0), "its price"),
        (Funding(**AT, rate=NAN), "its rate"), (OpenInterest(**AT, amount=-1.0), "its amount"),
        (Trend(**AT, keyword="x", value=INF), "its value"),
        (Chain(**AT, chain="sol", type="tx", amount=NAN), "its amount"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_reason(event, reason):
    """Numbers that are none, not finite or out of range, times in the future, odd ids."""
    assert reason in fault(event)


def test_the_same_fault_has_the_same_reason():
    """The reason names no value, so that a thousand odd prices are one line."""
    assert len({fault(a_trade(price=-float(price))) for price in range(1, 100)}) == 1


def test_events_are_stamped_once():
    """Receive time is set where the connector left it out; by receipt it is the event's time."""
    fresh, stamped, posted = a_trade(), a_trade(recv_ts=7), a_trade(ts=3)

    stamp(fresh, 9, by_receipt=False)
    stamp(stamped, 9, by_receipt=False)
    stamp(posted, 9, by_receipt=True)

    assert (fresh.recv_ts, fresh.ts) == (9, START_NS)
    assert stamped.recv_ts == 7
    assert (posted.recv_ts, posted.ts) == (9, 9)


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 10))
def test_the_newest_ids_are_remembered_exactly_and_no_more_than_twice_as_many(ids, size):
    """
    An id among the last `size` new ones is always a repeat, one never seen is none, and memory
    is bounded.
    """
    seen, new = SeenIds(size), []
    for number in ids:
        text = str(number)
        is_repeat = seen.is_repeat(text)

        if text in new[-size:]:
            assert is_repeat
        if text not in new:
            assert not is_repeat
        if not is_repeat:
            new.append(text)
        assert len(seen._younger) <= size
        assert len(seen._younger) + len(seen._elder) <= 2 * size


an_id = st.one_of(
    st.none(), st.integers(0, 30).map(str), st.integers(0, 3_000).map(str), st.sampled_from("abé")
)
rising = st.lists(st.integers(0, 12_000), max_size=12).map(lambda ns: [str(n) for n in sorted(ns)])


@given(st.lists(st.one_of(rising, st.lists(an_id, max_size=12)), max_size=12), st.integers(1, 20))
def test_batches_are_told_from_repeats_as_single_events_are(batches, size):
    """However events are batched, and whether ids rise or not, the same are new; few are kept."""
    known, seen, small = set(), SeenIds(10_000), SeenIds(size)
    for ids in batches:
        events = [a_trade(id=event_id) for event_id in ids]
        expected = []
        for event in events:
            if event.id is None or event.id not in known:
                expected.append(event)
                known |= {event.id}
        is_new = bool(ids) and seen.take_new(ids)
        assert not is_new or expected == events
        assert is_new or seen.new_of(events) == expected
        if not (ids and small.take_new(ids)):
            small.new_of(events)
        assert len(small._younger) + len(small._kept) < size + 12  # the largest batch


def test_ids_that_rise_are_looked_at_no_further_than_that():
    """They are in no set until one comes that is not above all others; then none is forgotten."""
    seen = SeenIds(1_000)
    assert seen.take_new(["8", "9"])
    assert seen.take_new([str(n) for n in range(10, 90)])
    assert not seen._younger

    assert not seen.take_new(["90", "50"])
    assert seen.new_of([a_trade(id="90"), a_trade(id="50"), a_trade(id="8")])[0].id == "90"
    assert not seen.take_new(["9"])
    assert seen.take_new(["91"])
    assert seen.is_repeat("91")
    assert not seen.take_new(["92", 93])
    assert not seen.is_repeat("92")
