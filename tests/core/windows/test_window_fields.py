"""Fields computed by an author's own functions: what those see, and what they may break."""

import math

import pytest

from bond_core.windows.plan import Count, Fold, Metric, Reduce, Sum
from tests.core.windows.streams import MARKET, Stream, a_quote, a_source, a_trade, ns


def test_a_reduce_gets_the_columns_of_a_pane_in_order_of_time():
    """By `(ts, seq)`, events with an unknown column left out; panes are merged in order."""
    seen = []

    def reduce(bids, spreads):
        seen.append((bids, spreads))
        return bids

    field = Reduce(["bid", "ask - bid"], reduce, lambda a, b: a + b, lambda bids: bids[0] * 100)
    stream = Stream(
        a_source("s", "quote"), seconds=(5, 10), fields={"x": ("quote", field)}, start=0
    )
    stream.hear(a_quote(3, 3, 4), a_quote(1, 1, 2), a_quote(2, None, 9), source="s")
    stream.hear(a_quote(8, 8, 10), source="s")

    records = stream.finish(10)

    assert seen == [([1, 3], [1, 1]), ([8], [2])]
    assert [record.values["x"] for record in records] == [800, 100]
    assert [record.values["x"] for record in stream.seen] == [100, 800, 100]


@pytest.mark.parametrize(
    "part",
    ["zero", "add", "merge", "result", "reduce", "join", "finish"],
)
def test_each_part_of_a_field_may_raise_without_harm(part):
    """The field is null where the part was needed, and its neighbour is right."""

    def may_raise(name, function):
        def raises(*_):
            raise RuntimeError(name)

        return raises if name == part else function

    fold = Fold(
        may_raise("zero", lambda: 0),
        may_raise("add", lambda s, _: s + 1),
        may_raise("merge", lambda a, b: a + b),
        may_raise("result", lambda s: s),
    )
    reduce = Reduce(
        ["price"],
        may_raise("reduce", len),
        may_raise("join", lambda a, b: a + b),
        may_raise("finish", lambda n: n),
    )
    fields = {"fold": ("trade", fold), "reduce": ("trade", reduce)} | MARKET
    stream = Stream(seconds=(5, 10), fields=fields)
    stream.hear(a_trade(1), a_trade(2), a_trade(7))
    stream.finish(10)

    hit = "fold" if part in ("zero", "add", "merge", "result") else "reduce"
    other = {"fold": "reduce", "reduce": "fold"}[hit]
    panes, larger = stream.seen[:2], stream.seen[2]
    assert [r.values[other] for r in stream.seen] == [2, 1, 3]
    assert [r.values["trades"] for r in stream.seen] == [2, 1, 3]
    assert larger.values[hit] is None
    merges = part in ("merge", "join")
    assert [r.values[hit] for r in panes] == ([2, 1] if merges else [None, None])
    assert set(stream.engine.field_errors) == {hit}


def test_a_merge_may_change_what_it_is_given():
    """Several larger windows take in one pane; each has a state of its own."""

    def extend(a, b):
        a.extend(b)
        return a

    field = Fold(list, lambda s, e: [*s, e.price], extend, str, gives="text")
    stream = Stream(seconds=(1, 2, 4), fields={"x": ("trade", field)})
    stream.hear(*(a_trade(at, at) for at in range(4)))

    records = {(r.timeframe_ns, r.window_start_ns): r.values["x"] for r in stream.finish(4)}
    records |= {(r.timeframe_ns, r.window_start_ns): r.values["x"] for r in stream.seen}

    at = dict(enumerate(["[0]", "[1]", "[2]", "[3]"]))
    assert {start: records[10**9, ns(start)] for start in at} == at
    assert records[2 * 10**9, ns(0)] == "[0, 1]"
    assert records[2 * 10**9, ns(2)] == "[2, 3]"
    assert records[4 * 10**9, ns(0)] == "[0, 1, 2, 3]"


def test_a_merge_sees_no_state_without_events():
    """Silent panes leave a fold's state alone, so its zero need not be a neutral one."""
    newest = Fold(lambda: None, lambda _, e: e.price, lambda a, b: a * 1000 + b, lambda s: s)
    stream = Stream(seconds=(1, 5), fields={"x": ("trade", newest)})
    stream.hear(a_trade(1, 7), a_trade(3, 8))

    records = stream.finish(5)

    assert records[-1].values["x"] == 7008
    assert stream.engine.field_errors == {}


def _raises(**_):
    raise ZeroDivisionError("float division by zero")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Metric({"n": Count()}, _raises), "ZeroDivisionError"),
        (Metric({"n": Count()}, lambda n: n * math.nan), "not finite"),
        (Metric({"n": Sum("price * 1e308 * 1e10")}), "not finite"),
        (Metric({"n": Count()}, lambda n: [n]), "list"),
    ],
    ids=["raises", "NaN", "infinite", "no value"],
)
def test_case_29_a_field_that_breaks_is_null_and_the_others_are_right(broken, said):
    """Its error is told once, counted each time, and stops nothing."""
    stream = Stream(fields=MARKET | {"broken": ("trade", broken)})

    first = stream.hear(a_trade(1, 100), a_trade(5.5, 105))
    second = stream.hear(a_trade(10.5))
    third = stream.hear(a_trade(15.5))

    for (record,), price in ((first, 100), (second, 105)):
        assert record.values["broken"] is None
        assert record.values["price_close"] == price
    told = [notice for (r,) in (first, second, third) for notice in r.notices]
    assert [(notice.code, notice.source) for notice in told] == [("aggregator_error", None)]
    assert said in told[0].detail
    assert stream.engine.field_errors == {"broken": 3}
