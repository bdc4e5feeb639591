"""Events as columns: each comes back as it was, to the type of each of its values."""

from __future__ import annotations

import math
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.model.event import EVENT_CLASSES, OrderBook, Trade
from bond_core.runtime.tape.columns import columns_of, events_of
from bond_core.windows.checkpoint.plain import UnkeptError

WHOLE = st.integers(-(2**70), 2**70)
NUMBER = st.floats(allow_nan=False) | st.integers(-5, 5)
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
LEVELS = st.lists(st.tuples(NUMBER, NUMBER), max_size=3).map(tuple)
ANY = st.none() | NUMBER | TEXT | st.booleans()


def field_of(name: str) -> st.SearchStrategy[Any]:
    """Return what a field of that name may hold, and more."""
    if name in ("ts", "recv_ts", "seq", "from_ts", "to_ts", "length_ns", "own_ts"):
        return st.integers(0, 2**62) | WHOLE
    if name in ("bids", "asks"):
        return LEVELS
    if name in ("is_snapshot", "is_closed"):
        return st.booleans()
    if name == "values":
        return st.dictionaries(TEXT, ANY, max_size=3)
    return ANY


def events(kind: str) -> st.SearchStrategy[Any]:
    """Return events of a kind."""
    cls = EVENT_CLASSES[kind]
    return st.builds(cls, **{f.name: field_of(f.name) for f in attrs.fields(cls)})


def values(event: Any) -> list[tuple[str, Any]]:
    """Return what an event holds, with types: to Python, 1 is 1.0 and True."""
    return [(f.name, repr(getattr(event, f.name))) for f in attrs.fields(type(event))]


@pytest.mark.parametrize("kind", EVENT_CLASSES)
@settings(max_examples=40)
@given(data=st.data())
def test_events_of_each_kind_come_back_as_they_were(kind, data):
    """Through JSON, with the types of all their values."""
    given_events = data.draw(st.lists(events(kind), min_size=1, max_size=5))

    said = msgspec.json.decode(msgspec.json.encode(columns_of(kind, given_events)))
    back = events_of(kind, said)

    assert [values(event) for event in back] == [values(event) for event in given_events]
    assert {type(event) for event in back} == {EVENT_CLASSES[kind]}


def test_what_json_has_no_number_for_comes_back():
    """Infinity and NaN are no JSON, and come back all the same."""
    trades = [Trade("X", 1, price, size=1.0) for price in (math.inf, -math.inf, math.nan, 1.0)]

    back = events_of("trade", msgspec.json.decode(msgspec.json.encode(columns_of("trade", trades))))

    assert [repr(trade.price) for trade in back] == ["inf", "-inf", "nan", "1.0"]


def test_numbers_whose_sum_is_no_number_come_back():
    """Floats so large that their sum is infinite are floats all the same."""
    trades = [Trade("X", 1, 1.7e308, size=1.7e308) for _ in range(3)]

    assert events_of("trade", columns_of("trade", trades)) == trades


def test_what_can_not_be_kept_is_refused():
    """A value of a type that would come back as another is an error, not a guess."""

    class Price(float):
        """A connector's own."""

    with pytest.raises(UnkeptError):
        columns_of("trade", [Trade("X", 1, Price(1.0), size=1.0)])


def test_a_later_version_may_know_more_of_an_event():
    """A column that isn't known is left out; one that isn't there is what it is by default."""
    columns = dict(columns_of("trade", [Trade("X", 1, 2.0, size=3.0, side="buy")]))
    columns["mood"] = ["good"]
    del columns["side"]

    assert events_of("trade", columns) == [Trade("X", 1, 2.0, size=3.0)]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"symbol": ["X", "Y"], "ts": [1], "price": [1.0], "size": [1.0]},
        {"symbol": ["X"], "ts": [1]},
        {"symbol": {"same": ["X", 10**12]}, "ts": [1], "price": [1.0], "size": [1.0]},
        {"symbol": {"z": 1}, "ts": [1], "price": [1.0], "size": [1.0]},
    ],
    ids=["none", "of other lengths", "too few", "far too many", "of no known sort"],
)
def test_columns_that_make_no_sense_are_refused(columns):
    """What another wrote, or what was damaged, is a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        events_of("trade", columns)


def test_order_books_are_kept_in_the_short_form():
    """Two hundred levels are not written value by value."""
    side = tuple((float(n), 1.5) for n in range(200))
    book = OrderBook("X", 1, bids=side, asks=side)

    columns = columns_of("book", [book])

    assert set(columns["bids"]) == {"l"}
    assert events_of("book", msgspec.json.decode(msgspec.json.encode(columns))) == [book]
