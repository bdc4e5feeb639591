"""Books, candles and what venues say of their contracts outlast a restart as trades do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.model.event import Candle, Funding, Liquidation, OpenInterest, OrderBook
from tests.core.aggregators.test_books_and_contracts import VENUES, fields
from tests.core.windows.streams import BTC, SECOND, Stream, a_source, ns
from tests.core.windows.test_window_snapshots import again, told

KINDS = ("book", "candle", "funding", "open_interest", "liquidation")
FIELDS = {name: field for kind in KINDS for name, field in fields(kind).items()}

a_number = st.one_of(st.integers(1, 400).map(lambda n: n / 8), st.integers(1, 50).map(float))
levels = st.lists(st.tuples(a_number, a_number), max_size=4).map(tuple)


@st.composite
def an_event(draw, kind, ts):
    """Something of a kind that a venue might say at a time."""
    heard = {"symbol": BTC, "ts": ts, "recv_ts": ts + 20_000_000}
    number = draw(a_number)
    match kind:
        case "book":
            return OrderBook(**heard, bids=draw(levels), asks=draw(levels))
        case "candle":
            prices = dict.fromkeys(("open", "high", "low", "close"), number)
            return Candle(**heard, **prices, volume=2.0, length_ns=60 * SECOND)
        case "funding":
            mark = draw(st.sampled_from([None, number]))
            return Funding(**heard, rate=None if mark else number / 1e6, mark_price=mark)
        case "open_interest":
            return OpenInterest(**heard, amount=number, value=draw(st.sampled_from([None, 7.0])))
        case _:
            side = draw(st.sampled_from(["buy", "sell"]))
            return Liquidation(**heard, price=number, size=number, side=side)


@st.composite
def some_steps(draw):
    """What two venues say in twenty seconds, and the clock; at times one of them is away."""
    steps = []
    for ms in sorted(draw(st.lists(st.integers(0, 20_000), min_size=20, max_size=40))):
        kind, venue = draw(st.sampled_from(KINDS)), draw(st.sampled_from(VENUES))
        source, ts = f"{venue}.{kind}", ns(ms / 1000 - draw(st.sampled_from([0, 0, 0, 2])))
        match draw(st.integers(0, 7)):
            case 0:
                status = draw(st.sampled_from(["live", "reconnecting"]))
                steps.append(("on_status", source, None, status, ts))
            case 1 | 2:
                steps.append(("on_tick", ts))
            case _:
                steps.append(("on_events", source, [draw(an_event(kind, ts))]))
    return steps


def a_stream():
    """A stream of every field of those kinds, of two venues, that sends windows again."""
    sources = [a_source(f"{v}.{kind}", kind, venue=v) for kind in KINDS for v in VENUES]
    update = {"late": "update", "corrections_ns": 3 * SECOND}
    return Stream(*sources, seconds=(1, 3), fields=FIELDS, **update)


@settings(max_examples=40)
@given(some_steps(), st.sets(st.integers(3, 20), min_size=1, max_size=4))
def test_p8_a_snapshot_changes_nothing_of_books_and_contracts(steps, restarts):
    """Also of what stands in a book since an earlier window, to the byte."""
    assert told(a_stream(), steps, restarts=restarts) == told(a_stream(), steps)


def test_a_book_that_closed_and_waits_is_the_same_book():
    """Records that are written down keep their levels as they were: pairs, in tuples."""
    stream = a_stream()
    book = OrderBook(BTC, ns(0.5), ((7.0, 1.0),), ((8.0, 2.0),), recv_ts=ns(0.5))
    stream.engine.on_events("okx.book", [book])
    stream.engine.on_tick(ns(4))

    again(stream)

    assert stream.take()[0].values["bids"] == ((7.0, 1.0),)
