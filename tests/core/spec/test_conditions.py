"""Conditions: how they read, what they mean, and what is refused."""

from __future__ import annotations

import contextlib
import functools
import math

import pytest
from cel_expr_python import cel
from hypothesis import assume, given
from hypothesis import strategies as st

from bond_core.model.record import Record, SourceReport
from bond_core.spec.conditions.check import Vocabulary, check_condition
from bond_core.spec.conditions.evaluate import condition_of
from bond_core.spec.conditions.given import condition_text
from bond_core.spec.conditions.lookback import Seen
from bond_core.spec.conditions.parse import (
    MAX_NODES,
    MAX_TEXT,
    ConditionError,
    parse_condition,
)
from bond_core.spec.conditions.tree import (
    Binary,
    Call,
    Choice,
    Constant,
    Items,
    Name,
    Unary,
    text_of,
    walk,
)
from bond_core.structuring import MisfitError

SECOND = 1_000_000_000
FIELDS = {
    "price_avg": "number", "tweets": "number", "vwap": "number", "a": "number", "b": "number",
    "c": "number", "best_bid_venue": "text", "volume_share": "numbers by venue", "bids": "levels",
}  # fmt: skip
VOCABULARY = Vocabulary(FIELDS, ("binance", "binance.quotes"), SECOND)


def a_record(end=1, symbol="BTC/USDT", **values):
    """A record whose window ends so many seconds after the epoch."""
    report = SourceReport(status="live", coverage=1.0, count=3, lag_ms=40)
    return Record(
        symbol=symbol, timeframe_ns=SECOND, window_start_ns=(end - 1) * SECOND,
        window_end_ns=end * SECOND, values=values, sources={"binance": report},
    )  # fmt: skip


def holds(text, **values):
    """What a condition says of a record with these values."""
    condition = condition_of(parse_condition(text))
    return condition.holds(condition.look(a_record(**values), condition.begin()))


def over(text, *values):
    """What a condition says of one record a second, with these prices."""
    condition = condition_of(parse_condition(text))
    memory = condition.begin()
    return [
        condition.holds(condition.look(a_record(n, price_avg=value), memory))
        for n, value in enumerate(values, start=1)
    ]


# What a text is


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("price_avg>70k", "price_avg > 70000"),
        ("price_avg > 1.5M and tweets >= 1_000", "price_avg > 1500000 && tweets >= 1000"),
        ("not a > 1 or b < 2 and c == 3", "!(a > 1) || b < 2 && c == 3"),
        ("!(a > 1)", "!(a > 1)"),
        ("a - (b - c) - 1", "a - (b - c) - 1"),
        ("(a - b) - c", "a - b - c"),
        ("-(a + b) * - -c", "-(a + b) * -(-c)"),
        ("(a > b) == (b > c)", "(a > b) == (b > c)"),
        ("a > 1 ? b > 2 : c > 3 ? true : false", "a > 1 ? b > 2 : c > 3 ? true : false"),
        ("best_bid_venue in ['binance',\"okx\"]", 'best_bid_venue in ["binance", "okx"]'),
        ("sources['binance.quotes'].lag_ms > 5", 'sources["binance.quotes"].lag_ms > 5'),
        ('volume_share["binance"] > .5', "volume_share.binance > 0.5"),
        ("pct_change( price_avg , '5m' )<-2", 'pct_change(price_avg, "5m") < -2'),
    ],
)  # fmt: skip
def test_a_condition_has_one_text(text, canonical):
    """
    However it was written; and the canonical text is read as the same condition.
    """
    assert condition_text(text) == canonical
    assert condition_text(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "at", "meant"),
    [
        ("", 1, None), ("price_avg >", 12, None), ("price_avg > > 3", 13, None),
        ("price_avg = 3", 11, "price_avg == 3"), ("a > 1 & b > 1", 7, "a > 1 && b > 1"),
        ("a < b < c", 7, None), ("(a > 1", 7, "(a > 1)"),
        ("a > 1)", 6, None), ("a b", 3, None),
        ("contans(best_bid_venue, 'x')", 1, "contains(best_bid_venue, 'x')"),
        ("abs(a, b) > 1", 1, None), ("[1, a] == b", 5, None), ("'x", 1, None),
        ("a > 1e999", 5, None),
        ("__import__('os')", 1, None), ("a; b", 2, None), ("a > 1 # x", 7, None),
        ("λ > 1", 1, None),
        ("(" * 40 + "a" + ")" * 40, 17, None), ("a.", 3, None), ("sources[binance]", 9, None),
        ("+".join(["a"] * 60) + " > 1", 1, None), ("not", 4, None), ("1 in", 5, None),
        ("'a\\q' == best_bid_venue", 1, None), ("a ? b", 6, None), ("a > 1\x00", 6, None),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused_where_it_stops_to_be_one(text, at, meant):
    """
    With the place, and the text as it was probably meant.
    """
    with pytest.raises(MisfitError) as caught:
        condition_text(text)

    assert f"at character {at}:" in caught.value.detail
    assert caught.value.did_you_mean == (() if meant is None else (meant,))


def test_a_condition_is_bounded():
    """
    A longer text is refused before anything is made of it.
    """
    with pytest.raises(ConditionError, match="at most 512"):
        parse_condition("a" * (MAX_TEXT + 1))


_numbers = st.one_of(st.floats(0, 1e6).map(lambda x: round(x, 3)), st.integers(0, 10**6))
_leaf = st.one_of(
    _numbers.map(Constant), st.sampled_from("abc").map(lambda n: Name((n,))),
    st.just(Name(("volume_share", "x y"))),
)  # fmt: skip
_arithmetic = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.builds(Binary, st.sampled_from("+-*/"), inner, inner),
        st.builds(lambda of: Unary("-", of), inner.filter(lambda n: not isinstance(n, Constant))),
        st.builds(lambda *of: Call("max", of), inner, inner),
    ),
    max_leaves=6,
)
_comparison = st.builds(
    Binary, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), _arithmetic, _arithmetic
)
_truth = st.recursive(
    st.one_of(
        _comparison,
        st.booleans().map(Constant),
        st.builds(
            lambda left, items: Binary("in", left, Items(tuple(map(Constant, items)))),
            _arithmetic, st.lists(_numbers, max_size=3),
        ),
    ),
    lambda inner: st.one_of(
        st.builds(Binary, st.sampled_from(["&&", "||"]), inner, inner),
        st.builds(lambda of: Unary("!", of), inner),
        st.builds(Choice, inner, inner, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@given(_truth)
def test_what_is_written_is_read_as_it_was(tree):
    """
    For any tree: its text is read as this tree again, whatever binds how tightly.
    """
    text = text_of(tree)
    assume(len(text) <= MAX_TEXT and sum(1 for _ in walk(tree)) <= MAX_NODES)
    try:
        read = parse_condition(text)
    except ConditionError as error:
        assume("nested deeper" not in error.detail)
        raise
    assert read == tree


@given(st.text(max_size=60) | st.lists(
    st.sampled_from(["a", "b", ">", "<", "(", ")", "&&", "!", "not", "1", "'x'", "in", "[", "]",
                     "?", ":", "abs", ",", ".", "-", "k", "sources", " "]), max_size=20,
).map(" ".join))  # fmt: skip
def test_any_text_is_a_condition_or_refused(text):
    """
    Nothing else comes of it, whatever it is.
    """
    with contextlib.suppress(ConditionError):
        tree = parse_condition(text)
        assert parse_condition(text_of(tree)) == tree


# What it means

_ENV = cel.NewEnv(variables=dict.fromkeys("abc", cel.Type.DOUBLE))


def in_doubles(node):
    """The tree with all of its numbers as floats: CEL mixes none with whole numbers."""
    match node:
        case Constant(value=int(value)) if not isinstance(value, bool):
            return Constant(float(value))
        case Binary(op=op, left=left, right=right):
            return Binary(op, in_doubles(left), in_doubles(right))
        case Unary(op=op, of=of):
            return Unary(op, in_doubles(of))
        case Choice(test=test, yes=yes, no=no):
            return Choice(in_doubles(test), in_doubles(yes), in_doubles(no))
        case Items(items=items):
            return Items(tuple(map(in_doubles, items)))
        case _:
            return node


def is_plain(node):
    """Whether CEL has all of it under the same names."""
    match node:
        case Call() | Name(path=(_, _)):
            return False
        case Unary(of=of):
            return is_plain(of)
        case Binary(left=left, right=right):
            return is_plain(left) and is_plain(right)
        case Choice(test=test, yes=yes, no=no):
            return all(map(is_plain, (test, yes, no)))
        case _:
            return True


_values = st.sampled_from([0.0, 1.0, -1.5, 3.0, 70000.0, 0.1])


@given(_truth.filter(is_plain), _values, _values, _values)
def test_it_means_what_cel_means_by_it(tree, a, b, c):
    """
    Where CEL knows an answer, it is this one; where a number isn't finite, we know none.
    """
    tree = in_doubles(tree)
    values = {"a": a, "b": b, "c": c}
    condition = condition_of(tree)
    ours = condition.holds(condition.look(a_record(**values), condition.begin()))

    theirs = _ENV.compile(text_of(tree)).eval(data=values).value()
    if ours is None:
        text = text_of(tree)
        assert "/" in text or "*" in text  # a division by zero, or beyond all numbers
    else:
        assert ours == theirs


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a > 1", None), ("!(a > 1)", None), ("a == a", None), ("a + 1 > 0", None),
        ("a > 1 || b == 2", True), ("a > 1 && b == 3", False), ("a > 1 && b == 2", None),
        ("a > 1 || b == 3", None), ("has(a)", False), ("has(a) && a > 1", False), ("has(b)", True),
        ("has(a) ? a > 1 : b == 2", True), ("b / 0 > 1", None), ("a > 1 ? true : true", None),
        ("b == best_bid_venue", None), ("best_bid_venue == 'okx'", True), ("a in [1, 2]", None),
        ("contains(lower('OKX'), best_bid_venue)", True), ("min(b, 5) == 2", True),
        ("round(2.4567, 2) == 2.46", True), ("abs(-b) == 2", True),
        ("volume_share.okx > 0.2", True),
        ("volume_share.kraken > 0.2", None), ("symbol == 'BTC/USDT' && !partial", True),
        ("sources.binance.lag_ms < 100", True), ("sources.okx.status == 'live'", None),
        ("sources.binance.status in ['live', 'stale']", True), ("max(a, b) > 1", None),
        ("b * 1e200 * 1e200 > 1", None), ("b in [1, 2.0]", True),
    ],
)  # fmt: skip
def test_what_is_unknown_stays_unknown(text, answer):
    """
    A null is neither above a number nor not above it; logic goes on as far as it can.
    """
    values = {"a": None, "b": 2, "best_bid_venue": "okx", "volume_share": {"okx": 0.25}}
    assert holds(text, **values) is answer


def test_a_crossing_needs_a_record_before_it():
    """
    It holds once, when the level was not passed before and is now; nulls are passed over.
    """
    prices = [71, 69, 70, 71, None, 72, 70, None, 71]
    up = [None, False, False, True, None, False, False, None, True]
    assert over("crosses_above(price_avg, 70)", *prices) == up
    down = [None, True, False, False, None, False, False, None, False]
    assert over("crosses_below(price_avg, 70)", *prices) == down


def test_a_crossing_is_seen_whatever_stands_around_it():
    """
    What looks back sees every record, also where logic wouldn't ask it.
    """
    both = over("price_avg > 72 && crosses_above(price_avg, 70)", 69, 73, 69, 71, 73)
    assert both == [False, True, False, False, False]
    either = over("price_avg > 72 || crosses_above(price_avg, 70)", 73, 69, 71)
    assert either == [True, False, True]


def test_a_change_is_against_the_newest_record_long_enough_ago():
    """
    In percent; unknown until there is one, and where there is none.
    """
    text = 'pct_change(price_avg, "2s") >= 10'
    assert over(text, 100, 100, 110, 108, None, 120) == [None, None, True, False, None, True]
    assert over('pct_change(price_avg, "1s") < 0', 0, 5, 4) == [None, None, True]


def test_a_long_change_is_kept_in_few_records():
    """
    At most a thousand or so, each at most a thousandth of the length from where it should be.
    """
    condition = condition_of(parse_condition('pct_change(price_avg, "2h") > 0'))
    memory = condition.begin()
    said = [
        condition.lookbacks[0].look(Seen(a_record(n, price_avg=float(n))), memory[0])
        for n in range(1, 9_000)
    ]
    assert len(memory[0]) < 1_050
    assert said[7_199] is None
    assert said[8_500] == pytest.approx(7_200 / (8_501 - 7_200) * 100, rel=0.01)


def test_a_sum_needs_all_of_its_records():
    """
    Unknown until they were seen for so long, and while one of them is unknown.
    """
    text = 'sum_over(price_avg, "3s") > 6'
    said = over(text, 1, 2, 3, 4, None, 3, 3, 3, 0.5)
    assert said == [None, None, False, True, None, None, None, True, True]
    average = over('avg_over(price_avg, "2s") == 2.5', 1, 2, 3, 2)
    assert average == [None, False, True, True]
    assert over('crosses_above(sum_over(price_avg, "2s"), 4)', 1, 1, 5, 5) == [
        None, None, True, False,
    ]  # fmt: skip


def test_a_sum_of_more_than_it_keeps_is_unknown():
    """
    Bars may come by the thousand in a minute, and memory is bounded all the same.
    """
    condition = condition_of(parse_condition('sum_over(price_avg, "1m") > 0'))
    memory = condition.begin()
    said = []
    for n in range(61):
        per_second = 100 if n == 30 else 1 if n < 30 else 60
        for _ in range(per_second):
            record = a_record(n + 1, price_avg=1.0)
            said.append(condition.holds(condition.look(record, memory)))
    assert len(memory[0].values) <= 1_502
    assert said[-1] is None


# What a stream's records can't answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("price > 1", "did you mean price_avg"), ("nothing_like_it > 1", "no field of this stream"),
        ("price_avg", "is a number"), ("price_avg > 'x'", "a number is needed"),
        ("best_bid_venue > 1", "a text is needed"), ("!price_avg", "a truth is needed"),
        ("a > 1 && b", "a truth is needed"), ("true > false", "can't be compared by >"),
        ("a in b", "looks in a list"), ("a in ['x']", "a number is needed"), ("[1] == a", "behind"),
        ("sum_over(a, '1h') > 1", "at most 1500 windows"), ("pct_change(a, 'x') > 1", "duration"),
        ("pct_change(a, '0s') > 1", "duration"), ("sources.binance > 1", "a part of a source"),
        ("sources.kraken.lag_ms > 1", "no source"),
        ("sources.binance.lagg > 1", "did you mean lag"),
        ("volume_share > 1", "a number for each venue is needed"),
        ("bids == bids", "a list of levels can't be compared"), ("bids > 1", "list of levels"),
        ("price_avg.x > 1", "has no parts"), ("has(1)", "asks for a field"),
        ("contains(a, 'x')", "a text is needed"), ("a > 1 ? 1 : 2", "is a number"),
        ("symbol.x == 'a'", "no field"),
    ],
)  # fmt: skip
def test_what_no_record_can_answer_is_refused_at_once(text, said):
    """
    An unknown name, or kinds that don't go together, with what there is.
    """
    with pytest.raises(ConditionError, match=said):
        check_condition(parse_condition(text), VOCABULARY)


@given(_truth, st.one_of(st.none(), _values, st.integers()), _values)
def test_what_was_checked_never_raises(tree, a, b):
    """
    Whatever the values are.
    """
    try:
        check_condition(parse_condition(text_of(tree)), VOCABULARY)
    except ConditionError:
        return
    answer = holds(text_of(tree), a=a, b=b, c=math.pi, volume_share={"x y": 1.0})
    assert answer in (True, False, None)


# As objects


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"field": "price_avg", "op": ">", "value": 70000.0}, "price_avg > 70000"),
        ({"field": "a", "op": "crosses_below", "value": 2.5}, "crosses_below(a, 2.5)"),
        ({"any": [{"field": "a", "op": "<", "value": -1}, "b > 2 && c > 3"]},
         "a < -1 || b > 2 && c > 3"),
        ({"all": [{"any": ["a > 1", "b > 1"]}, "c > 1"]}, "(a > 1 || b > 1) && c > 1"),
        ({"field": "a", "op": "abs>", "value": 2, "window_sec": 60},
         'abs(pct_change(a, "1m")) > 2'),
        ({"field": "a", "op": "<", "value": -5, "change": "percent", "window_sec": "1h"},
         'pct_change(a, "1h") < -5'),
        ({"field": "tweets", "op": ">", "value": 50, "window_sec": 60},
         'sum_over(tweets, "1m") > 50'),
        ({"field": "best_bid_venue", "op": "==", "value": "okx"}, 'best_bid_venue == "okx"'),
        ({"field": "sources.binance.lag_ms", "op": ">=", "value": 500},
         "sources.binance.lag_ms >= 500"),
    ],
)  # fmt: skip
def test_an_object_says_the_same_as_a_text(value, text):
    """
    Comparisons one by one, and joined.
    """
    assert condition_text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        3, None, [], {}, {"field": "a"}, {"field": "a", "op": "=>", "value": 1}, {"all": []},
        {"field": "a + b", "op": ">", "value": 1}, {"field": "a", "op": ">", "value": None},
        {"field": "a", "op": ">", "value": float("nan")}, {"all": ["a > 1"], "any": ["b > 1"]},
        {"field": "a", "op": ">", "value": 1, "window_sec": "x"}, {"feild": "a"}, {"all": "a > 1"},
        {"field": "a", "op": "abs>", "value": 1}, {"field": "a", "op": ">", "value": True},
        functools.reduce(lambda inner, _: {"all": [inner]}, range(9), "a > 1"),
        {"all": ["a > 1"] * 33}, {"all": ["a > 1 && b > 2 && c > 3"] * 20}, {"all": [{}]},
    ],
)  # fmt: skip
def test_an_object_that_is_no_condition_is_refused(value):
    """
    Whatever it is made of.
    """
    with pytest.raises(MisfitError):
        condition_text(value)
