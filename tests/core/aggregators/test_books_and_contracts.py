"""Fields of order books, funding, open interest, candles and liquidations, window by window."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.log.offset import Offset
from bond_core.model.event import Candle, Funding, Liquidation, OpenInterest, OrderBook
from bond_core.plugin.field_names import template_of
from bond_core.plugin.plans import plan_of, plans_of
from bond_core.wire.codec import encode_record
from tests.core.aggregators.test_builtin_aggregators import SPECS
from tests.core.windows.streams import BTC, SECOND, Stream, a_source, ns

VENUES = ("binance", "okx")


def fields(kind, depth=3):
    """Every field of a kind; of those with a number in their name, one."""
    found = {}
    for spec in SPECS.values():
        if spec.kind == kind:
            plans = plans_of(spec)
            for field in spec.fields:
                template = template_of(field)
                name = field if template is None else f"{template.prefix}{depth}"
                found[name] = (kind, plan_of(spec, plans, name))
    return found


def a_stream(kind, *, seconds=(1,), **changes):
    """A stream of two venues."""
    sources = [a_source(venue, kind, **changes) for venue in VENUES]
    return Stream(*sources, seconds=seconds, fields=fields(kind))


def a_book(at, bids, asks, **changes):
    """A book, some seconds after the start."""
    return OrderBook(BTC, ns(at), tuple(bids), tuple(asks), recv_ts=ns(at), **changes)


def value_of(stream, at, **wanted):
    """Assert fields of the window that ends so many seconds after the start."""
    stream.tick(at + 3)
    record = next(r for r in stream.seen if r.window_end_ns == ns(at))
    assert {name: record.values[name] for name in wanted} == wanted
    return record


def test_a_book_at_the_window_s_end():
    """The newest book counts, whole; before the first there is none."""
    stream = a_stream("book")
    stream.hear(a_book(1.2, [(100.0, 1.0)], [(101.0, 1.0)]))
    stream.hear(
        a_book(1.7, [(99.0, 1.0), (98.0, 2.0), (97.0, 4.0), (96.0, 8.0)], [(103.0, 1.0)]),
    )

    value_of(
        stream, 2, bids=((99.0, 1.0), (98.0, 2.0), (97.0, 4.0), (96.0, 8.0)), bid_depth=15.0,
        bids_3=((99.0, 1.0), (98.0, 2.0), (97.0, 4.0)), bid_depth_3=7.0, ask_depth_3=1.0,
        book_imbalance_3=6 / 8, book_mid=101.0, book_spread=4.0, best_bid=99.0, best_ask=103.0,
        best_bid_venue="binance", asks=((103.0, 1.0),),
        book_spread_bps=pytest.approx(4 / 101 * 10_000),
    )  # fmt: skip
    first = next(r for r in stream.seen if r.window_end_ns == ns(1))
    assert set(first.values.values()) == {None}


def test_a_book_stands_until_the_next():
    """Also in windows without an event; not after a break, and not where the venue is stale."""
    stream = a_stream("book")
    stream.hear(a_book(0.5, [(100.0, 1.0)], [(101.0, 1.0)]))
    value_of(stream, 3, book_mid=100.5)

    stream.engine.on_status("binance", None, "stale", ns(6.5))
    value_of(stream, 7, book_mid=None, bids=None, bid_depth=None, book_imbalance=None)

    stream.engine.on_status("binance", None, "live", ns(10.5))
    value_of(stream, 12, book_mid=None)


def test_an_empty_book_is_unknown():
    """An event without levels says that nothing is known, until the next."""
    stream = a_stream("book")
    stream.hear(a_book(0.5, [(100.0, 1.0)], [(101.0, 1.0)]))
    stream.hear(a_book(1.5, [], []))
    stream.hear(a_book(3.5, [(90.0, 1.0)], [(91.0, 1.0)]))

    value_of(stream, 1, best_bid=100.0)
    value_of(stream, 2, best_bid=None, bids=None, ask_depth=None)
    value_of(stream, 3, best_bid=None)
    value_of(stream, 4, best_bid=90.0)


def test_books_of_two_venues_are_one():
    """Sizes of one price add up, and each side is in order; the best is told with its venue."""
    stream = a_stream("book")
    stream.hear(a_book(0.5, [(100.0, 1.0), (99.0, 1.0)], [(101.0, 1.0)]))
    stream.hear(a_book(0.6, [(99.5, 2.0), (99.0, 2.0)], [(100.5, 2.0)]), source="okx")

    value_of(
        stream, 1, bids=((100.0, 1.0), (99.5, 2.0), (99.0, 3.0)), best_bid_venue="binance",
        asks=((100.5, 2.0), (101.0, 1.0)), best_ask_venue="okx", best_ask=100.5,
    )  # fmt: skip


def test_a_record_with_levels_is_json():
    """Levels are arrays of price and size."""
    stream = a_stream("book")
    stream.hear(a_book(0.5, [(100.0, 1.5)], [(101.0, 1.0)]))
    record = value_of(stream, 1)

    said = encode_record(record, stream_id="s", offset=Offset(1, 0), timeframe="1s")

    assert json.loads(said)["bids"] == [[100.0, 1.5]]


def test_sizes_of_an_inverse_book_are_contracts():
    """And the record says so."""
    stream = a_stream("book")
    unit = "100 USD contracts"
    stream.hear(a_book(0.5, [(100.0, 1.0)], [(101.0, 1.0)], size_unit=unit))

    assert value_of(stream, 1, bid_depth=1.0).size_unit == unit


_levels = st.dictionaries(st.integers(1, 30), st.integers(1, 9), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VENUES), _levels, _levels), max_size=8),
       st.integers(1, 12))  # fmt: skip
def test_any_books_of_two_venues(books, depth):
    """Levels, sums and best prices of the newest books, as a plain computation has them."""
    sources = [a_source(venue, "book") for venue in VENUES]
    stream = Stream(*sources, seconds=(10,), fields=fields("book", depth))
    newest = {}
    for n, (venue, bids, asks) in enumerate(books):
        below = sorted(((float(p), float(s)) for p, s in bids.items()), reverse=True)
        above = sorted((float(p + 30), float(s)) for p, s in asks.items())
        stream.hear(a_book(n / 10, below, above), source=venue)
        newest[venue] = (below, above)
    stream.finish(10)

    (record,) = stream.seen
    known = [book for book in newest.values() if book[0] or book[1]]
    for place, (side, reverse) in enumerate((("bids", True), ("asks", False))):
        total = {}
        for book in known:
            for price, size in book[place]:
                total[price] = total.get(price, 0) + size
        levels = tuple(sorted(total.items(), reverse=reverse)[:depth])
        assert record.values[f"{side}_{depth}"] == (levels if known else None)
        summed = record.values[f"{side[:-1]}_depth_{depth}"]
        assert summed == (sum(size for _, size in levels) if known else None)
        best = record.values[f"best_{side[:-1]}"]
        assert best == (levels[0][0] if levels else None)


def test_funding_and_mark_price_are_what_was_last_told():
    """Each by itself, whichever message told it; of two venues the mean, and each apart."""
    stream = a_stream("funding")
    stream.hear(Funding(BTC, ns(0.2), rate=0.0001, recv_ts=ns(0.2)))
    stream.hear(Funding(BTC, ns(1.2), mark_price=100.0, recv_ts=ns(1.2)))
    stream.hear(Funding(BTC, ns(2.2), rate=0.0003, mark_price=102.0, recv_ts=ns(2.2)), source="okx")

    value_of(stream, 1, funding_rate=0.0001, mark_price=None)
    value_of(stream, 2, funding_rate=0.0001, mark_price=100.0)
    value_of(
        stream, 3, funding_rate=pytest.approx(0.0002), mark_price=101.0,
        funding_rate_by_venue={"binance": 0.0001, "okx": 0.0003},
    )  # fmt: skip
    stream.engine.on_status("okx", None, "reconnecting", ns(6.5))
    value_of(stream, 7, mark_price=100.0, mark_price_by_venue={"binance": 100.0, "okx": None})


def test_open_interest_adds_up():
    """Of two venues; what one doesn't say is left out."""
    stream = a_stream("open_interest")
    stream.hear(OpenInterest(BTC, ns(0.2), amount=5.0, recv_ts=ns(0.2)))
    stream.hear(OpenInterest(BTC, ns(0.3), amount=7.0, value=70.0, recv_ts=ns(0.3)), source="okx")

    value_of(
        stream, 2, open_interest=12.0, open_interest_value=70.0,
        open_interest_by_venue={"binance": 5.0, "okx": 7.0},
    )  # fmt: skip


def test_the_venue_s_own_candle():
    """As last told, of the first venue that has one."""
    stream = a_stream("candle")
    more = {"length_ns": 60 * SECOND, "volume": 3.0}
    for at, closing, venue in ((0.2, 10.0, "okx"), (0.6, 11.0, "okx"), (1.5, 12.0, "binance")):
        candle = Candle(BTC, ns(at), open=9.0, high=15.0, low=8.0, close=closing, **more)
        candle.recv_ts = ns(at)
        stream.hear(candle, source=venue)

    value_of(stream, 1, candle_close=11.0, candle_open=9.0, candle_high=15.0, candle_volume=3.0)
    value_of(stream, 2, candle_close=12.0)


def test_liquidations_by_side():
    """Number and volume, and 0 where a venue listened and there were none."""
    stream = a_stream("liquidation")
    for at, side, size in ((0.1, "buy", 1.0), (0.2, "sell", 2.0), (0.3, "sell", 4.0)):
        stream.hear(Liquidation(BTC, ns(at), 100.0, size, side, recv_ts=ns(at)))

    value_of(
        stream, 1, liquidations=3, liquidation_buys=1, liquidation_sells=2, liquidation_volume=7.0,
        liquidation_buy_volume=1.0, liquidation_sell_volume=6.0,
    )  # fmt: skip
    value_of(stream, 2, liquidations=0, liquidation_volume=0.0)
