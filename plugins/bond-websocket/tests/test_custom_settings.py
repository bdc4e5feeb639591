"""A mapping that can't work, or an address that may not be reached, is an answer to its author."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest

from bond_core.errors import RequestError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import Plugins
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_server.local import Bond
from bond_websocket.path import PathError, parse_path
from bond_websocket.values import is_same
from tests.journeys.command_line import bond as command

RULE = {
    "kind": "trade",
    "symbol": "$.s",
    "time": {"path": "$.t", "unit": "ms"},
    "price": "$.p",
    "size": "$.q",
}
SPEC = {
    "sources": [{"type": "custom", "url": "wss://stream.venue.example/ws",
                 "mapping": {"events": [RULE]}}],
    "symbols": ["BTC/USDT"],
    "interval_sec": 1,
}  # fmt: skip
LACK = object()


def changed(pointer, value):
    """Return the spec's source with something else at a place below it."""
    spec = deepcopy(SPEC)
    at = spec["sources"][0]
    *steps, last = pointer.split("/")
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    if value is LACK:
        del at[last]
    else:
        at[last] = value
    return spec


CATALOG = Catalog.loaded(Plugins())


def problems_of(spec, **bond):
    """Return what is wrong with a spec, by the place below its source."""
    with pytest.raises(RequestError) as caught:
        Bond(catalog=CATALOG, **bond).compile({"spec": spec})
    found = {p.pointer.removeprefix("/spec/sources/0/"): p for p in caught.value.problems}
    return caught.value, found


PATHS = {
    "price": ("begins with $", "$.price", 0),
    "[0]": ("begins with $", "$[0]", 0),
    "$.last-price": ("quoted", "$['last-price']", 2),
    "$.a[b]": ("quoted", "$.a['b']", 4),
    "$.a[0": ("] is missing", "$.a[0]", 5),
    "$a": ("begins with . or [", "$.a", 1),
    "$.a.*": ("write [*]", "$.a[*]", 3),
    "$..price": ("name every step", None, 1),
    "$.a[?@.b]": ("`when` is for that", None, 3),
    "$.a[0:2]": ("one index", None, 3),
    "$.a[0,1]": ("one index", None, 3),
    "$.a[01]": ("an index", None, 3),
    "$.a.": ("a name is missing", None, 4),
    "$.a[]": ("an index", None, 3),
    "$.a b": ("quoted", "$['a b']", 2),
}


@pytest.mark.parametrize("text", PATHS)
def test_a_path_that_is_none_says_where_and_what_was_meant(text):
    """The error points at the character, and offers a path where one can be guessed."""
    why, meant, at = PATHS[text]

    with pytest.raises(PathError) as caught:
        parse_path(text)

    first, shown, caret = str(caught.value).split("\n")
    assert why in first
    assert shown == f"    {text}"
    assert caret == f"    {' ' * at}^"
    assert caught.value.did_you_mean == ((meant,) if meant else ())


FOUND = {
    "$": {"a": [{"b": 1}, {"b": 2}], "x-y": 3, "": 4},
    "$.a[0].b": 1,
    "$.a[-1].b": 2,
    "$['x-y']": 3,
    '$["x-y"]': 3,
    "$['']": 4,
}


@pytest.mark.parametrize("text", FOUND)
def test_a_path_leads_to_its_value(text):
    """Names, quoted names and indices from both ends."""
    assert parse_path(text).one(FOUND["$"], None) == FOUND[text]


def test_a_path_over_lists_leads_to_each():
    """Each branch gives its value, in order; one that ends before gives that it does."""
    message = {"a": [{"b": [1, 2]}, {"b": []}, {"b": [3]}, {"c": 1}]}

    found = list(parse_path("$.a[*].b[*]").each(message))

    assert found[:3] == [1, 2, 3]
    assert type(found[3]).__name__ == "Missing"


WRONG = {
    "mapping": (LACK, "needs a mapping"),
    "url": (LACK, "needs its address"),
    "mapping/events": ([], "nothing would be heard"),
    "mapping/events/0/price": ("$.p[*]", "`each` is for that"),
    "mapping/events/0/size": (LACK, "a trade needs it"),
    "mapping/events/0/symbol": ("@.s", "begin with $"),
    "mapping/events/0/each": ("$.data", "write [*] behind it"),
    "mapping/events/0/time": (LACK, "say when it happened"),
    "mapping/events/0/time/unit": ("sec", "must be one of s, ms, us, ns, iso"),
    "mapping/events/0/kind": ("trades", "must be one of trade, quote"),
    "mapping/events/0/bid": ("$.b", "a trade has no bid"),
    "mapping/events/0/pirce": ("$.p", "unknown key 'pirce'"),
    "mapping/events/0/only": ("BTC/USDT", "not both"),
    "mapping/events/0/side": ({"path": "$.m", "buy": [], "sell": [1]}, "must be a list of values"),
    "mapping/events/0/price/factor": (0, "above 0"),
    "mapping/events/0/when/$.e": ({"prefx": "x"}, "did you mean prefix?"),
    "mapping/subscribe": ([{"a": ["{nmae}"]}], "did you mean name?"),
    "mapping/subscribe/0": ({"a": "{name:small}"}, "There are lower, upper"),
    "mapping/unsubscribe": (["{name} {names}"], "sent once"),
    "mapping/symbols": ("{bsae}{quote}", "did you mean base?"),
    "mapping/names": ({"BTC USDT": "x"}, "is not a symbol"),
    "mapping/ignore": ([7], "must be a text"),
    "mapping/confirm": ([{"e": 1}], "a path begins with $"),
    "mapping/heartbeat": ({"every_sec": 0.1}, "must be at least 1"),
    "mapping/heartbeat/send": (["{name}"], "there is no placeholder {name} here"),
    "mapping/heartbeat/replies": ([{"when": {}, "send": "x"}], "everything would be answered"),
}


@pytest.mark.parametrize("pointer", WRONG)
def test_a_mapping_that_cannot_work_is_refused_at_creation(pointer):
    """The problem names the place and what to write, before anything is connected to."""
    value, why = WRONG[pointer]
    if pointer == "mapping/events/0/price/factor":
        spec = changed("mapping/events/0/price", {"path": "$.p", "factor": value})
    elif pointer == "mapping/subscribe/0":
        spec = changed("mapping/subscribe", [value])
    elif pointer == "mapping/events/0/when/$.e":
        spec = changed("mapping/events/0/when", {"$.e": value})
    else:
        spec = changed(pointer, value)

    error, found = problems_of(spec)

    assert error.code == "invalid_spec"
    details = {at: p.detail for at, p in found.items() if why.lower() in p.detail.lower()}
    assert details, {at: p.detail for at, p in found.items()}
    assert any(at.startswith(re.sub("/only|/pirce", "", pointer)) for at in details)


def test_everything_that_is_wrong_is_said_at_once():
    """Three mistakes in three places are three problems."""
    spec = changed("mapping/events/0/price", "p")
    spec["sources"][0]["mapping"]["subscribe"] = ["{pair}"]
    del spec["sources"][0]["mapping"]["events"][0]["size"]

    _, found = problems_of(spec)

    assert set(found) == {
        "mapping/events/0/price", "mapping/events/0/size", "mapping/subscribe/0",
    }  # fmt: skip
    assert found["mapping/events/0/price"].did_you_mean == ("$.p",)


def test_a_stream_has_what_its_mapping_brings():
    """Fields are those of the mapped kinds; another is refused with what there is."""
    bound = Bond(catalog=CATALOG).compile({"spec": SPEC}).bound
    assert [source.channel.name for source in bound.sources] == ["trades"]
    assert "bid_avg" not in bound.plan.fields

    error, _ = problems_of(SPEC | {"fields": ["bid_avg"]})
    assert error.code == "unknown_field"


REFUSED = {
    "wss://127.0.0.1/ws": "is not a public address",
    "wss://10.1.2.3/ws": "is not a public address",
    "wss://169.254.169.254/": "is not a public address",
    "wss://[::1]/": "is not a public address",
    "wss://[::ffff:10.0.0.1]/": "is not a public address",
    "wss://2130706433/": "no IPv4 address",
    "ws://stream.venue.example/": "over TLS only",
    "wss://stream.venue.example:6379/": "port 6379",
    "wss://user:secret@stream.venue.example/": "no URL to connect to",
    "file:///etc/passwd": "no URL to connect to",
}


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_may_not_be_reached_is_refused_at_creation(url):
    """What its text tells is an answer to the request, which never repeats a password."""
    error, found = problems_of(changed("url", url))

    assert error.code == "forbidden_url"
    assert REFUSED[url] in found["url"].detail
    assert "secret" not in str(error)


def test_an_operator_says_which_hosts():
    """A host that isn't among them is refused when the stream is created."""
    egress = Egress(EgressPolicy(hosts=("*.other.example",)))

    error, _ = problems_of(SPEC, egress=egress)

    assert error.code == "forbidden_url"
    assert "stream.venue.example is not among the hosts" in error.detail


def test_an_http_address_is_no_websocket():
    """The scheme that was meant is named."""
    _, found = problems_of(changed("url", "https://stream.venue.example/ws"))

    assert "begins with wss://" in found["url"].detail


def test_explain_says_that_a_sentence_lacks_the_mapping():
    """A sentence can name an address; what its messages mean it can't, and that is said."""
    done = command("explain", "BTC price + wss://stream.venue.example/ws every 1s")

    assert done.returncode == 0
    assert "needs a mapping" in done.stdout
    assert "docs/custom.md" in done.stdout


SAME = [(1, 1, True), (1, 1.0, True), (True, True, True), (None, None, True), ("1", "1", True),
        (1, True, False), (0, False, False), ("1", 1, False), (None, False, False),
        ("", None, False)]  # fmt: skip


@pytest.mark.parametrize(("value", "word", "same"), SAME)
def test_words_are_compared_as_json(value, word, same):
    """A flag is no number and a text is neither, whatever Python says."""
    assert is_same(value, word) is same
    assert is_same(word, value) is same
