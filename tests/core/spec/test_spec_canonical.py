"""The canonical form of a spec, and the id that is made from it."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.spec.canonical import canonical_json, spec_as_json, stream_id
from bond_core.spec.read import read_spec
from bond_core.spec.stream_spec import StreamSpec

_words = st.sampled_from(["a", "b", "c", "tx", "okx", "binance"])
_symbols = st.lists(st.sampled_from(["BTC/USDT", "ETH/USDT", "AAPL", "BTC/USDT:USDT"]), unique=True)
_durations = st.one_of(
    st.integers(1, 10**9), st.integers(1, 10**12).map(lambda ms: f"{ms}ms"),
    st.sampled_from(["1m30s", "1.5s", "2w"]),
)  # fmt: skip
_lateness = st.one_of(st.integers(0, 3600), st.sampled_from(["1m30s", "1.5s", "60m"]))
_json = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3),
    ),
    max_size=3,
)  # fmt: skip
_lists = st.lists(_words, max_size=4)
_source = st.fixed_dictionaries(
    {"type": _words},
    optional={
        "name": _words, "symbols": _symbols, "exchanges": _lists, "fallback": _lists,
        "exclude_exchanges": _lists, "chain": _words, "event_types": _lists, "accounts": _lists,
        "query": st.text(max_size=5), "url": _words, "mapping": _json, "interval_sec": _durations,
        "lateness_sec": _lateness, "stale_sec": _durations, "simulate": st.booleans(),
    },
)  # fmt: skip


_sink = st.builds(
    lambda own, said: {**own, **said},
    _json,
    st.fixed_dictionaries(
        {"type": _words},
        optional={
            "name": _words, "batch_records": st.integers(1, 1000),
            "batch_bytes": st.integers(1, 1000), "batch_wait_sec": _lateness,
        },
    ),
).filter(lambda sink: isinstance(sink.get("name", ""), str))  # fmt: skip


def _sliding(spec, intervals):
    """Return a spec whose windows hold so many intervals, if it says no other lengths."""
    if intervals and not spec.get("timeframes"):
        interval = spec.get("interval_sec", 5)
        seconds = {"500ms": 0.5, "1s": 1}.get(interval, interval)
        spec["window_sec"] = round(seconds * intervals, 3)
    return spec


_condition = st.sampled_from(
    ["price_avg>70k", "a > 1 and b < 2", {"field": "a", "op": ">", "value": 2.0},
     {"any": ["a > 1", {"field": "b", "op": "crosses_above", "value": 3}]}],
)  # fmt: skip
_alert = st.fixed_dictionaries(
    {"when": _condition},
    optional={
        "name": _words, "symbol": st.just("btc/usdt"), "for_sec": st.sampled_from([0, 30, "1m"]),
        "cooldown_sec": st.sampled_from([0, "1h"]), "recover": _condition,
        "no_data_sec": st.just(60),
    },
)  # fmt: skip
_spec = st.fixed_dictionaries(
    {"sources": st.lists(_source, min_size=1, max_size=3), "symbols": _symbols.filter(bool)},
    optional={
        "interval_sec": st.sampled_from([0.1, 1, "500ms", "1s", 5]),
        "timeframes": st.lists(st.sampled_from(["5s", "10s", "1m", "60s", "1h"]), max_size=8),
        "fields": st.lists(_words, min_size=1), "filter": _condition,
        "alerts": st.lists(_alert, max_size=2), "derived": _lists, "depth": st.integers(1, 100),
        "mode": st.sampled_from(["windows", "raw"]), "late": st.sampled_from(["drop", "update"]),
        "sinks": st.lists(_sink, max_size=2), "simulate": st.booleans(),
        "window": st.integers(1, 1500),
    },
).map(lambda spec: _sliding(spec, spec.pop("window", None)))  # fmt: skip

SETS = ("exchanges", "exclude_exchanges", "event_types", "accounts", "fields", "derived",
        "timeframes")  # fmt: skip


def shuffled(value, chance):
    """Return the same spec in another order: of keys, and of lists that are sets."""
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    if not isinstance(value, dict):
        return value
    keys = chance.sample(list(value), len(value))
    return {
        key: chance.sample(value[key], len(value[key]))
        if key in SETS
        else shuffled(value[key], chance)
        for key in keys
    }


@given(_spec)
def test_the_canonical_form_reads_back(data):
    """Reading it gives the same spec, and writing that the same text; so does the plain form."""
    spec, _ = read_spec(data)

    for written in (json.loads(canonical_json(spec)), spec_as_json(spec)):
        again, _ = read_spec(written)
        assert again == spec
        assert canonical_json(again) == canonical_json(spec)


@given(_spec, st.randoms(use_true_random=False))
def test_order_makes_no_difference(data, chance):
    """Neither the order of keys nor that of lists that are sets changes the id."""
    one, other = read_spec(data)[0], read_spec(shuffled(data, chance))[0]

    assert stream_id("p", one) == stream_id("p", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"interval_sec": 60}, {"interval_sec": "1m"}),
        ({"interval_sec": 5}, {}),
        ({"interval_sec": 1, "timeframes": ["1m", "1s"]},
         {"interval_sec": 1.0, "timeframes": ["60s"]}),
        ({"filter": {"field": "x", "op": ">", "value": 5}}, {"filter": "x>5.0"}),
        ({"alerts": [{"field": "x", "op": "<", "value": 5, "for_sec": 60}]},
         {"alerts": [{"when": "x < 5", "for_sec": "1m", "cooldown_sec": 0}]}),
        ({"symbols": ["btc/usdt"]}, {}),
        ({"mode": "windows", "late": None, "alerts": []}, {}),
        ({"label": "mine", "ephemeral": True, "duration_sec": 9, "replay_sec": 1}, {}),
    ],
)  # fmt: skip
def test_one_stream_said_in_two_ways_has_one_id(one, other):
    """Durations, defaults, case and what stands beside the spec make no difference."""
    plain = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"]}

    ids = {stream_id("p", read_spec({**plain, **keys})[0]) for keys in (one, other)}

    assert len(ids) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"simulate": True},
        {"interval_sec": 1},
        {"symbols": ["BTC/USDT", "ETH/USDT"]},
        {"fields": ["vwap"]},
        {"sources": [{"type": "ccxt", "fallback": ["bybit", "kraken"]}]},
        {"sources": [{"type": "ccxt", "fallback": ["kraken", "bybit"]}]},
        {"sources": [{"type": "ccxt", "simulate": False}]},
    ],
)
def test_what_makes_another_stream(changes):
    """Whatever changes what is heard or sent changes the id: simulation, and orders that count."""
    plain = {"sources": [{"type": "ccxt", "fallback": ["okx"]}], "symbols": ["BTC/USDT"]}
    others = [{**plain, "simulate": False}, {**plain, **changes}]

    assert len({stream_id("p", read_spec(data)[0]) for data in others}) == 2


def test_the_id_is_pinned():
    """The id of a stream is part of what users keep: it does not change between versions."""
    spec, _ = read_spec({"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 1})

    assert canonical_json(spec) == (
        '{"interval_sec":"1s","simulate":false,"sources":[{"type":"ccxt"}],'
        '"symbols":["BTC/USDT"],"timeframes":["1s"]}'
    )
    assert stream_id("project", spec) == "6b4c9aad53897607"
    assert stream_id("project", spec) != stream_id("other", spec)


def test_projects_and_specs_cannot_be_confused():
    """A project's name ends where it ends: no other split of the same text gives the same id."""
    spec, _ = read_spec({"sources": [{"type": "a"}], "symbols": ["A"]})

    assert stream_id("a", spec) != stream_id("a\n" + canonical_json(spec), spec)


def test_every_field_is_written():
    """A field that is added to a spec later is part of its canonical form."""
    spec, _ = read_spec({"sources": [{"type": "a"}], "symbols": ["A"]})
    for field in attrs.fields(StreamSpec):
        if field.name.endswith("_ms"):
            changed = attrs.evolve(spec, **{field.name: 7_000})
            assert canonical_json(changed) != canonical_json(spec)
