"""Streams that correct what they said, and streams of windows that overlap, from the spec on."""

from __future__ import annotations

import json

import pytest

from bond_core.clock import NS
from bond_core.errors import RequestError
from bond_core.model.event import Trade
from bond_core.spec.canonical import canonical_json
from bond_core.spec.read import read_spec
from tests.core.runtime.puppets import play

SPEC = {
    "sources": [{"type": "puppet", "exchanges": ["alpha"]}],
    "symbols": ["BTC/USDT"],
    "interval_sec": 1,
    "fields": ["trades", "price_close", "volume_sum"],
}


def trade(world, ago_s=0.0, **more):
    """A trade that happened so long ago."""
    ts = world.clock.now_ns() - round(ago_s * NS)
    return Trade(symbol="BTC/USDT", ts=ts, price=100.0, size=1.0, **more)


def test_a_late_trade_makes_a_new_record_of_its_window():
    """It has the next rev and a new id; the first stays as it was; nothing counts as late."""

    async def story(world):
        async with world.stream({**SPEC, "late": "update"}):
            world.emit("alpha", "trades", trade(world))
            await world.clock.advance(1.6)
            world.emit("alpha", "trades", trade(world))
            await world.clock.advance(0.2)
            world.emit("alpha", "trades", trade(world, ago_s=1.5))
            await world.clock.advance(3)
            records = await world.records()
        first = [r for r in records if r["window_start"] == records[0]["window_start"]]
        assert [(r["rev"], r["trades"], r["volume_sum"]) for r in first] == [(0, 1, 1.0), (1, 2, 2)]
        assert [n["code"] for n in first[1]["notices"]] == ["revised"]
        ids = [tuple(map(int, r["id"].split("-"))) for r in records]
        assert ids == sorted(set(ids))
        assert all(r["sources"]["alpha"]["late"] == 0 for r in records)

    play(story)


def test_the_last_seconds_slide_on_with_every_interval():
    """A record a second, of the last three: a trade is in three of them."""

    async def story(world):
        async with world.stream({**SPEC, "window_sec": 3}):
            world.emit("alpha", "trades", trade(world))
            await world.clock.advance(8)
            records = await world.records()
        assert [r["trades"] for r in records[:5]] == [1, 1, 1, 0, 0]
        assert {r["timeframe"] for r in records} == {"3s"}
        assert [r["partial"] for r in records[:4]] == [True, True, False, False]
        assert len({r["window_start"] for r in records}) == len(records)

    play(story)


@pytest.mark.parametrize(
    "keys",
    [
        {"late": "update"},
        {"late": "update", "corrections_sec": 5},
        {"late": "update", "interval_sec": "0.1s"},
        {"late": "update", "interval_sec": "1d"},
        {"window_sec": 60},
        {"window_sec": "1m", "late": "update"},
        {"window_sec": 1},
    ],
)
def test_the_canonical_form_reads_back(keys):
    """What was left out is written out, and reading that gives the same."""
    spec, _ = read_spec({**SPEC, **keys})

    assert read_spec(json.loads(canonical_json(spec)))[0] == spec


@pytest.mark.parametrize(
    ("keys", "pointer", "said"),
    [
        ({"window_sec": 1.5}, "/spec/window_sec", "multiple of the interval"),
        ({"window_sec": "1h"}, "/spec/window_sec", "at most 1500 intervals"),
        ({"window_sec": 60, "timeframes": ["1s", "5s"]}, "/spec/timeframes", "one length"),
        ({"corrections_sec": 5}, "/spec/corrections_sec", '"late": "update"'),
        ({"late": "update", "corrections_sec": "50m"}, "/spec/corrections_sec", "at most 1500"),
        ({"late": "updat"}, "/spec/late", "update"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_would(keys, pointer, said):
    """Each mistake has its place and a spec that works."""
    with pytest.raises(RequestError) as caught:
        read_spec({**SPEC, **keys})

    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert said in problem.detail or said in problem.did_you_mean
    read_spec(json.loads(caught.value.fix))
