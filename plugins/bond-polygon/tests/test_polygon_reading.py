"""What Massive's words mean: sale conditions, sizes, times, messages."""

from __future__ import annotations

import pytest

from bond_polygon.conditions import is_trade, sets_price
from bond_polygon.messages import (
    MinuteMessage,
    QuoteMessage,
    SecondMessage,
    Status,
    TradeMessage,
    candle_of,
    quote_of,
    read,
    trade_of,
)
from bond_polygon.refusals import error_of

# `update_rules.consolidated` of the published conditions: high and low, open and close, volume.
RULES = {
    1: "YYY", 2: "NNY", 3: "YYY", 4: "YYY", 5: "YNY", 7: "NNY", 8: "YYY", 9: "YYY", 10: "YNY",
    11: "YYY", 13: "NNY", 14: "YYY", 15: "NNN", 16: "NNN", 20: "NNY", 21: "NNY", 22: "YNY",
    29: "NNY", 32: "YNY", 33: "YNY", 34: "YYY", 35: "YYY", 36: "YYY", 37: "NNY", 41: "YYY",
    52: "NNY", 53: "NNY",
}  # fmt: skip


@pytest.mark.parametrize(("number", "rule"), RULES.items())
def test_conditions_count_as_published(number, rule):
    """What leaves open and close alone sets no price; what adds no volume is no trade."""
    for numbers in ([number], [14, number, 41]):
        assert is_trade(numbers) is (rule[2] == "Y")
        if rule[2] == "Y":
            assert sets_price(numbers) is (rule[1] == "Y")


def test_what_is_traded_outside_regular_hours_has_a_price():
    """As in Massive's own minutes; an odd lot then has none, and an unknown number forbids none."""
    assert sets_price([12])
    assert not sets_price([12, 37])
    assert sets_price([9999])
    assert sets_price([])


def test_the_examples_of_the_documentation_are_read():
    """As they stand there: milliseconds, shares and parts of shares."""
    trade, quote, minute, second, status = read(
        '[{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],'
        '"t":1536036818784,"q":3681328},'
        '{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,'
        '"i":[604],"t":1536036818784,"q":50385480,"z":3},'
        '{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,'
        '"c":0.4486,"h":0.4489,"l":0.4486,"a":0.4352,"z":685,"s":1610144640000,'
        '"e":1610144700000},'
        '{"ev":"A","sym":"SPCE","v":200,"av":8642007,"op":25.66,"vw":25.3981,"o":25.39,"c":25.39,'
        '"h":25.39,"l":25.39,"a":25.3714,"z":50,"s":1610144868000,"e":1610144869000},'
        '{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]',
        pytest.fail,
    )

    assert isinstance(trade, TradeMessage)
    event = trade_of(trade)
    assert (event.symbol, event.ts, event.price) == ("MSFT", 1_536_036_818_784_000_000, 114.125)
    assert (event.size, event.seq) == (100, 3681328)
    assert isinstance(quote, QuoteMessage)
    bid = quote_of(quote)
    assert (bid.bid, bid.bid_size, bid.ask, bid.ask_size) == (114.125, 100, 114.128, 160)
    assert isinstance(minute, MinuteMessage)
    candle = candle_of(minute)
    assert (candle.ts, candle.length_ns) == (1_610_144_640_000_000_000, 60 * 10**9)
    assert (candle.open, candle.high, candle.low, candle.close) == (0.4488, 0.4489, 0.4486, 0.4486)
    assert candle.volume == 4110
    assert isinstance(second, SecondMessage)
    assert candle_of(second).length_ns == 10**9
    assert status == Status("success", "subscribed to: T.MSFT")


def test_parts_of_shares_and_missing_sides():
    """The size is the text that has them; a side of 0 is none."""
    (trade,) = read('[{"ev":"T","sym":"A","p":1,"s":0,"ds":"0.25","t":1,"i":"7"}]', pytest.fail)
    (quote,) = read('[{"ev":"Q","sym":"A","bp":1.5,"bs":3,"t":1}]', pytest.fail)

    assert trade_of(trade).size == 0.25
    assert quote_of(quote).ask is None
    assert quote_of(quote).ask_size is None


def test_equal_ids_of_other_exchanges_facilities_and_days_are_other_trades():
    """Ids are unique for a share, exchange and reporting facility, within a day."""
    parts = [("4", "202", "1"), ("4", "201", "1"), ("11", "0", "1"), ("4", "202", "86400001")]
    ids = set()
    for x, trfi, t in parts:
        (trade,) = read(
            f'[{{"ev":"T","sym":"A","p":1,"s":1,"i":"7","x":{x},"trfi":{trfi},"t":{t}}}]',
            pytest.fail,
        )
        ids.add(trade_of(trade).id)

    assert len(ids) == len(parts)


def test_one_bad_message_spoils_no_other():
    """It is counted; kinds that nobody asked for are, too."""
    bad = []
    got = read(
        '[{"ev":"status","status":"a"},{"ev":"T","sym":"A"},{"ev":"NOI"},7,'
        '{"ev":"status","status":"b"}]',
        lambda: bad.append(1),
    )

    assert [message.status for message in got] == ["a", "b"]
    assert len(bad) == 3
    with pytest.raises(ValueError):
        read("{}", pytest.fail)


@pytest.mark.parametrize(
    ("status", "said", "kind", "words"),
    [
        ("auth_failed", "authentication failed", "Fatal", "POLYGON_API_KEY"),
        ("auth_failed", "Your plan doesn't include websocket access.", "Fatal", "websocket access"),
        ("error", "You don't have access real-time data.", "Fatal", "plan has no real-time data"),
        ("max_connections", "Maximum number", "Retryable", "another program"),
        ("slow_consumer", "", "Retryable", "ask for fewer"),
        ("force_disconnect", "bye", "Retryable", "bye"),
        ("auth_timeout", "late", "Retryable", "late"),
    ],
)
def test_each_end_says_what_to_do(status, said, kind, words):
    """Those for good are told apart from those that pass."""
    error = error_of(status, said)

    assert type(error).__name__ == kind
    assert words in str(error)
    assert error_of("success", "subscribed to: T.AAPL") is None
    assert error_of("error", "not authorized") is None
