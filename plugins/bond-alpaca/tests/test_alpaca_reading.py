"""What Alpaca's words mean: times, sale conditions, messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_alpaca.conditions import is_trade, sets_price
from bond_alpaca.messages import QuoteMessage, Success, Times, TradeMessage, read

# The tapes' consolidated columns: CTS Pillar output specification and UTP output specification,
# sale condition matrices. Y: sets the last price without further conditions; n: does not, or only
# where nothing else has yet; x: no volume either.
CTS = {
    " ": "Y", "B": "n", "C": "n", "E": "Y", "F": "Y", "H": "n", "I": "n", "K": "Y", "M": "x",
    "N": "n", "O": "Y", "P": "n", "Q": "x", "R": "n", "U": "n", "V": "n", "X": "Y", "Z": "n",
    "4": "n", "5": "Y", "6": "Y", "7": "n", "9": "x",
}  # fmt: skip
UTP = {
    "@": "Y", "A": "Y", "B": "Y", "C": "n", "D": "Y", "F": "Y", "G": "n", "H": "n", "I": "n",
    "K": "Y", "M": "x", "N": "n", "O": "Y", "P": "n", "Q": "x", "R": "n", "S": "Y", "U": "n",
    "V": "n", "W": "n", "X": "Y", "Y": "Y", "Z": "n", "1": "Y", "4": "n", "5": "Y", "6": "Y",
    "7": "n", "9": "x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("tape", "code", "rule"),
    [(tape, *row) for tape, rules in (("A", CTS), ("B", CTS), ("C", UTP)) for row in rules.items()],
)
def test_conditions_count_as_the_tapes_say(tape, code, rule):
    """One that sets no price decides, whatever stands beside it."""
    for codes in ([code], ["@", code], [code, "T"]):
        assert is_trade(codes) is (rule != "x")
        if rule != "x":
            assert sets_price(codes, tape) is (rule == "Y")


def test_what_is_traded_outside_regular_hours_has_a_price():
    """As in Alpaca's own bars; an odd lot then has none, and an unknown code forbids nothing."""
    assert sets_price(["@", "F", "T"], "C")
    assert not sets_price(["@", "F", "T", "I"], "C")
    assert sets_price(["@", "?"], "C")
    assert sets_price([], "A")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 -- UTC by their Z
    st.integers(0, 999_999_999),
)
def test_times_are_read_to_the_nanosecond(moment, fraction):
    """Whatever number of digits Alpaca writes, with zeros at the end or without."""
    whole = (moment.replace(microsecond=0, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // (
        timedelta(seconds=1)
    )
    second = moment.strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    times = Times()

    for text in (f"{second}.{digits}Z", f"{second}.{digits}Z"):
        assert times.ns(text) == whole * 10**9 + fraction
    assert times.ns(f"{second}Z") == whole * 10**9
    short = digits.rstrip("0")
    if short:
        assert times.ns(f"{second}.{short}Z") == whole * 10**9 + fraction


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-20T15:00:00", "2026-11-20T15:00:00+01:00", "2026-11-20T15:00:00.Z",
     "2026-11-20T15:00:00.1234567890Z", "2026-11-20T15:00:00.12-5Z", "2026-13-20T15:00:00Z"],
)  # fmt: skip
def test_other_times_are_refused(text):
    """Nothing is guessed."""
    with pytest.raises((ValueError, IndexError)):
        Times().ns(text)


def test_the_examples_of_the_documentation_are_read():
    """As they stand there."""
    trade, quote, hello = read(
        '[{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208Z",'
        '"c":["@","I"],"z":"C"},{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,'
        '"as":4,"t":"2021-02-22T15:51:45.335689322Z","c":["R"],"z":"C"},'
        '{"T":"success","msg":"connected"}]',
        pytest.fail,
    )

    assert isinstance(trade, TradeMessage)
    assert (trade.i, trade.p, trade.s, trade.c) == (96921, 126.55, 1, ["@", "I"])
    assert isinstance(quote, QuoteMessage)
    assert (quote.bs, quote.ask_size) == (1, 4)
    assert hello == Success("connected")


def test_one_bad_message_spoils_no_other():
    """It is counted; kinds that nobody asked for are, too."""
    bad = []
    got = read(
        '[{"T":"success","msg":"a"},{"T":"t","S":"AAPL"},{"T":"n","headline":"x"},7,'
        '{"T":"success","msg":"b"}]',
        lambda: bad.append(1),
    )

    assert [message.msg for message in got] == ["a", "b"]
    assert len(bad) == 3
    with pytest.raises(ValueError):
        read("{", pytest.fail)
    with pytest.raises(ValueError):
        read("{}", pytest.fail)
