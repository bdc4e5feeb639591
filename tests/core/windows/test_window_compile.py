"""What aggregators may write, what is refused and how, and what is made of it."""

import traceback

import pytest

from bond_core.errors import PluginError
from bond_core.model.event import EVENT_CLASSES, Quote
from bond_core.windows.compile import plan_kind
from bond_core.windows.expression import event_fields
from bond_core.windows.plan import Count, First, Last, Max, Metric, Min, Reduce, Sum
from bond_core.windows.program import load
from bond_core.windows.render import render
from tests.core.windows.streams import (
    BTC,
    MARKET,
    Stream,
    a_quote,
    a_source,
    a_trade,
    ns,
)


def value_of(partial, *events, kind="trade"):
    """The value of one partial over events of one window."""
    stream = Stream(a_source("s", kind), fields={"x": (kind, Metric({"x": partial}))})
    stream.hear(*events, source="s")
    (record,) = stream.finish(5)
    return record.values["x"]


def refused(field, kind="trade"):
    """The error that a field is refused with."""
    with pytest.raises(PluginError) as caught:
        plan_kind(kind, {"vwap": field})
    return caught.value


def test_an_unknown_name_says_what_exists():
    """Field, expression, what there is, and what may have been meant."""
    error = refused(Metric({"x": Sum("prize * size")}))

    text = str(error)
    for part in ("vwap", "'prize * size'", "'prize'", "symbol, ts, price, size", "price or size?"):
        assert part in text
    assert error.problems[0].did_you_mean == ("price", "size")


@pytest.mark.parametrize(
    "text",
    [
        "price ** 2",
        "price // 2",
        "price % 2",
        "price @ size",
        "abs(price)",
        "__import__('os')",
        "price.real",
        "values['a']",
        "[price]",
        "(price, size)",
        "lambda: price",
        "price if size",
        "(price := 2)",
        "~ts",
        "+price",
        "f'{price}'",
        "price > 2",
        "price and size",
        "not price",
        "True",
        "None",
        "1e999",
        "1j",
        "b'x'",
        "9223372036854775808",
        "...",
        "side",
        "symbol + venue",
        "'text'",
        "",
        "price; size",
        "price\nsize",
        "x" * 501,
        "(" * 300 + "price" + ")" * 300,
        "price\0",
        "kind",
        "price if side == 'buy' else side",
    ],
)
def test_what_is_no_value_is_refused(text):
    """Whatever can't be summed, or isn't of the grammar, is refused before it runs."""
    error = refused(Metric({"x": Sum(text)}))

    assert error.code == "bad_expression"
    assert "vwap" in error.detail


@pytest.mark.parametrize(
    "text",
    [
        "price",
        "price + size",
        "1 < price < 3",
        "not price > 2",
        "price in (1, 2)",
        "side == 3",
        "price == 'buy'",
        "price is 3",
        "price is size",
        "exec('1') == 1",
        "price > 2 and abs(size)",
        "True",
        "side",
    ],
)
def test_what_is_no_condition_is_refused(text):
    """So is a condition that isn't one."""
    assert refused(Metric({"x": Count(text)})).code == "bad_expression"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (Sum("price"), "takes a Metric"),
        (Metric({"a": Count(), "b": Count()}), "2 partials and no finish"),
        (Metric({}), "0 partials and no finish"),
        (Metric({"x": "price"}), "partials are Count, Sum"),
        (Metric({"a b": Count()}, len), "give them names"),
        (Metric({"class": Count()}, len), "give them names"),
        (Reduce(["prize"], sum, max, float), "'prize'"),
    ],
    ids=["no plan", "no finish", "nothing", "no partial", "no name", "keyword", "column"],
)
def test_a_field_that_is_none_is_refused(field, said):
    """With the field's name and what is wrong."""
    error = refused(field)

    assert said in error.detail
    assert "vwap" in error.detail


def test_an_unknown_kind_is_refused():
    """An aggregator of a kind that doesn't exist is a mistake in it."""
    with pytest.raises(PluginError, match="'trades'; kinds are trade"):
        plan_kind("trades", {})


@pytest.mark.parametrize(
    ("partial", "value"),
    [
        (Sum("price"), 60.0),
        (Sum("price * size"), 10 * 1 + 20 * 2 + 30 * 3),
        (Sum("-price + 2 * (size - 1)"), -60 + 2 * 3),
        (Sum("price / size"), 30.0),
        (Sum("price / (size - 2)"), 10 / -1 + 30 / 1),
        (Sum("1 / 0 * price"), 0.0),
        (Min("price"), 10.0),
        (Max("price - size"), 27.0),
        (First("size"), 1.0),
        (Last("size"), 3.0),
        (Last("side"), None),
        (First("side"), "buy"),
        (Count(), 3),
        (Count("side == 'buy'"), 1),
        (Count("side != 'buy'"), 1),
        (Count("side is None"), 1),
        (Count("side is not None"), 2),
        (Count("price >= 20 and size < 3"), 1),
        (Count("price < 20 or size == 3"), 2),
        (Count("price > 10 and (size > 2 or side == 'sell')"), 2),
        (Sum("size", where="price > 10 and side == 'sell'"), 2.0),
        (Sum("seq"), 3),
        (Sum("price if side == 'buy' else size"), 10 + 2 + 3),
        (Max("size if price > 10 else price"), 10.0),
        (Min("price", where="price > 1000"), None),
        (First("price", where="price > 10"), 20.0),
        (Last("price", where="price < 30"), 20.0),
    ],
    ids=str,
)
def test_partials_compute_what_they_say(partial, value):
    """Three trades: 10 x 1 bought, 20 x 2 sold, 30 x 3 of which the venue doesn't say."""
    trades = [
        a_trade(1, 10.0, 1.0, side="buy", seq=0),
        a_trade(2, 20.0, 2.0, side="sell", seq=1),
        a_trade(3, 30.0, 3.0, seq=2),
    ]

    if isinstance(partial, Last) and partial.of == "side":
        value = "sell"  # an unknown side doesn't count
    assert value_of(partial, *trades) == value


@pytest.mark.parametrize(
    ("partial", "value"),
    [
        (Sum("bid"), 10.0),
        (Sum("ask - bid"), 1.0),
        (Min("bid"), 10.0),
        (First("bid"), 10.0),
        (Last("bid"), 10.0),
        (Last("ask"), 12.0),
        (Count("bid > 5"), 1),
        (Count("bid > 5 or ask > 5"), 2),
        (Count("bid != 10"), 0),
        (Count("ask - bid > 0"), 1),
        (Sum("bid if bid is not None else ask"), 10.0 + 12.0),
        (Sum("(bid if bid > 5 else ask) * 2"), 2 * (10.0 + 12.0)),
        (Sum("ask / bid_size"), 0.0),
    ],
    ids=str,
)
def test_an_unknown_operand_makes_a_partial_pass_over_the_event(partial, value):
    """A quote with both sides, one with only the ask, one with nothing."""
    quotes = [a_quote(1, 10.0, 11.0), a_quote(2, None, 12.0), a_quote(3, None, None)]

    assert value_of(partial, *quotes, kind="quote") == value


def test_every_nullable_field_may_be_summed_or_is_refused():
    """Over all kinds and fields: a number is summed, also when it is None; a text is not."""
    for kind, cls in EVENT_CLASSES.items():
        for name, field in event_fields(kind).items():
            if field.type not in ("int", "float"):
                with pytest.raises(PluginError, match=name):
                    plan_kind(kind, {"x": Metric({"x": Sum(name)})})
                continue
            source = render(plan_kind(kind, {"x": Metric({"x": Sum(name)})}))
            assert (f"e_{name} is not None" in source) == field.nullable, (cls, name)


def test_equal_partials_are_kept_once():
    """Whoever asks for them: seven fields of prices and volume need nine things kept."""
    fields = {name: field for name, (_, field) in MARKET.items()}
    fields["again"] = Metric({"v": Sum("size"), "pv": Sum("price*size")}, lambda v, pv: pv - v)

    plan = plan_kind("trade", fields)

    steps = sorted(slot.step for slot in plan.slots)
    assert steps == ["count", "count", "first", "last", "max", "min", *["sum"] * 7]
    assert len({slot.name for slot in plan.slots}) == len(plan.slots)


def test_common_subexpressions_are_computed_once():
    """A product that several partials need is one multiplication per event, either way it goes."""
    value = "price * size"
    partials = {"a": Sum(value), "b": Max(value), "c": Sum(f"{value} * price"), "d": Min(value)}

    source = render(plan_kind("trade", {"x": Metric(partials, max)}))
    loop = source[source.index("def run") : source.index("def absorb")]

    newest, any_other = loop.rsplit("            continue\n        if not", 1)
    for way in (newest, any_other):
        assert way.count("e_price * e_size") == 1
        assert way.count("e.price") == 1
    assert value_of(Sum(f"{value} * price"), a_trade(1, 3.0, 2.0)) == 18


def test_first_and_last_of_an_event_share_it():
    """Size and time of the last trade need one slot, and their values come from one event."""
    fields = {"t": Metric({"x": Last("ts")}), "s": Metric({"x": Last("size")})}

    plan = plan_kind("trade", fields)

    assert [slot.step for slot in plan.slots] == ["last"]
    assert len(plan.reads) == 2


def test_the_count_of_all_events_costs_nothing_per_event():
    """The engine counts them anyway."""
    source = render(plan_kind("trade", {"n": Metric({"n": Count()})}))

    assert "a.n += 1" not in source


def test_a_fields_text_never_reaches_the_source():
    """Names of fields are data: whatever they are, they stand in quotes."""
    name = "x'] = 1\nimport os #"

    source = render(plan_kind("trade", {name: Metric({"n": Count()}, lambda n: n)}))

    assert "\nimport os" not in source
    assert repr(name) in source


def test_a_trace_shows_the_generated_line():
    """Where the loop breaks, the traceback has its source."""
    stream = Stream()
    broken = a_trade(1)
    broken.price = "12.5"

    with pytest.raises(TypeError) as caught:
        stream.hear(a_trade(0.5), broken)

    assert "a.s0 += e_price" in "".join(traceback.format_exception(caught.value))
    assert "a.s0 += e_price" in stream.engine.source_code["trade"]


def test_the_same_plan_is_compiled_once():
    """Streams alike share their code, and state nothing."""
    plan = plan_kind("quote", {"b": Metric({"b": Sum("bid")})})

    one, two = (load(plan, lambda *_: None) for _ in range(2))

    assert one.run.__code__ is two.run.__code__
    assert one.new_pane is not two.new_pane


def test_a_quote_is_an_event_like_any():
    """The loop reads what every event has, and what its kind has."""
    assert value_of(Count(), Quote(symbol=BTC, ts=ns(1), recv_ts=ns(1)), kind="quote") == 1
