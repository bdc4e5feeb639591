from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping

import pytest

from ekko import Event, Stream, Token


@pytest.fixture(name="event")
def _event():
    return Event({"id": "1000-0", "price_avg": 68123.5, "tweets": 8, "notices": [], "items": 3})


def test_a_field_is_a_key_and_an_attribute(event):
    """Both ways lead to the same value, of the same type as in JSON."""
    assert event["price_avg"] == event.price_avg == 68123.5
    assert type(event.tweets) is int
    assert isinstance(event, Mapping)
    assert {**event} == event.to_dict() == dict(event)
    assert event["items"] == 3  # the attribute is the mapping's method


def test_a_wrong_name_is_answered_with_the_near_ones(event):
    """A slip of the finger shows what was meant; anything else what there is."""
    with pytest.raises(AttributeError, match="no field 'price_agv'; did you mean price_avg"):
        _ = event.price_agv
    with pytest.raises(KeyError, match="did you mean price_avg"):
        _ = event["price_agv"]
    with pytest.raises(AttributeError, match="it has id, price_avg, tweets, notices"):
        _ = event.qqq
    assert event.get("qqq") is None
    assert not hasattr(event, "_repr_png_")


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.__setitem__("tweets", 9),
        lambda e: e.__delitem__("tweets"),
        lambda e: setattr(e, "tweets", 9),
        lambda e: setattr(e, "new", 9),
        lambda e: e.update(tweets=9),
        lambda e: e.pop("tweets"),
        lambda e: e.popitem(),
        lambda e: e.setdefault("new", 9),
        lambda e: e.clear(),
        lambda e: e.__ior__({"tweets": 9}),
    ],
)
def test_an_event_can_not_be_changed(event, change):
    """What was heard stays what was heard; a dict of it may be changed."""
    before = event.to_dict()

    with pytest.raises(TypeError, match="to_dict"):
        change(event)

    assert event == before
    assert event.to_dict() | {"tweets": 9} == {**before, "tweets": 9}


def test_an_event_goes_where_a_dict_goes(event):
    """JSON, copies and pickles take it as it is."""
    assert json.loads(json.dumps(event)) == event
    assert type(copy.deepcopy(event)) is Event
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - its own
    assert "price_avg" in dir(event)
    assert repr(event).startswith("Event({'id': '1000-0'")


def test_no_repr_holds_a_token():
    """Printing a stream or a token gives no secret away; asking for it does."""
    url = "ws://localhost:8000/ws/8f2a?token=1761.secret"
    stream = Stream({"stream_id": "8f2a", "access_token": "1761.secret", "ws_url": url})
    token = Token({"token": "1761.secret", "ws_url": url})

    for text in (repr(stream), str(stream), f"{token}", repr([token])):
        assert "secret" not in text
    assert stream.access_token == token.token == "1761.secret"
    assert stream["ws_url"] == url
