"""What an engine was told, written and read: in the same order, with the same arguments."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.model.event import Quote, Trade
from bond_core.model.record import Notice, Repaired
from bond_core.runtime.tape.told import BATCHES, Tape, TapeReader
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import Count, Metric, SourcePlan, StreamPlan

NS = 1_000_000_000
PLANS = {
    "alpha": SourcePlan(
        name="alpha", kind="trade", lateness_ns=0, idle_ns=NS, routes={"X": ("X",)}, venue="alpha"
    ),
    "beta": SourcePlan(
        name="beta", kind="quote", lateness_ns=0, idle_ns=NS, routes={"X": ("X",)}, venue="beta"
    ),
}
ENGINE = WindowEngine(
    StreamPlan(
        symbols=("X",), timeframes_ns=(NS,), fields={"trades": ("trade", Metric({"x": Count()}))},
        sources=tuple(PLANS.values()),
    ),
    start_ns=0,
)  # fmt: skip

TEXT = st.text(st.characters(codec="utf-8"), max_size=4)
TIMES = st.integers(0, 2**62)


def batches(name: str) -> st.SearchStrategy[Any]:
    """Return what a source may bring at once."""
    event = (
        st.builds(Trade, st.just("X"), TIMES, st.floats(1, 9), st.floats(0, 9), id=TEXT)
        if name == "alpha"
        else st.builds(Quote, st.just("X"), TIMES, bid=st.none() | st.floats(1, 9))
    )
    return st.tuples(
        st.sampled_from(BATCHES), st.tuples(st.just(name), st.lists(event, max_size=4))
    )


NOTICES = st.builds(
    Notice, code=TEXT, detail=TEXT, source=st.none() | TEXT, from_ns=st.none() | TIMES
)  # fmt: skip
REPAIRED = st.builds(
    Repaired, from_ns=TIMES, until_ns=TIMES, events=st.integers(0, 9), detail=TEXT,
    missing=st.none() | st.tuples(TIMES, TIMES),
)  # fmt: skip
CALLS = st.one_of(
    batches("alpha"),
    batches("beta"),
    st.tuples(st.just("on_tick"), st.tuples(TIMES)),
    st.tuples(
        st.just("on_status"),
        st.tuples(st.just("alpha"), TEXT, st.just("live"), TIMES, st.none() | TEXT),
    ),
    st.tuples(st.just("on_heartbeat"), st.tuples(st.just("beta"), TIMES)),
    st.tuples(st.just("notify"), st.tuples(NOTICES, st.none() | TEXT)),
    st.tuples(st.just("on_gap"), st.tuples(st.just("alpha"), TEXT, NOTICES)),
    st.tuples(st.just("on_repaired"), st.tuples(st.just("alpha"), TEXT, REPAIRED)),
    st.tuples(st.just("add_source"), st.tuples(st.sampled_from(list(PLANS.values())), TIMES)),
    st.tuples(st.just("remove_source"), st.tuples(TEXT, TIMES)),
    st.tuples(st.just("finish"), st.tuples(TIMES)),
)


def through_json(blocks: list[list[Any]]) -> list[Any]:
    """Return calls as they come out of a tape, a block after the other."""
    tape, reader, found = Tape(), TapeReader(), []
    for calls in blocks:
        tape.noted = [(getattr(ENGINE, what), args) for what, args in calls]
        for line in tape.lines().splitlines():
            found += reader.calls(msgspec.json.decode(line))
    return found


@given(blocks=st.lists(st.lists(CALLS, max_size=12), max_size=3))
def test_calls_come_back_in_order(blocks):
    """Whatever an engine is told, in whatever blocks, it can be told again."""
    assert through_json(blocks) == [call for calls in blocks for call in calls]


def test_halves_of_characters_and_very_large_numbers_are_kept_or_refused():
    """What JSON can't say plainly is written the long way; what can't be said at all is refused."""
    large = [("on_events", ("alpha", [Trade("X", 1, 2.0, size=1.0, id="1", seq=2**80)]))]

    assert through_json([large]) == large
    half = [("on_events", ("alpha", [Trade("X", 1, 2.0, size=1.0, id="\ud800")]))]
    with pytest.raises(ValueError, match="half a character"):
        through_json([half])


@pytest.mark.parametrize(
    "line",
    [
        '{"told": [0]}',
        '{"events": [{"source": "a", "kind": "trade", "n": [2], "columns": {}}]}',
        '{"events": [{"source": "a", "kind": "cake", "n": [], "columns": {"x": [1]}}]}',
        '{"told": [["grab"]]}',
        '{"told": [["__class__"]]}',
        '{"told": [["notify", {"is": "Popen"}]]}',
    ],
    ids=["no events", "too few", "no such kind", "no such call", "no method", "no such class"],
)
def test_what_no_engine_is_told_is_refused(line):
    """A tape comes from anywhere: it can name what an engine is told, and nothing else."""
    line = msgspec.json.decode(line)
    with pytest.raises((ValueError, IndexError)):
        TapeReader().calls(line)
