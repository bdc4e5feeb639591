"""Partials of neighbouring panes may be merged in any grouping: every field, every kind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.model.event import Chain, Custom, Liquidation, Post
from bond_core.windows.compile import plan_kind
from bond_core.windows.pane import PanePart
from bond_core.windows.program import load
from tests.core.aggregators.builtin_fields import fields_of
from tests.core.aggregators.test_fields_against_plain_python import VENUES, quotes, trades
from tests.core.windows.streams import BTC, ns

FAILED = []
PROGRAMS = {
    kind: load(
        plan_kind(kind, {name: plan for name, (_, plan) in fields_of(kind).items()}),
        lambda *what: FAILED.append(what),
    )
    for kind in ("trade", "quote", "post", "chain", "custom", "liquidation")
}

an_author = st.sampled_from(["a", "b", "c", None])
other_events = st.one_of(
    st.lists(an_author, max_size=9).map(
        lambda names: [Post(BTC, ns(n), "up", who, seq=n) for n, who in enumerate(names)]
    ),
    st.integers(0, 9).map(lambda n: [Chain(BTC, ns(at), "sol", "tx") for at in range(n)]),
    st.integers(0, 9).map(lambda n: [Custom(BTC, ns(at), {}) for at in range(n)]),
    st.integers(0, 9).map(lambda n: [Liquidation(BTC, ns(at), 9.0, 1.0) for at in range(n)]),
)


def a_pane(program, heard):
    """A settled pane with these events, each with the source that it is of."""
    pane = program.new_pane()
    pane.unit = None
    for venue in VENUES:
        own = program.own_pane(pane, venue)
        part = PanePart(start=0, end=1 << 62, pane=pane, state=None, own=own)
        source = SimpleNamespace(parts={BTC: part}, max_ts=0, fire_at=1 << 62)
        program.run(source, [event for name, event in heard if name == venue])
        pane.n += part.n
    program.settle(pane)
    return pane


def merged(program, *panes):
    """A new pane with others added to it, one after the other."""
    into = program.new_pane()
    for pane in panes:
        program.absorb(into, pane)
    return program.values(into)


def near(value):
    """The value, but for the last bits of floats."""
    if isinstance(value, dict):
        return {key: near(each) for key, each in value.items()}
    if isinstance(value, list):
        return [near(each) for each in value]
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


def known(values):
    """What is known of each source: one without events may be there or not."""
    empty = {"bid_twa": None, "ask_twa": None, "mid_twa": None, "spread_twa": None}
    return {
        name: {k: v for k, v in value.items() if v not in (None, 0)}
        if isinstance(value, dict) else value
        for name, value in (empty | values).items()
    }  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(trades(), quotes(), other_events.map(lambda es: [("okx", e) for e in es])),
    st.integers(0, 24),
    st.integers(0, 24),
)
def test_p5_any_grouping_of_panes_gives_the_same(heard, one, other):
    """(a + b) + c, a + (b + c) and all events in one pane."""
    if not heard:
        return
    program = PROGRAMS[heard[0][1].kind]
    first, last = ns(min(one, other)), ns(max(one, other))
    a = a_pane(program, [h for h in heard if h[1].ts < first])
    b = a_pane(program, [h for h in heard if first <= h[1].ts < last])
    c = a_pane(program, [h for h in heard if h[1].ts >= last])
    before = [known(program.values(pane)) for pane in (a, b, c)]

    left, right = program.new_pane(), program.new_pane()
    for pane in (a, b):
        program.absorb(left, pane)
    for pane in (b, c):
        program.absorb(right, pane)

    whole = near(known(program.values(a_pane(program, heard))))
    assert known(merged(program, left, c)) == whole
    assert known(merged(program, a, right)) == whole
    assert known(merged(program, a, b, c)) == whole
    assert [known(program.values(pane)) for pane in (a, b, c)] == before
    assert FAILED == []
