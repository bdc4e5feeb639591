"""A source's `event_types` choose channels, where a connector's channels have such."""

from __future__ import annotations

import attrs
import pytest

from bond_core.errors import RequestError
from bond_core.plugin.specs import Channel, ConnectorSpec
from bond_core.runtime.event_types import chooses_channels, offered

PRICES = ("price_avg", "price_close")
LAST = Channel(name="last", kind="trade", fields=PRICES, event_type="Last")
ALL = Channel(name="all", kind="trade", fields=PRICES, default=False, event_type="AllLast")
QUOTES = Channel(name="quotes", kind="quote", fields=("bid_avg",), event_type="BidAsk")
BARS = Channel(name="bars", kind="candle", fields=("candle_close",), default=False)
BROKER = ConnectorSpec(
    name="broker", factory="a:B", summary="A broker", channels=(LAST, QUOTES, BARS, ALL)
)


def names(*event_types):
    """Return the channels that a source with these event types may have, and which by default."""
    found = offered(BROKER, event_types, "/spec/sources/0").channels
    return [c.name for c in found], [c.name for c in found if c.default]


def test_unnamed_an_alternative_is_not_there():
    """
    Without event types a field never opens a channel that is only there when it is named.
    """
    assert names() == (["last", "quotes", "bars"], ["last", "quotes"])


@pytest.mark.parametrize(
    ("event_types", "channels", "default"),
    [
        (["AllLast"], ["bars", "all"], ["all"]),
        (["alllast", "BIDASK"], ["quotes", "bars", "all"], ["quotes", "all"]),
        (["Last"], ["last", "bars"], ["last"]),
    ],
)
def test_named_it_is_there_and_others_are_not(event_types, channels, default):
    """
    Named channels are there by default, in any case of letters; one without a type stays.
    """
    assert names(*event_types) == (channels, default)


def test_two_that_hear_the_same_are_refused():
    """
    Trades that two channels bring would be counted twice.
    """
    with pytest.raises(RequestError, match="Last and AllLast hear the same trades") as refused:
        names("Last", "AllLast")

    assert refused.value.problems[0].pointer == "/spec/sources/0/event_types"


def test_an_unknown_one_is_refused_with_the_nearest():
    """
    What isn't known is refused, never ignored.
    """
    with pytest.raises(RequestError, match="no event type 'Lats'; it has Last, ") as refused:
        names("Lats")

    assert refused.value.problems[0].did_you_mean[0] == "Last"


def test_elsewhere_event_types_are_left_to_the_connector():
    """
    A connector whose channels have no event types may have a setting of that name.
    """
    plain = attrs.evolve(BROKER, channels=(BARS,))

    assert not chooses_channels(plain)
    assert offered(plain, ["transfer"], "/spec/sources/0") is plain
