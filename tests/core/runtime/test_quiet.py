"""Ticks that are left out: the windows are the same, and close at the same ticks."""

from __future__ import annotations

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from bond_core.runtime.quiet import Quiet
from tests.core.windows.streams import SECOND, Stream, a_source, a_trade, ns

TICK_S = 0.05

SOURCES = {
    "binance": {"lateness_ns": SECOND // 2, "idle_ns": 3 * SECOND // 2},
    "okx": {"lateness_ns": 0, "idle_ns": SECOND // 4},
    "kraken": {"lateness_ns": 2 * SECOND, "idle_ns": 9 * SECOND, "gates": False},
}

a_name = st.sampled_from(list(SOURCES))
a_step = st.one_of(
    st.tuples(st.just("ticks"), st.integers(1, 80)),
    st.tuples(st.just("trade"), a_name, st.integers(-3_000, 200)),
    st.tuples(st.just("status"), a_name, st.sampled_from(["live", "failed", "stale"])),
    st.tuples(st.just("heartbeat"), a_name, st.integers(-1_000, 0)),
    st.tuples(st.just("leaves"), a_name),
)


def shown(stream, quiet, at):
    """Show a stream a tick as a pipeline does; return whether it was left out."""
    if ns(at) < quiet.until_ns:
        quiet.left_out_ns = ns(at)
        return True
    quiet.end()
    if stream.engine.sees(ns(at)):
        stream.engine.close_due()
    else:
        quiet.begin()
    return False


def do(stream, quiet, at, what, *how):
    """Tell a stream something; `at` is now."""
    name, engine = how[0], stream.engine
    left_out_ns = quiet.heard() if what == "trade" else quiet.end()
    if left_out_ns is not None:
        engine.on_tick(left_out_ns)
    if what == "trade":
        engine.on_events(name, [a_trade(at + how[1] / 1000)])
        quiet.took_in()
        return
    if what == "status":
        engine.on_status(name, None, how[1], ns(at))
    elif what == "heartbeat":
        engine.on_heartbeat(name, ns(at + how[1] / 1000))
    elif name in engine.parts.sources:
        engine.remove_source(name, ns(at))


@given(
    names=st.lists(a_name, min_size=1, max_size=3, unique=True),
    late=st.sampled_from(["drop", "update"]),
    steps=st.lists(a_step, max_size=40),
)
@example(
    names=["okx"], late="update",
    steps=[("ticks", 27), ("trade", "okx", -351), ("status", "okx", "live")],
)  # fmt: skip
@example(names=["okx"], late="drop", steps=[("ticks", 20), ("leaves", "okx")])
def test_windows_do_not_depend_on_ticks_that_are_left_out(names, late, steps):
    """Whatever sources say and do, what is closed at each moment is what all ticks close."""
    plan = {"late": late, "corrections_ns": 10 * SECOND if late == "update" else 0}
    sources = [a_source(name, **SOURCES[name]) for name in names]
    one, other = (Stream(*sources, seconds=(1, 3), **plan) for _ in range(2))
    quiet, at = Quiet(other.engine), 0.0

    for what, *how in [*steps, ("ticks", 100)]:
        for _ in range(how[0] if what == "ticks" else 1):
            if what == "ticks":
                at += TICK_S
                one.engine.on_tick(ns(at))
                shown(other, quiet, at)
            elif how[0] in names:
                do(one, Quiet(one.engine), at, what, *how)
                do(other, quiet, at, what, *how)
            mine, its = one.take(), other.take()
            assert list(map(attrs.asdict, its)) == list(map(attrs.asdict, mine))


def test_a_window_is_sent_again_at_the_next_tick():
    """A late event ends the quiet, though what it changes is closed."""
    stream = Stream(seconds=(1,), late="update", corrections_ns=10 * SECOND)
    quiet = Quiet(stream.engine)
    stream.hear(a_trade(0.5), a_trade(1.6))
    shown(stream, quiet, 1.65)

    do(stream, quiet, 1.6, "trade", "binance", -1_000)
    was_left_out = shown(stream, quiet, 1.7)
    stream.take()

    assert not was_left_out
    assert [record.values["trades"] for record in stream.seen] == [1, 2]


def test_most_ticks_are_left_out():
    """Of a source that says a trade a second, few ticks of a window are shown."""
    stream = Stream(seconds=(1,))
    quiet, left_out = Quiet(stream.engine), 0

    for tick in range(1, 201):
        left_out += shown(stream, quiet, tick * TICK_S)
        if tick % 20 == 10:
            stream.hear(a_trade(tick * TICK_S))

    assert left_out > 150
    assert len(stream.seen) >= 8
