"""Reading a spec: what it means, and everything that may be wrong with it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.errors import RequestError
from bond_core.spec.read import DEFAULT_INTERVAL_MS, read_spec
from bond_core.spec.stream_spec import (
    AlertSpec,
    SinkEntry,
    SourceSpec,
    StreamOptions,
    StreamSpec,
)

SEED = {
    "sources": [{"type": "ccxt", "symbols": ["BTC/USDT"]}, {"type": "twitter", "symbols": ["BTC"]}],
    "interval_sec": 5,
    "symbols": ["BTC/USDT"],
}


def spec(**changes):
    """Return what a small spec means with `changes`."""
    return read_spec({"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], **changes})[0]


def source(**keys):
    """Return what a source with these keys means."""
    return spec(sources=[{"type": "ccxt", **keys}]).sources[0]


def refusal(data, **options):
    """Return the error that refuses `data`, after a look at its fix."""
    with pytest.raises(RequestError) as caught:
        read_spec(data, **options)
    read_spec(json.loads(caught.value.fix))  # a fix that works when pasted
    return caught.value


def wrong(**changes):
    """Return what is wrong with the seed's spec after `changes`: detail by pointer."""
    return {p.pointer: p.detail for p in refusal({**SEED, **changes}).problems}


def test_the_seeds_spec_is_read_as_it_stands():
    """What the first documents show is a spec, with all that they leave open resolved."""
    read, options = read_spec(SEED)

    assert read == StreamSpec(
        sources=(
            SourceSpec(type="ccxt", symbols=("BTC/USDT",)),
            SourceSpec(type="twitter", symbols=("BTC",)),
        ),
        symbols=("BTC/USDT",),
        interval_ms=5_000,
        timeframes=("5s",),
    )
    assert options == StreamOptions()


def test_every_key_is_read():
    """Each key of a source and of a spec ends up in its place."""
    read, options = read_spec(
        {
            "sources": [{
                "type": "CCXT", "name": "mine", "symbols": ["btc/usdt "],
                "exchanges": ["OKX", "binance"],
                "fallback": ["Kraken", "bybit"], "exclude_exchanges": ["b", "a"], "chain": "solana",
                "event_types": ["tx", "block"], "accounts": ["b", "a", "b"], "query": "q",
                "url": "u",
                "mapping": {"price": "p"}, "interval_sec": "2s", "lateness_sec": 0,
                "stale_sec": 1.5, "simulate": True,
            }],
            "symbols": ["BTC/USDT", "eth/usdt", "BTC/USDT"], "interval_sec": "500ms",
            "timeframes": ["1m", "1s"], "fields": ["vwap", "trades"],
            "filter": "price_avg>1",
            "alerts": [{"when": "vwap > 2", "for_sec": 30}], "derived": ["b", "a"],
            "depth": 10, "mode": "raw", "late": "update", "corrections_sec": "10s",
            "sinks": [{"type": "webhook"}],
            "simulate": True, "ephemeral": True, "duration_sec": "1h", "replay_sec": 0,
            "label": "L",
        }
    )  # fmt: skip

    assert read == StreamSpec(
        sources=(SourceSpec(
            type="ccxt", name="mine", symbols=("BTC/USDT",), exchanges=("binance", "okx"),
            fallback=("kraken", "bybit"), exclude_exchanges=("a", "b"), chain="solana",
            event_types=("block", "tx"), accounts=("a", "b"), query="q", url="u",
            mapping={"price": "p"}, interval_ms=2_000, lateness_ms=0, stale_ms=1_500, simulate=True,
        ),),
        symbols=("BTC/USDT", "ETH/USDT"), interval_ms=500, timeframes=("500ms", "1s", "1m"),
        fields=("trades", "vwap"), filter="price_avg > 1",
        alerts=(AlertSpec(when="vwap > 2", for_ms=30_000),),
        derived=("a", "b"), depth=10, mode="raw", late="update",
        corrections_ms=10_000, sinks=(SinkEntry(type="webhook"),), simulate=True,
    )  # fmt: skip
    assert options == StreamOptions(
        ephemeral=True, duration_ms=3_600_000, replay_ms=0, label="L"
    )  # fmt: skip


def test_null_is_the_same_as_leaving_out():
    """A client that writes null for what it doesn't say gets the same stream."""
    keys = ("interval_sec", "timeframes", "fields", "filter", "alerts", "mode", "late", "simulate",
            "ephemeral", "depth", "sinks", "derived", "window_sec", "label")  # fmt: skip
    nulls = dict.fromkeys(keys)

    assert spec(**nulls) == spec()
    assert source(symbols=None, exchanges=None, mapping=None) == source()


def test_symbols_come_from_the_sources_where_the_spec_names_none():
    """In the order of the sources, each once."""
    read = spec(
        symbols=None,
        sources=[{"type": "a", "symbols": ["B", "A"]}, {"type": "b", "symbols": ["A", "C"]}],
    )

    assert read.symbols == ("B", "A", "C")


@pytest.mark.parametrize(
    ("keys", "interval_ms", "timeframes"),
    [
        ({}, DEFAULT_INTERVAL_MS, ("5s",)),
        ({"interval_sec": 0.1}, 100, ("100ms",)),
        ({"interval_sec": 86_400}, 86_400_000, ("1d",)),
        ({"timeframes": ["5m", "1m"]}, 60_000, ("1m", "5m")),
        ({"interval_sec": 1, "timeframes": ["1m"]}, 1_000, ("1s", "1m")),
        ({"timeframes": []}, DEFAULT_INTERVAL_MS, ("5s",)),
        ({"timeframes": ["100ticks"]}, 1_000, ("1s", "100ticks")),
        ({"timeframes": ["10vol", "1m", "5ticks"]}, 60_000, ("1m", "5ticks", "10vol")),
    ],
)
def test_the_interval_is_the_smallest_window(keys, interval_ms, timeframes):
    """Given, or the smallest timeframe, or five seconds."""
    read = spec(**keys)

    assert (read.interval_ms, read.timeframes) == (interval_ms, timeframes)


# What is wrong


def test_everything_wrong_is_told_at_once():
    """Misspelt keys, wrong types and words, and contradictions, each with its pointer."""
    error = refusal(
        {
            "sources": [{"type": 3, "symbol": ["BTC"]}, "ccxt", {"exchanges": "okx"}],
            "symbols": ["BTC/USDT", "BTC//"], "interval_sec": True, "mode": "rwa", "depth": 0,
            "filter": {"x": [float("nan")]}, "sinks": [1], "fields": [], "a/b": 1, "label": 3,
        }
    )  # fmt: skip

    assert error.code == "invalid_spec"
    assert {p.pointer for p in error.problems} == {
        "/spec/a~1b", "/spec/sources/0/type", "/spec/sources/0/symbol", "/spec/sources/1",
        "/spec/sources/2/type", "/spec/sources/2/exchanges", "/spec/symbols/1",
        "/spec/interval_sec", "/spec/mode", "/spec/depth", "/spec/filter", "/spec/sinks/0",
        "/spec/fields", "/spec/label",
    }  # fmt: skip
    by_pointer = {p.pointer: p for p in error.problems}
    assert by_pointer["/spec/sources/0/symbol"].did_you_mean == ("symbols",)
    assert by_pointer["/spec/mode"].did_you_mean == ("raw",)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sources": []}, {"/spec/sources": 'at least one source is required: {"type": "ccxt"}'}),
        ({"sources": None}, {"/spec/sources": "must be a list, was null"}),
        ({"sources": [{"type": "a"}] * 9}, {"/spec/sources": "at most 8 sources, were 9"}),
        ({"sources": [{}]}, {"/spec/sources/0/type": "is required"}),
        ({"sources": [{"type": None}]}, {"/spec/sources/0/type": "must be a text, was null"}),
        ({"symbols": "BTC/USDT"}, {"/spec/symbols": "must be a list, was a text"}),
        (
            {"symbols": [f"A{i}" for i in range(501)]},
            {"/spec/symbols": "at most 500 symbols, were 501"},
        ),
        (
            {"timeframes": [f"{5 * i}s" for i in range(1, 34)]},
            {"/spec/timeframes": "at most 32 timeframes, were 33"},
        ),
        (
            {"fields": [f"price_mean_{i}" for i in range(2, 103)]},
            {"/spec/fields": "at most 100 fields, were 101"},
        ),
        (
            {"derived": [f"price_mean_{i}" for i in range(2, 103)]},
            {"/spec/derived": "at most 100 derived, were 101"},
        ),
        (
            {"interval_sec": "1m", "timeframes": ["90s", "2m"]},
            {"/spec/timeframes/0": "90s is not a multiple of the interval, 1m"},
        ),
        (
            {"window_sec": "often"},
            {
                "/spec/window_sec": "must be a number of seconds or a duration such as 1m30s, "
                "in whole milliseconds, was often"
            },
        ),
        ({"window_sec": 0}, {"/spec/window_sec": "must be longer than 0, was 0"}),
        (
            {"filter": []},
            {"/spec/filter": 'must be a condition, such as "price_avg > 70000", was a list'},
        ),
        (
            {"filter": {"a": {1: 2}}},
            {
                "/spec/filter": "has a key 'a' that no condition has; its keys are field, op, "
                "value, change, window_sec, all, any"
            },
        ),
        (
            {"filter": "price_avg = 3"},
            {
                "/spec/filter": "'=' has no meaning here; did you mean ==?, at character 11: "
                "'price_avg = 3'"
            },
        ),
        ({"alerts": [{}]}, {"/spec/alerts/0/when": "is required"}),
        (
            {"alerts": [{"when": "a > 1", "op": ">"}]},
            {"/spec/alerts/0": "an alert has one condition: in `when`, or beside its other keys"},
        ),
        ({"sinks": [{"a": {1: 2}}]}, {"/spec/sinks/0": "must be a text, was a number"}),
        ({"sinks": [{"a": object}]}, {"/spec/sinks/0": "has a type, which JSON doesn't have"}),
        ({"duration_sec": -5}, {"/spec/duration_sec": "must not be negative, was -5"}),
        (
            {"sources": [{"type": "a", "lateness_sec": 10**12}]},
            {"/spec/sources/0/lateness_sec": "must be at most 1h, was 1000000000000"},
        ),
        (
            {"sources": [{"type": "a", "name": "a\n"}]},
            {"/spec/sources/0/name": "must be at most 100 printable characters"},
        ),
        ({"label": "x" * 101}, {"/spec/label": "must be at most 100 printable characters"}),
        ({"label": "\ud800"}, {"/spec/label": "is not valid Unicode"}),
    ],
)
def test_what_can_be_wrong(changes, expected):
    """Each mistake has one problem, at its own place."""
    assert wrong(**changes) == expected


@pytest.mark.parametrize(
    ("key", "item"), [("sinks", {"type": "webhook"}), ("alerts", {"when": "price_avg > 1"})]
)
def test_too_many_of_something_beside_another_mistake(key, item):
    """
    Both are told.
    """
    told = wrong(interval_sec="x", **{key: [item] * 40})
    assert set(told) == {"/spec/interval_sec", f"/spec/{key}"}


@pytest.mark.parametrize("data", [None, [], "x", 3, {}])
def test_a_spec_is_an_object_with_sources(data):
    """Anything else is refused, with an example."""
    assert refusal(data).code == "invalid_spec"


@pytest.mark.parametrize(
    "value",
    [0, 0.05, -5, "99ms", 86_400.001, "25h", 1e300, 10**400, float("inf"), float("nan"), "0s"],
)
def test_an_interval_out_of_range_has_a_code_of_its_own(value):
    """It is told with the bounds, and the nearest that works; other mistakes take the code away."""
    error = refusal({**SEED, "interval_sec": value})

    assert error.code == "interval_out_of_range"
    assert [p.pointer for p in error.problems] == ["/spec/interval_sec"]
    assert json.loads(error.fix)["interval_sec"] in ("100ms", "1d")
    assert refusal({**SEED, "interval_sec": value, "mode": 3}).code == "invalid_spec"


@pytest.mark.parametrize(
    ("bar", "canonical"),
    [
        ("100ticks", "100ticks"), ("100 ticks", "100ticks"), ("1tick", "1ticks"),
        ("500t", "500ticks"), ("10vol", "10vol"), ("10v", "10vol"), ("1000 Volume", "1000vol"),
        ("0.50vol", "0.5vol"), ("50_000dollars", "50000value"), ("1,000,000value", "1000000value"),
    ],
)  # fmt: skip
def test_bars_that_are_no_times_have_one_form(bar, canonical):
    """However they are written, the same stream comes of it."""
    assert spec(timeframes=[bar, "1m"]).timeframes == ("1m", canonical)
    assert spec(timeframes=[bar, canonical, "1m"]) == spec(timeframes=["1m", canonical])


@pytest.mark.parametrize("bar", ["0ticks", "1.5ticks", "0vol", "10000000000000000value", "0.5t"])
def test_bars_that_nothing_can_fill_are_refused(bar):
    """With what is wrong with the number."""
    error = refusal({**SEED, "timeframes": [bar, "1m"]})

    assert error.code == "invalid_spec"
    assert [p.pointer for p in error.problems] == ["/spec/timeframes/0"]


def test_what_comes_of_a_mistake_is_no_mistake():
    """A list that lacks only what was misspelt isn't called empty too."""
    assert set(wrong(symbols=["BTC USDT"])) == {"/spec/symbols/0"}
    in_source = {"sources": [{"type": "ccxt", "symbols": ["BTC//"]}]}
    assert [p.pointer for p in refusal(in_source).problems] == ["/spec/sources/0/symbols/0"]
    assert set(wrong(interval_sec="x", timeframes=["1s", "1500ms"])) == {"/spec/interval_sec"}


def test_what_hides_behind_a_mistake_is_told_too():
    """A contradiction elsewhere is told at once, not after the first mistake is mended."""
    found = wrong(label=3, timeframes=["7s"])

    assert set(found) == {"/spec/label", "/spec/timeframes/0"}


def test_the_fix_keeps_what_was_right():
    """Misspelt keys and words are corrected, what can't be is left out, the rest stays."""
    error = refusal(
        {
            "sourcs": [{"type": "ccxt", "symbls": ["BTC USDT"], "mapping": 3}],
            "symbols": ["BTC/USDT", 4],
            "interval": "10s",
            "mode": "windws",
            "late": 1,
        }
    )
    again = refusal(
        {"sources": [{"type": "ccxt", "symbls": ["BTC USDT"], "mapping": 3}], "symbols": ["A"]}
    )

    assert json.loads(error.fix) == {
        "sources": [{"type": "ccxt", "symbols": ["BTC/USDT"]}],
        "symbols": ["BTC/USDT"],
        "interval_sec": "10s",
        "mode": "windows",
    }
    assert json.loads(again.fix)["sources"] == [{"type": "ccxt", "symbols": ["BTC/USDT"]}]


def test_pointers_start_where_the_caller_says():
    """The same spec may stand elsewhere in a request."""
    error = refusal({**SEED, "mode": 1}, pointer="/streams/3")

    assert error.problems[0].pointer == "/streams/3/mode"
    assert error.detail.startswith("/streams/3/mode: ")


def nested(depth):
    """Return JSON of so many levels."""
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "data",
    [
        {**SEED, "filter": {"a": nested(900)}},
        {**SEED, "unknown": nested(900)},
        {**SEED, "symbols": nested(900)},
        {**SEED, **{f"k{i}": 1 for i in range(8_000)}},
        {**SEED, "symbols": ["/"] * 16_000},
        {**SEED, "k" * 60_000: 1},
        {**SEED, "interval_sec": "9" * 60_000},
    ],
    ids=["deep", "deep unknown", "deep symbols", "many keys", "many symbols", "long key", "long"],
)
def test_a_hostile_spec_is_refused_soon(data):
    """However deep, long or many: a refusal of bounded size, in bounded time."""
    started = time.process_time()
    error = refusal(data)

    assert time.process_time() - started < 2
    assert len(error.problems) <= 100


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["ccxt", "BTC/USDT", "1m", "100ticks", "raw", "drop", "7s"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
_keys = st.sampled_from(
    ["sources", "symbols", "interval_sec", "timeframes", "fields", "filter", "alerts", "mode",
     "late", "depth", "label", "sourcs", "duration_sec", "simulate", "sinks"]
)  # fmt: skip
_sources = st.lists(
    st.dictionaries(
        st.sampled_from(["type", "symbols", "exchanges", "mapping", "stale_sec", "tpye", "name"]),
        _values,
    )
)


@given(st.dictionaries(_keys, _values), _sources | _values)
def test_whatever_is_sent_is_read_or_refused_with_a_fix(data, sources):
    """No document raises anything but a RequestError, and every fix reads without error."""
    data = {"sources": sources, **data}
    try:
        read_spec(data)
    except RequestError:
        refusal(data)
