"""An engine that was written down and read again goes on as if nothing had happened."""

from __future__ import annotations

import json
from collections import Counter, deque

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.model.record import Notice, Repaired
from bond_core.windows.checkpoint.dump import dumped
from bond_core.windows.checkpoint.lines import FORMAT
from bond_core.windows.checkpoint.load import SnapshotError, loaded
from bond_core.windows.plan import BarPlan, ByVenue, Fold, Metric, Reduce, Sum
from tests.core.aggregators.builtin_fields import fields_of
from tests.core.windows.streams import (
    BTC,
    ETH,
    MARKET,
    SECOND,
    TWEETS,
    Stream,
    a_post,
    a_quote,
    a_source,
    a_trade,
    about,
    notices,
    ns,
)

TAILS = Fold(
    lambda: {"last": (), "seen": set(), "most": float("-inf")},
    lambda s, e: {
        "last": (e.price, *s["last"][:2]), "seen": s["seen"] | {e.side},
        "most": max(s["most"], e.size),
    },
    lambda a, b: {
        "last": (*b["last"], *a["last"])[:3], "seen": a["seen"] | b["seen"],
        "most": max(a["most"], b["most"]),
    },
    lambda s: len(s["seen"]) + sum(s["last"]),
)  # fmt: skip
QUEUE = Fold(
    deque, lambda s, e: s + deque([e.price]), lambda a, b: a + b, sum,
    dump=list, load=deque,
)  # fmt: skip
FIELDS = {
    **fields_of("quote"),
    **fields_of("trade"),
    **TWEETS,
    **fields_of("post"),
    "tails": ("trade", TAILS),
    "queue": ("trade", QUEUE),
}


def bytes_of(records):
    """Records as bytes."""
    return [json.dumps(attrs.asdict(r), sort_keys=True, default=list).encode() for r in records]


def again(stream):
    """Have a stream's engine written down, and go on with one that was read from that."""
    lines = b"\n".join(dumped(stream.engine))
    stream.engine = loaded(stream.plan, lines.split(b"\n"))
    return lines


# P8


@st.composite
def some_steps(draw, at_most):
    """What an engine is told in some seconds, mostly in order of time."""
    until = draw(st.sampled_from([6_000, 15_000, 40_000]))
    times = sorted(draw(st.lists(st.integers(-2_000, until), min_size=10, max_size=at_most)))
    steps = []
    for ms in times:
        if draw(st.booleans()):
            steps.append(("on_tick", ns(ms / 1000)))
        steps.append(draw(a_step(ms + draw(st.sampled_from([0, 0, 0, -300, -3_000, -5_000])))))
    return steps


@st.composite
def a_step(draw, ms):
    """Something that an engine is told: the name of a method, and its arguments."""
    at = ms / 1000
    symbol = draw(st.sampled_from([BTC, ETH]))
    source = draw(st.sampled_from(["binance", "okx"]))
    price, size = draw(st.integers(1, 4_000)) / 4, draw(st.integers(0, 80)) / 8
    trade = a_trade(
        at, price, size, symbol=symbol, side=draw(st.sampled_from(["buy", "sell", None])),
        seq=draw(st.integers(0, 5)), recv_ts=ns(at + draw(st.sampled_from([0.01, 0.2, 3.0]))),
        size_unit=draw(st.sampled_from([None] * 9 + ["contracts"])),
    )  # fmt: skip
    quote = a_quote(at, price, price + size, symbol=symbol, bid_size=size, ask_size=1.5)
    post = attrs.evolve(a_post(at, symbol.partition("/")[0]), author=draw(st.sampled_from("abc")))
    notice = Notice(code="gap", detail="a hole", source=source)
    status = draw(st.sampled_from(["live", "stale", "reconnecting"]))
    fetched = Repaired(
        from_ns=ns(at - 4), until_ns=ns(at - 1), events=1, detail="fetched",
        missing=draw(st.sampled_from([None, (ns(at - 3), ns(at - 2))])),
    )  # fmt: skip
    return draw(
        st.sampled_from(
            [
                *[("on_events", source, [trade])] * 10,
                *[("on_events", f"{source}.quotes", [quote])] * 4,
                ("on_events", "posts", [post]),
                ("on_heartbeat", source, ns(at)),
                ("on_status", source, symbol, status, ns(at), "why"),
                ("on_duplicates", source, symbol, 2),
                ("on_rejected", source, symbol, 1),
                ("on_gap", source, symbol, notice),
                ("on_repaired", source, symbol, fetched),
                ("notify", notice, symbol),
            ]
        )
    )


SHAPES = (
    {"seconds": (1, 5, 15)},
    {"seconds": (2, 6), "late": "update", "corrections_ns": 20 * SECOND},
    {"seconds": (6,), "slide_ns": 2 * SECOND},
    {"seconds": (6,), "slide_ns": 2 * SECOND, "late": "update", "corrections_ns": 5 * SECOND},
    {"seconds": (1, 3), "fill": "previous", "late": "update", "corrections_ns": 3 * SECOND},
    {"seconds": (1, 3), "fill": "skip", "key_ttl_ns": 4 * SECOND},
    {"seconds": (1,), "key_ttl_ns": 2 * SECOND},
    {
        "seconds": (2, 4),
        "release_ns": SECOND,
        "bars": (
            BarPlan("2ticks", "ticks", 2.0),
            BarPlan("7base", "volume", 7.0),
            BarPlan("9000quote", "value", 9_000.0),
        ),
    },
)


def a_stream(shape):
    """A stream of all built-in fields and two of its own, of two venues and of posts."""
    both = (BTC, ETH)
    posts = {"BTC": (BTC,), "ETH": (ETH, BTC)}
    sources = [
        *(a_source(name, symbols=both) for name in ("binance", "okx")),
        *(a_source(f"{n}.quotes", "quote", symbols=both, venue=n) for n in ("binance", "okx")),
        a_source("posts", "post", routes=posts, gates=False),
    ]
    return Stream(*sources, symbols=both, fields=FIELDS, **shape)


def told(stream, steps, *, restarts=()):
    """Tell a stream everything, writing it down and reading it again at some steps."""
    for number, (what, *args) in enumerate(steps):
        if number in restarts:
            again(stream)
        getattr(stream.engine, what)(*args)
        if number % 3 == 0:  # between, something that closed waits to be taken
            stream.take()
    stream.finish(45)
    return bytes_of(stream.seen)


@settings(max_examples=60)
@given(
    st.sampled_from(SHAPES),
    some_steps(40),
    st.integers(1, 7).map(lambda first: range(first, 80, 7)),
)
def test_p8_a_snapshot_at_any_event_changes_nothing(shape, steps, restarts):
    """Whatever was told before and after, the records are the same bytes."""
    plain, restarted = a_stream(shape), a_stream(shape)

    assert told(restarted, steps, restarts=restarts) == told(plain, steps)
    assert restarted.engine.totals == plain.engine.totals
    assert restarted.engine.field_errors == plain.engine.field_errors


@settings(max_examples=25)
@given(some_steps(30), st.integers(0, 39))
def test_a_snapshot_of_what_was_read_is_the_same(steps, at):
    """Written, read and written again: nothing is lost, nothing added."""
    stream = a_stream(SHAPES[1])
    for what, *args in steps[:at]:
        getattr(stream.engine, what)(*args)

    lines = again(stream)

    assert again(stream) == lines


def test_what_is_sent_again_after_a_restart_has_all_that_was_there_before():
    """Late events join those of their pane; what was fetched is told, and counts as heard."""

    def play(*, restarts):
        stream = Stream(seconds=(2, 6), late="update", corrections_ns=20 * SECOND)
        stream.engine.on_status("binance", BTC, "reconnecting", ns(2.5))
        stream.engine.on_status("binance", BTC, "live", ns(3.5))
        stream.hear(a_trade(1), a_trade(3.7))
        stream.tick(8.1)
        fetched = Repaired(from_ns=ns(2.5), until_ns=ns(3.5), events=1, detail="fetched")
        steps = [
            ("on_events", "binance", [a_trade(0.5)]),
            ("on_repaired", "binance", BTC, fetched),
            ("on_tick", ns(8.2)),
            ("on_events", "binance", [a_trade(0.7)]),
        ]
        for what, *args in steps:
            if restarts:
                again(stream)
            getattr(stream.engine, what)(*args)
            stream.take()
        stream.finish(10)
        return stream

    whole = play(restarts=False)
    assert [(about(r)[1:], r.values["trades"]) for r in whole.seen if about(r)[2:] == (0, 2)] == [
        ((2, 0, 2), 3), ((6, 0, 2), 4),
    ]  # fmt: skip
    assert bytes_of(play(restarts=True).seen) == bytes_of(whole.seen)


def test_a_source_that_stepped_in_and_one_that_left_are_there_again():
    """A fallback that the plan doesn't know serves on; what the one that left brought stays."""

    def play(*, restarts):
        stream = Stream(a_source(), seconds=(5,))
        stream.hear(a_trade(1))
        stream.engine.add_source(a_source("okx"), ns(2))
        stream.engine.on_status("okx", None, "live", ns(2))
        stream.engine.on_events("okx", [a_trade(3, 200.0)])
        stream.engine.remove_source("binance", ns(4))
        if restarts:
            again(stream)
        stream.engine.on_events("okx", [a_trade(4.5, 300.0), a_trade(12, 100.0)])
        stream.finish(13)
        return bytes_of(stream.seen)

    assert play(restarts=True) == play(restarts=False)


# Case 23


@pytest.mark.parametrize("crash_at", range(1, 40, 3))
def test_case_23_a_crash_between_snapshot_and_emit_repeats_and_loses_nothing(crash_at):
    """
    Snapshot, on for a while, crash, and on from the snapshot and its cursor: as a multiset
    without repeats, the identities are those of a run without a crash; repeats are equal.
    """
    events = [a_trade(n / 4, 100.0 + n, 1.0, id=str(n), seq=n) for n in range(60)]

    def run(stream, several):
        records = []
        for event in several:
            records += stream.hear(event)
        return records

    whole = run(Stream(seconds=(1, 5)), events)

    stream = Stream(seconds=(1, 5))
    before = run(stream, events[:crash_at])
    snapshot, cursor = list(dumped(stream.engine)), crash_at
    before += run(stream, events[crash_at : crash_at + 11])  # sent, but not in the snapshot
    stream.engine = loaded(stream.plan, snapshot)
    after = run(stream, events[cursor:])

    both = before + after
    assert set(map(about, both)) == set(map(about, whole))
    assert Counter(map(about, both)) <= Counter(map(about, whole * 2))
    by_identity = {about(record): record for record in whole}
    assert all(record == by_identity[about(record)] for record in both)


def test_what_closed_and_was_not_taken_is_in_the_snapshot():
    """A crash between closing and emitting loses no record."""
    stream = Stream(seconds=(1,))
    stream.engine.on_events("binance", [a_trade(0.5), a_trade(5)])

    again(stream)

    assert [about(record)[2] for record in stream.take()] == [0, 1, 2, 3]


# What was missed


@pytest.mark.parametrize(("brought", "is_partial"), [((), True), (("binance",), False)])
def test_windows_of_a_time_in_which_the_stream_did_not_run_are_partial(brought, is_partial):
    """Those it touches, of each length, and bars; not where everything is brought afterwards."""
    bars = (BarPlan("3ticks", "ticks", 3.0),)
    stream = Stream(seconds=(1, 5), bars=bars)
    stream.hear(a_trade(1.2), a_trade(2.3))

    again(stream)
    stream.engine.slept(ns(2.5), ns(4.5), brought=brought)
    stream.hear(*(a_trade(n + 0.6) for n in range(4, 17)))

    found = {(about(r)[1], about(r)[2]) for r in stream.seen if r.partial and r.bar is None}
    expected = {(1, 2), (1, 3), (1, 4), (5, 0)} if is_partial else set()
    assert found == expected
    assert [r.partial for r in stream.seen if r.bar][:2] == [is_partial, False]
    again(stream)
    assert stream.engine.parts.stream.missing == []


# What can't be kept


def test_a_state_that_is_not_plain_makes_its_field_null_and_is_told():
    """The field alone, in the windows open then; the next window has it again."""
    broken = Fold(object, lambda s, e: s, lambda a, b: a, lambda s: 1)
    stream = Stream(fields=MARKET | {"odd": ("trade", broken)}, seconds=(1, 5))
    stream.hear(a_trade(0.5))

    again(stream)
    stream.hear(a_trade(2.5), a_trade(9))
    first, _, third, *_ = [r for r in stream.seen if r.timeframe_ns == SECOND]
    (five,) = [r for r in stream.seen if r.timeframe_ns == 5 * SECOND]

    assert (first.values["odd"], first.values["trades"]) == (None, 1)
    assert notices(first) == ["not_kept"]
    assert "odd can't be kept over a restart" in first.notices[0].detail
    assert "a object in it can't be kept" in first.notices[0].detail
    assert third.values["odd"] == 1
    assert (five.values["odd"], five.values["trades"]) == (None, 2)


def test_a_dump_that_raises_is_told_with_its_reason():
    """Nothing is invented, and nothing else is touched."""

    def no(state):
        raise RuntimeError("not today")

    fold = Fold(list, lambda s, e: [*s, e.price], lambda a, b: a + b, sum, dump=no)
    stream = Stream(fields=MARKET | {"odd": ("trade", fold)}, seconds=(1,))
    stream.hear(a_trade(0.5))

    again(stream)
    (first,) = stream.finish(0.6)

    assert (first.values["odd"], first.values["trades"]) == (None, 1)
    assert "RuntimeError: not today" in first.notices[0].detail


def test_too_many_values_are_not_kept():
    """A state that would hold everybody up while it is written is left out, and told."""
    fold = Fold(lambda: [0] * 200_001, lambda s, e: s, lambda a, b: a, len)
    stream = Stream(fields={"odd": ("trade", fold)}, seconds=(1,))
    stream.hear(a_trade(0.5))

    again(stream)

    assert "more than 200000 values" in stream.finish(0.6)[0].notices[0].detail


def test_what_a_venue_gave_and_can_not_be_kept_is_not_carried_on():
    """A field by venue knows of no earlier window at first; without a restart it would be 1."""
    odd = Reduce(["price"], lambda prices: object(), lambda a, b: a, lambda s: s)
    field = ByVenue(odd, lambda venues: len([v for v in venues if v.before is not None]))
    stream = Stream(fields={"odd": ("trade", field)}, seconds=(1,))
    stream.hear(a_trade(0.5), a_trade(1.8))

    again(stream)
    stream.hear(a_trade(4))

    assert [record.values["odd"] for record in stream.seen[:3]] == [0, 0, 1]
    assert "not_kept" in notices(stream.seen[1])


# What is refused


def a_snapshot(**changes):
    """A snapshot of a stream with an event, as lines."""
    stream = Stream(**changes)
    stream.hear(a_trade(1))
    return list(dumped(stream.engine))


def test_a_snapshot_of_another_spec_is_refused_naming_both():
    """It says which spec it is of, and which the stream has."""
    lines = a_snapshot(seconds=(1,))
    mine, its = (json.loads(each[0])["spec"] for each in (a_snapshot(), lines))

    with pytest.raises(SnapshotError, match=f"of spec {its}, the stream's is {mine}"):
        loaded(Stream().plan, lines)


def test_a_snapshot_of_another_program_is_refused_naming_both():
    """Fields of the same name that are computed otherwise are another program."""
    sizes, prices = ({"x": ("trade", Metric({"x": Sum(of)}))} for of in ("size", "price"))
    lines = a_snapshot(fields=sizes)

    with pytest.raises(SnapshotError, match=r"of program \w{16}, the stream's is \w{16}"):
        loaded(Stream(fields=prices).plan, lines)


def test_functions_of_another_version_are_another_program():
    """The name is the same, the code is not, and so may be the state."""
    one = {"x": ("trade", Fold(list, lambda s, e: s, lambda a, b: a, len))}
    other = {"x": ("trade", Fold(list, lambda s, e: [*s, 1], lambda a, b: a, len))}

    with pytest.raises(SnapshotError, match="of program"):
        loaded(Stream(fields=other).plan, a_snapshot(fields=one))


def test_a_snapshot_of_another_format_is_refused_naming_both():
    """Both numbers are said."""
    head, *rest = a_snapshot()
    newer = json.dumps(json.loads(head) | {"format": 99, "more": 1}).encode()

    with pytest.raises(SnapshotError, match=f"of format 99, this Bond reads {FORMAT}"):
        loaded(Stream().plan, [newer, *rest])


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [],
        lambda lines: [b"nonsense", *lines[1:]],
        lambda lines: lines[:1],
        lambda lines: lines[:-1],
        lambda lines: lines[:3] + lines[4:],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:2], b'["other",1]', *lines[3:]],
        lambda lines: [lines[0][:-1] + b',"more":1}', *lines[1:]],
        lambda lines: [lines[0], lines[1][:-1] + b",1]", *lines[2:]],
        lambda lines: [x.replace(b'"pane","open",[', b'"pane","kept",[') for x in lines],
        lambda lines: [x.replace(b'"BTC/USDT"', b'"XRP/USDT"') for x in lines],
    ],
)
def test_a_damaged_snapshot_is_refused(damage):
    """Cut short, with a line more or less, or with something else in it: one kind of error."""
    with pytest.raises(SnapshotError, match="damaged"):
        loaded(Stream().plan, damage(a_snapshot()))


def test_a_stream_that_ended_has_no_snapshot():
    """There is nothing to go on from."""
    stream = Stream()
    stream.finish(1)

    with pytest.raises(ValueError, match="ended"):
        list(dumped(stream.engine))
