"""Every kind of condition that a sentence may have, up to the records and notices it makes."""

from __future__ import annotations

import pytest

from bond_core.errors import RequestError
from bond_core.model.event import Post, Quote, Trade
from bond_server.language.compile import understand
from bond_server.language.vocabulary import bundled
from tests.core.runtime.puppets import play

VOCABULARY = bundled()
BTC, ETH = "BTC/USDT", "ETH/USDT"
PUPPETS = {"ccxt": {"type": "puppet", "exchanges": ["alpha"]}, "twitter": {"type": "posts"}}
_EVERY = "every 1s"


def spec_of(sentence):
    """The spec of a sentence, its sources with puppets in their place."""
    spec = dict(understand(sentence, VOCABULARY).spec)
    spec["sources"] = [
        {**{k: v for k, v in source.items() if k != "exchanges"}, **PUPPETS[source["type"]]}
        for source in spec["sources"]
    ]
    return {key: value for key, value in spec.items() if key != "duration_sec"}


def emit(world, said):
    """Have everything be heard that a second says: prices of BTC, or more by name."""
    now_ns = world.clock.now_ns()
    said = said if isinstance(said, dict) else {BTC: said}
    for name, value in said.items():
        if name == "tweets":
            posts = [Post("SOL", now_ns, f"{n}", id=f"{now_ns}-{n}") for n in range(value)]
            world.emit("posts", "posts", *posts)
        elif name == "quote":
            world.emit("alpha", "quotes", Quote(BTC, now_ns, bid=value[0], ask=value[1]))
        elif value is not None:
            price, size = value if isinstance(value, tuple) else (value, 1)
            world.emit("alpha", "trades", Trade(name, now_ns, 1.0 * price, 1.0 * size))


def records_of(sentence, seconds):
    """The records of a sentence's stream, with what is heard in each second."""
    found = []

    async def story(world):
        async with world.stream(spec_of(sentence)):
            for said in seconds:
                emit(world, said)
                await world.clock.advance(1)
            await world.clock.advance(3)
            found.extend(await world.records())

    play(story)
    return found


def told(records):
    """Which alerts were told: in which second (from 0), of what symbol, and how."""
    first = min(record["window_start"] for record in records)
    return [
        (seconds_between(first, record["window_start"]), record["symbol"], notice["code"])
        for record in records
        for notice in record["notices"]
        if notice["code"].startswith("alert")
    ]


def seconds_between(one, two):
    """How many seconds lie between two times of one hour."""
    minutes = [text[14:19].split(":") for text in (one, two)]
    a, b = (int(m) * 60 + int(s) for m, s in minutes)
    return b - a


FILTERS = [
    # sentence, seconds, the prices that pass
    ("only when price is above 70k", [69_000, 71_000, 70_000, None, 72_000], [71_000, 72_000]),
    ("BTC price every 1s only if price is at least 70k", [69_000, 70_000], [70_000]),
    ("BTC price every 1s where price < 70k", [69_000, 70_000, None], [69_000]),
    ("BTC price every 1s only when price is between 60k and 70k",
     [59_999, 60_000, 70_000, 70_001], [60_000, 70_000]),
    ("BTC price every 1s only when price equals 5", [5, 6], [5]),
    ("BTC price and volume every 1s only when price > 10 and volume > 5",
     [(11, 1), (11, 6), (9, 6)], [11]),
    ("BTC price and volume every 1s only when price > 10 and volume > 5 or trades >= 2",
     [(11, 1), (9, 6), (12, 6)], [12]),
    ("BTC price every 1s only when price < 10 or price > 20", [9, 15, 21], [9, 21]),
    ("BTC price every 1s only when price rises above 10", [11, 9, 12, 13], [12]),
    ("BTC price every 1s only when price drops below 10", [9, 11, 8, 7], [8]),
    ("BTC price every 1s only when price moves more than 10% in 2s",
     [100, 100, 112, 100, 89], [112, 89]),
    ("BTC price every 1s only when price drops more than 10% in 2s",
     [100, 100, 112, 100, 89], [89]),
    ("BTC price and volume every 1s only when volume > 5 in 3s",
     [(1, 2), (2, 2), (3, 2), (4, 1), (5, 1), (6, 4)], [3, 6]),
    ("BTC price every 1s only when above 10 for 1h", [9, 11], [11]),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "seconds", "passing"), FILTERS)
def test_a_filters_sentence_lets_through_what_it_says(sentence, seconds, passing):
    """What doesn't pass is held back, or says so where silence is broken."""
    sentence = sentence if "BTC" in sentence else f"BTC price {_EVERY} {sentence}"
    records = records_of(sentence, seconds)

    assert [r["price_avg"] for r in records if r.get("passes", True)] == passing


ALERTS = [
    # sentence, seconds, what is told: when, about which symbol, and how
    ("alert me when BTC is above 70k", [71_000, 72_000, 69_000],
     [(0, BTC, "alert"), (2, BTC, "alert_resolved")]),
    ("alert me when BTC drops below $70k", [69_000, 71_000, 69_500, 69_000, 70_500],
     [(2, BTC, "alert"), (4, BTC, "alert_resolved")]),
    ("alert me when BTC hits 70k", [69_000, 71_000], [(1, BTC, "alert")]),
    ("if BTC rises above 70k, alert me", [69_000, 71_000], [(1, BTC, "alert")]),
    ("alert me when BTC is between 60k and 70k", [59_000, 65_000, 71_000],
     [(1, BTC, "alert"), (2, BTC, "alert_resolved")]),
    ("alert me when BTC is above 70k for 2s", [71_000, 69_000, 71_000, 72_000, 73_000],
     [(4, BTC, "alert")]),
    ("alert me when BTC is above 70k, at most once a minute",
     [71_000, 69_000, 71_000, 69_000],
     [(0, BTC, "alert"), (1, BTC, "alert_resolved"), (3, BTC, "alert_resolved")]),
    ("alert me when BTC is above 70k, cooldown 2s", [71_000, 69_000, 71_000],
     [(0, BTC, "alert"), (1, BTC, "alert_resolved"), (2, BTC, "alert")]),
    ("alert me when BTC price > 10 and volume > 5", [(11, 1), (11, 6), (11, 7), (9, 9)],
     [(1, BTC, "alert"), (3, BTC, "alert_resolved")]),
    ("alert me when BTC price drops below 10 or volume > 5", [(11, 1), (9, 1), (11, 6)],
     [(1, BTC, "alert"), (2, BTC, "alert_resolved"), (2, BTC, "alert"),
      (3, BTC, "alert_resolved")]),
    ("alert me when BTC moves 10% in 2s", [100, 100, 89, 89, 89],
     [(2, BTC, "alert"), (4, BTC, "alert_resolved")]),
    ("alert me when BTC is up 10% within 2s", [100, 100, 111], [(2, BTC, "alert")]),
    ("alert me when BTC is down more than 10% in 2s", [100, 100, 111, 89], [(3, BTC, "alert")]),
    ("alert if BTC volume doubles in 2s", [(1, 2), (1, 2), (1, 4.5)],
     [(2, BTC, "alert"), (3, BTC, "alert_resolved")]),
    ("alert if BTC halves in 2s", [100, 100, 49], [(2, BTC, "alert")]),
    ("alert me when BTC volume exceeds 5 in 3s", [(1, 2), (1, 2), (1, 2), (1, 0.5)],
     [(2, BTC, "alert"), (3, BTC, "alert_resolved")]),
    ("alert me when BTC spread is above 5", [{"quote": (10, 14)}, {"quote": (10, 16)}],
     [(1, BTC, "alert")]),
    ("alert me when BTC bid drops below 10", [{"quote": (11, 14)}, {"quote": (9, 16)}],
     [(1, BTC, "alert")]),
    ("alert me when BTC ask price is above 15", [{"quote": (11, 14)}, {"quote": (9, 16)}],
     [(1, BTC, "alert")]),
    ("notify me if SOL tweets exceed 5 in 2s", [{"tweets": 3}, {"tweets": 3}],
     [(1, "SOL", "alert"), (2, "SOL", "alert_resolved")]),
    ("alert when BTC is above 70k or ETH below 2k",
     [{BTC: 1_000, ETH: 3_000}, {BTC: 71_000, ETH: 3_000}, {BTC: 71_000, ETH: 1_000}],
     [(1, BTC, "alert"), (2, ETH, "alert")]),
    ("BTC and ETH price, alert me when ETH drops below 2k",
     [{BTC: 2_100, ETH: 2_100}, {BTC: 1_900, ETH: 2_100}, {BTC: 1_900, ETH: 1_900}],
     [(2, ETH, "alert")]),
    ("BTC and ETH price, alert if price drops below 2k for ETH",
     [{BTC: 2_100, ETH: 2_100}, {BTC: 1_900, ETH: 1_900}], [(1, ETH, "alert")]),
    ("BTC volume, alert me when it is above 5", [(1, 2), (1, 6)],
     [(1, BTC, "alert"), (2, BTC, "alert_resolved")]),
    ("BTC volume, alert me when BTC is above 5", [(1, 9), (6, 1)], [(1, BTC, "alert")]),
    ("BTC and ETH price, alert when either drops below 2k",
     [{BTC: 2_100, ETH: 2_100}, {BTC: 1_900, ETH: 1_900}],
     [(1, BTC, "alert"), (1, ETH, "alert")]),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "seconds", "expected"), ALERTS)
def test_an_alerts_sentence_is_told_when_it_says(sentence, seconds, expected):
    """In the record of the window, and about the symbol that is meant."""
    records = records_of(f"{sentence} {_EVERY}", seconds)

    assert told(records) == expected


@pytest.mark.parametrize("sentence", [s for s, *_ in FILTERS + ALERTS])
def test_what_is_said_back_is_the_same(sentence):
    """The canonical sentence has the same conditions, of the same symbols."""
    text = sentence if "BTC" in sentence or "SOL" in sentence else f"BTC price {sentence}"
    found = understand(text, VOCABULARY)

    assert understand(found.sentence, VOCABULARY).spec == found.spec


REFUSED = [
    ("BTC and ETH price every 5s only when BTC is above 70k", "looks at each symbol by itself"),
    ("BTC price above 70k, ETH price below 2k", "looks at each symbol by itself"),
    ("alert when BTC is above 70k and ETH below 2k", "one symbol at a time"),
    ("alert when ETH drops below 2500 within 5m", "no sum over time"),
    ("BTC price unless price is below 60k", '"unless" is not understood'),
    ("BTC price until it hits 100k", '"until" is not understood'),
    ("alert when BTC price is not between 60k and 70k", '"not" is not understood'),
    ("alert when BTC isn't above 70k", "is not understood"),
    ("BTC volume + tweets every 5s only when above 5", 'don.t understand "above"'),
    ("BTC bid and ask every 5s only when above 5", 'don.t understand "above"'),
    ("alert when BTC bid - ask > 5", "one field is compared at a time"),
    ("alert when BTC price - ETH price > 5", "one field is compared at a time"),
    ("alert when BTC price and volume are above 5", "one field is compared at a time"),
    ("BTC price and volume on binance, okx every 5s, alert me", "an alert of what?"),
    ("BTC price and volume on binance, okx every 5s, alert me when spread is above 0.1%",
     "an alert of what?"),
    ("BTC volume every 1m only when volume > 5 in 10s", "shorter than one record"),
    ("BTC price every 5m, alert when price drops 5% in 1m", "shorter than one record"),
    ("BTC volume every 7s only when volume > 5 in 1m", "no multiple of 7s"),
    ("BTC volume every 1s only when volume > 5 in 1d", "more than 1500 records"),
    ("BTC volume over the last minute every 5s only when volume > 5 in 5m", "overlap"),
    ("BTC price, alert me when BTC is above ETH", "an alert of what?"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "said"), REFUSED)
def test_what_can_not_be_said_is_refused_with_a_sentence_that_can(sentence, said):
    """Never a part of it, as if it were the whole."""
    with pytest.raises(RequestError, match=said) as caught:
        understand(sentence, VOCABULARY)

    assert caught.value.fix is not None
    understand(caught.value.fix, VOCABULARY)


def test_a_filter_about_one_of_several_symbols_is_mended_to_an_alert():
    """The sentence beside the refusal says the nearest thing that works."""
    with pytest.raises(RequestError) as caught:
        understand("BTC and ETH price every 5s only when BTC is above 70k", VOCABULARY)

    (alert,) = understand(caught.value.fix, VOCABULARY).spec["alerts"]
    assert alert == {"field": "price_avg", "op": ">", "value": 70_000, "symbol": BTC}


def test_a_duration_behind_a_filter_is_told():
    """It ends the stream, which its author may not have meant."""
    found = understand("BTC price every 5s only when price is above 70k for 30s", VOCABULARY)

    assert found.spec["duration_sec"] == 30
    assert "assumed_duration" in {warning.code for warning in found.warnings}


def test_what_is_compared_between_exchanges_is_their_spread():
    """`spread between binance and okx` in a condition, too."""
    found = understand("alert when BTC spread between binance and okx is above 5", VOCABULARY)

    assert found.spec["alerts"][0]["field"] == "venue_spread"
    assert understand(found.sentence, VOCABULARY).spec == found.spec
