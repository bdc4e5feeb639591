"""What a spec says of its windows, from the spec to the records: late, window_sec, fill."""

import json

import pytest

from bond_core.clock import NS, settle
from bond_core.errors import RequestError
from bond_core.model.event import Trade
from bond_core.runtime.binding import Defaults, bind
from bond_core.spec.canonical import canonical_json
from bond_core.spec.read import read_spec
from tests.core.runtime.test_pipeline import Puppet, _a_spec, _catalog, _play


def a_canonical(**keys):
    """The canonical form of a spec with these keys."""
    return json.loads(canonical_json(read_spec(_a_spec(**keys))[0]))


def test_what_is_the_default_is_not_said():
    """A window as long as the interval does not slide; the default policies are left out."""
    plain = a_canonical()

    assert a_canonical(window_sec=1, late="drop", fill="null") == plain
    assert a_canonical(window_sec=60)["window_sec"] == "1m"
    assert a_canonical(late="update")["corrections_sec"] == "1m"
    assert a_canonical(late="update", corrections_sec=5)["corrections_sec"] == "5s"
    assert a_canonical(fill="previous")["fill"] == "previous"


@pytest.mark.parametrize("keys", [{"interval_sec": "1w"}, {"timeframes": ["1w"]}], ids=str)
def test_case_04_no_window_is_a_week(keys):
    """Weeks would have to begin on Mondays, and the epoch was a Thursday: a day is the longest."""
    with pytest.raises(RequestError) as caught:
        read_spec(_a_spec(**keys))

    assert caught.value.code == "interval_out_of_range"
    assert "to 86,400 s, was 1w" in caught.value.detail


@pytest.mark.parametrize(
    ("keys", "pointer", "near"),
    [
        ({"window_sec": 0.5}, "/spec/window_sec", None),
        ({"window_sec": "90500ms"}, "/spec/window_sec", None),
        ({"window_sec": "1d"}, "/spec/window_sec", "25m"),
        ({"late": "update", "corrections_sec": "1h"}, "/spec/corrections_sec", "25m"),
        ({"corrections_sec": 5}, "/spec/corrections_sec", None),
        ({"late": "never"}, "/spec/late", None),
        ({"fill": "zero"}, "/spec/fill", None),
    ],
)
def test_windows_that_make_no_sense_are_refused_with_what_works(keys, pointer, near):
    """Each with its pointer, the nearest that works, and a fix that can be read."""
    with pytest.raises(RequestError) as caught:
        read_spec(_a_spec(**keys))

    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert near is None or problem.did_you_mean == (near,)
    read_spec(json.loads(caught.value.fix))


@pytest.mark.parametrize(
    ("keys", "pointer"),
    [
        ({"window_sec": 60, "timeframes": ["1s", "5s"]}, "/spec/timeframes"),
        ({"fill": "previous", "fields": ["trades"]}, "/spec/fill"),
    ],
)
def test_what_does_not_go_together_is_refused(keys, pointer):
    """Binding says which key is wrong."""
    with pytest.raises(RequestError) as caught:
        bind(read_spec(_a_spec(**keys))[0], _catalog(), Defaults())

    assert [p.pointer for p in caught.value.problems] == [pointer]


def test_a_late_trade_is_in_a_second_record_at_a_new_position():
    """The same identity, rev 1, and an id after all that was published before."""

    async def story(world):
        await world.trade("alpha", 100.0)
        await world.clock.advance(4.0)
        late = Trade(symbol="BTC/USDT", ts=world.pipeline.started_ns + NS // 10, price=90.0, size=2)
        Puppet.running["alpha"].emit("trades", [late])
        await settle()
        await world.clock.advance(2.0)

    records = _play(_a_spec(late="update"), story)
    first, again = (r for r in records if r["window_start"] == records[0]["window_start"])

    assert (first["rev"], first["trades"], again["rev"], again["trades"]) == (0, 1, 1, 2)
    assert (again["price_close"], again["volume_sum"]) == (90.0, 3.0)
    assert [n["code"] for n in again["notices"]] == ["revised"]
    ids = [tuple(map(int, r["id"].split("-"))) for r in records]
    assert ids == sorted(set(ids))


def test_windows_slide_from_the_spec_on():
    """The last three seconds, every second."""

    async def story(world):
        for _ in range(6):
            await world.trade("alpha", 100.0)
            await world.clock.advance(1.0)
        await world.clock.advance(3.0)

    records = _play(_a_spec(window_sec=3), story)

    assert {r["timeframe"] for r in records} == {"3s"}
    assert 3 in {r["trades"] for r in records}
    starts = [r["window_start"] for r in records]
    assert starts == sorted(set(starts))


def test_a_filled_record_says_so():
    """Only where it was filled."""

    async def story(world):
        await world.trade("alpha", 100.0)
        await world.clock.advance(5.0)

    traded, filled, *_ = _play(_a_spec(fill="previous"), story)

    assert ("filled" in traded, filled["filled"]) == (False, True)
    assert (filled["price_close"], filled["trades"]) == (100.0, 0)
