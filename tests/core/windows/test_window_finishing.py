"""Fields that a window's panes alone can't say: over windows, and by venue."""

from __future__ import annotations

import json

import attrs
import pytest

from bond_core.windows.compile import plan_kind
from bond_core.windows.engine import WindowEngine
from bond_core.windows.finishing import Finishing, Place, Window
from bond_core.windows.history import History
from bond_core.windows.plan import (
    ByVenue,
    Change,
    Count,
    Last,
    Metric,
    Reduce,
    Rolling,
    StreamPlan,
    Sum,
)
from bond_core.windows.program import load
from tests.core.aggregators.builtin_fields import fields_of
from tests.core.windows.streams import (
    BTC,
    ETH,
    MARKET,
    SECOND,
    Stream,
    a_quote,
    a_source,
    a_trade,
    ns,
)

CLOSE = Metric({"p": Last("price")})
CHANGE = {"x": ("trade", Change(CLOSE, lambda now, before: now - before))}
QUOTES = fields_of("quote")


def the(field, kind="quote"):
    """A built-in field, alone."""
    return {field: fields_of(kind)[field]}


def xs(stream, seconds=1, field="x", symbol=BTC):
    """The values of a field in the records of one timeframe."""
    return [
        r.values[field] for r in stream.seen
        if r.timeframe_ns == seconds * SECOND and r.symbol == symbol
    ]  # fmt: skip


def test_a_change_passes_over_windows_without_a_value():
    """They are unknown themselves, and the next change is from the last known value."""
    stream = Stream(seconds=(1, 2), fields=CHANGE)
    stream.hear(a_trade(0, 10), a_trade(1, 13), a_trade(4, 20), a_trade(5, 21))
    stream.finish(6)

    assert xs(stream) == [None, 3, None, None, 7, 1]
    assert xs(stream, 2) == [None, None, 8]


def test_a_change_remembers_over_any_silence():
    """A thousand empty windows later the last known value is still there, and nothing else."""
    stream = Stream(seconds=(1,), fields=CHANGE)
    stream.engine._closer.max_fill = 10_000
    stream.hear(a_trade(0, 10))
    stream.tick(1000)
    stream.hear(a_trade(1000.5, 15))
    stream.finish(1001)

    assert xs(stream)[-1] == 5
    (history,) = stream.engine._stream.finishing.past.values()
    assert len(history.places) == 2


def test_each_symbol_has_its_own_past():
    """Nobody's value is compared with another's."""
    stream = Stream(seconds=(1,), fields=CHANGE, symbols=(BTC, ETH))
    stream.hear(a_trade(0, 10), a_trade(0, 100, symbol=ETH))
    stream.hear(a_trade(1, 11), a_trade(1, 90, symbol=ETH))
    stream.finish(2)

    assert xs(stream) == [None, 1]
    assert xs(stream, symbol=ETH) == [None, -10]


def test_a_rolling_field_waits_for_its_windows_and_drops_those_that_are_over():
    """Empty windows count as windows; where none is known there is no value."""
    seen = []

    def count(known):
        seen.append(list(known))
        return len(known)

    field = {"x": ("trade", Rolling(CLOSE, 3, count))}
    stream = Stream(seconds=(1,), fields=field)
    stream.hear(a_trade(0, 1), a_trade(1, 2), a_trade(3, 4), a_trade(8, 9))
    stream.finish(9)

    assert xs(stream) == [None, None, 2, 2, 1, 1, None, None, 1]
    assert seen == [[1, 2], [2, 4], [4], [4], [9]]


def test_windows_of_one_value_are_remembered_once():
    """As many as the longest needs, and each field sees its own."""
    fields = {
        f"last_{n}": ("trade", Rolling(Metric({"p": Last("price")}), n, len)) for n in (2, 5, 3)
    }
    stream = Stream(seconds=(1,), fields=fields)
    stream.hear(*(a_trade(at, 1 + at) for at in range(9)))
    (*_, last) = stream.finish(9)

    assert last.values == {"last_2": 2, "last_5": 5, "last_3": 3}
    (history,) = stream.engine._stream.finishing.past.values()
    assert len(history.places) <= 5 + 2


def test_a_revised_window_is_computed_from_the_same_past_and_replaces_its_own():
    """
    Revised, window 3 has the answer it would have had at first; a later one takes the new value.
    """
    plan = StreamPlan(
        symbols=(BTC,), timeframes_ns=(SECOND,), sources=(),
        fields=CHANGE | {"sum": ("trade", Rolling(CLOSE, 3, sum))},
    )  # fmt: skip

    def finished(finishing, second, close):
        values = {"x": close, "sum": close}
        finishing.finish(
            Window(symbol=BTC, place=Place(SECOND, ns(second), step=SECOND, keep=10 * SECOND),
                   start_ns=ns(second), end_ns=ns(second + 1), values=values,
                   states=(), kind_of=lambda _: "trade")
        )  # fmt: skip
        return values["x"], values["sum"]

    at_once = Finishing.of(plan, print)
    right = [finished(at_once, n, close) for n, close in enumerate([1, 2, None, 8, 16, 32])]

    revised = Finishing.of(plan, print)
    first = [finished(revised, n, close) for n, close in enumerate([1, 2, None, None, 16])]
    assert first[4] == (14, 16)
    assert finished(revised, 3, 8) == right[3] == (6, 10)
    assert finished(revised, 4, 16) == right[4]
    assert finished(revised, 5, 32) == right[5]


def test_what_is_remembered_is_plain_data():
    """It can be written as JSON and read again."""
    stream = Stream(a_source("s", "quote"), a_source("t", "quote"), seconds=(1, 3), fields=QUOTES)
    stream.hear(*(a_quote(at, 10 + at, 11 + at) for at in range(7)), source="s")
    stream.finish(7)

    for history in stream.engine._stream.finishing.past.values():
        text = json.dumps([history.first, history.places, history.values])
        assert History(*json.loads(text)) == history


def two_venues(fields, kind="quote", seconds=(1,)):
    """A stream of two venues."""
    sources = [a_source(name, kind, idle_ns=1 << 60) for name in ("binance", "okx")]
    return Stream(*sources, fields=fields, seconds=seconds)


def test_a_stale_venues_quote_is_left_out_at_once_and_not_taken_up_again():
    """
    It had the best bid. Live again, it has none until it quotes anew.
    """
    stream = two_venues(the("best_bid") | the("best_bid_venue"))
    hear, turn = stream.hear, stream.engine.on_status
    for at in range(6):
        hear(a_quote(at, 10 + at, 50), source="okx")
        if at == 0:
            hear(a_quote(0.5, 30, 50), source="binance")
        if at == 2:
            turn("binance", None, "stale", ns(2.5))
        if at == 3:
            turn("binance", None, "live", ns(3.5))
        if at == 5:
            hear(a_quote(5.5, 31, 50), source="binance")
    stream.finish(6)

    assert xs(stream, field="best_bid") == [30, 30, 12, 13, 14, 31]
    assert xs(stream, field="best_bid_venue") == ["binance"] * 2 + ["okx"] * 3 + ["binance"]


@pytest.mark.parametrize("field", ["best_bid", "best_bid_venue", "venue_spread", "bid_twa"])
def test_with_every_venue_gone_nothing_stands(field):
    """Not the last thing that anybody said."""
    stream = two_venues(the(field))
    for name in ("binance", "okx"):
        stream.hear(a_quote(0, 30, 50), source=name)
    for name in ("binance", "okx"):
        stream.engine.on_status(name, None, "failed", ns(1), "no")
    stream.finish(3)

    assert xs(stream, field=field)[1:] == [None, None]


def test_a_venue_that_left_counts_until_it_did():
    """Time-weighted: its quote stands to its own last one, and the other's to the end."""
    stream = two_venues(the("bid_twa"))
    stream.hear(a_quote(0, 10, 50), a_quote(0.5, 20, 50), source="okx")
    stream.hear(a_quote(0, 40, 50), source="binance")
    stream.engine.on_status("okx", None, "reconnecting", ns(0.75))
    stream.finish(1)

    assert xs(stream, field="bid_twa") == [(10 * 0.5 + 40 * 1) / 1.5]


def test_shares_are_of_what_was_heard():
    """0 for a venue that listened and heard nothing, None for one that was down."""
    stream = two_venues(the("volume_share", "trade"), "trade")
    stream.hear(a_trade(0, size=3), a_trade(1, size=2), source="binance")
    stream.hear(a_trade(0.5, size=1), source="okx")
    stream.engine.on_status("okx", None, "failed", ns(2), "no")
    stream.hear(a_trade(2, size=2), source="binance")
    stream.finish(4)

    assert xs(stream, field="volume_share") == [
        {"binance": 0.75, "okx": 0.25}, {"binance": 1, "okx": 0}, {"binance": 1, "okx": None}, None,
    ]  # fmt: skip


def test_a_source_that_steps_in_has_a_share():
    """It wasn't in the plan when the stream began."""
    stream = Stream(fields=the("volume_share", "trade"), seconds=(1,))
    stream.engine.add_source(a_source("bybit"), ns(0))
    stream.engine.on_status("bybit", None, "live", ns(0))
    stream.hear(a_trade(0, size=1), source="bybit")
    stream.hear(a_trade(0, size=3))
    stream.finish(1)

    assert xs(stream, field="volume_share") == [{"binance": 0.75, "bybit": 0.25}]


def test_a_field_may_be_finished_for_one_kind_and_not_for_another():
    """A price of trades as it is; where there are only quotes, the best of the venues."""
    both = [a_source("binance", symbols=(BTC,)), a_source("okx", "quote", symbols=(ETH,))]
    stream = Stream(*both, symbols=(BTC, ETH), seconds=(1,), fields={"x": ("trade", CLOSE)})
    plan = attrs.evolve(stream.plan, instead={"x": {"quote": QUOTES["best_bid"][1]}})
    stream.engine = WindowEngine(plan, start_ns=ns(0))
    for source in both:
        stream.engine.on_status(source.name, None, "live", ns(0))
    stream.hear(a_trade(0, 10))
    stream.hear(a_quote(0, 7, 9, symbol=ETH), source="okx")
    stream.finish(2)

    assert xs(stream) == [10, None]
    assert xs(stream, symbol=ETH) == [7, 7]


def a_metric(answer, **given):
    """A field whose author's code always gives this."""
    return Metric({"p": Last("price")}, lambda p: answer if p else None, **given)


@pytest.mark.parametrize(
    "broken",
    [
        Change(CLOSE, lambda *_: 1 / 0),
        Change(a_metric({}), lambda *_: 1),
        Rolling(CLOSE, 2, lambda _: "many"),
        ByVenue(CLOSE, lambda _: float("nan")),
        ByVenue(CLOSE, lambda _: {"binance": "all"}, gives="shares"),
        ByVenue(CLOSE, lambda _: dict.fromkeys(range(1000), 1.0), gives="shares"),
        ByVenue(Metric({"p": Sum("price")}, lambda p: p / 0), lambda v: v[0].value * 1),
        a_metric(10**400),
        a_metric(True),
        a_metric("1"),
        a_metric("x" * 1000, gives="text"),
        a_metric([0] * 10**6),
    ],
    ids=str,
)
def test_garbage_is_null_and_counted_and_nothing_else_suffers(broken):
    """Whatever an author returns or raises; the other fields and the next window are right."""
    stream = Stream(seconds=(1,), fields=MARKET | {"x": ("trade", broken)})
    for at in range(4):
        stream.hear(a_trade(at, 10 + at))
    stream.finish(4)

    assert [x for x in xs(stream) if x not in (None, {"binance": None})] == []
    assert xs(stream, field="price_close") == [10, 11, 12, 13]
    assert stream.engine.field_errors["x"] >= 3
    told = [n for r in stream.seen for n in r.notices if n.code == "aggregator_error"]
    assert len(told) == 1


def test_an_error_that_can_not_be_read_is_told_all_the_same():
    """Its text is an author's code too, and may be of any length."""

    class NastyError(Exception):
        def __str__(self):
            raise self

    def nasty(p):
        raise NastyError

    def long(p):
        raise ValueError("x" * 10**6)

    for finish, said in ((nasty, "NastyError"), (long, "ValueError: xxx")):
        stream = Stream(seconds=(1,), fields={"x": ("trade", Metric({"p": Last("price")}, finish))})
        stream.hear(a_trade(0))
        stream.finish(2)
        (notice,) = [n for r in stream.seen for n in r.notices]
        assert said in notice.detail
        assert len(notice.detail) < 500


def test_fields_that_share_columns_share_a_partial():
    """Prices are kept and sorted once for all quantiles of a stream."""
    stream = Stream(seconds=(1,), fields={n: f for n, f in fields_of("trade").items() if "_p" in n})

    assert stream.engine.source_code["trade"].count("lambda events") == 1


def test_where_a_shared_partial_breaks_every_field_of_it_is_counted():
    """One is not less broken than the other."""

    def broken(_):
        raise RuntimeError("no")

    fields = {
        name: ("trade", Reduce(["price"], broken, max, finish))
        for name, finish in (("x", float), ("y", abs))
    }
    stream = Stream(seconds=(1,), fields=fields)
    stream.hear(a_trade(0))
    stream.finish(1)

    assert stream.engine.field_errors == {"x": 1, "y": 1}


def test_a_pane_that_gets_more_events_is_settled_anew():
    """Its Reduce sees all of them in their order, however late one came."""
    program = load(plan_kind("trade", {"x": Reduce(["price"], list, list.__add__, sum)}), print)
    pane = program.new_pane()
    pane.events += [a_trade(1, 10), a_trade(3, 30)]
    pane.n = 2
    program.settle(pane)
    assert program.values(pane) == {"x": 40}

    pane.events.append(a_trade(2, 20))
    program.settle(pane)

    assert pane.r0 == [10, 20, 30]
    assert program.values(pane) == {"x": 60}


def test_whole_constants_beside_floats_are_floats():
    """Nothing changes but the speed: two floats are compared and added fastest."""
    field = Metric({"n": Count("size > 2 and -3 < size / 2")})
    code = load(plan_kind("trade", {"x": field}), print).source

    assert "e_size > 2.0" in code
    assert "-(3.0) < (e_size / 2.0)" in code
    whole = load(plan_kind("trade", {"x": Metric({"n": Count("ts > 2")})}), print).source
    assert "if ts > 2:" in whole
