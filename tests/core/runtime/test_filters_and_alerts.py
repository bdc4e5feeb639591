"""Streams that hold records back, and streams that raise alerts, from the spec on."""

from __future__ import annotations

import json

import pytest

from bond_core.errors import RequestError
from bond_core.model.event import Trade
from bond_core.runtime.screening import MAX_SILENCE_NS
from tests.core.runtime.puppets import play

BTC, ETH = "BTC/USDT", "ETH/USDT"
SPEC = {
    "sources": [{"type": "puppet", "exchanges": ["alpha"]}],
    "symbols": [BTC],
    "interval_sec": 1,
    "fields": ["trades", "price_close", "volume_sum"],
}


def records_of(spec, *prices, symbol=BTC, before=None, after_s=3):
    """Trade at a price each second (None: no trade); return all records of full windows."""
    found = []

    async def story(world):
        async with world.stream({**SPEC, **spec}):
            for place, price in enumerate(prices):
                if before is not None:
                    before(world, place)
                if price is not None:
                    ts = world.clock.now_ns()
                    trade = Trade(symbol=symbol, ts=ts, price=1.0 * price, size=1.0)
                    world.emit("alpha", "trades", trade)
                await world.clock.advance(1)
            await world.clock.advance(after_s)
            found.extend(await world.records())

    play(story)
    return found


def alerts(records):
    """The codes of the alerts each record tells, by the price of its window."""
    return [
        (record["price_close"], notice["code"])
        for record in records
        for notice in record["notices"]
        if notice["code"].startswith("alert")
    ]


def test_a_filter_sends_what_passes_and_counts_the_rest():
    """Records that don't pass are in the next one's `skipped`; ids go on without them."""
    records = records_of({"filter": "price_close > 70"}, 71, 69, None, 68, 72, 73)

    passed = [r for r in records if r.get("passes", True)]
    assert [(r["price_close"], r.get("skipped", 0)) for r in passed] == [(71, 0), (72, 3), (73, 0)]
    ids = [tuple(map(int, r["id"].split("-"))) for r in records]
    assert ids == sorted(set(ids))


def test_a_filter_never_silences_a_stream_for_long():
    """After 15 s a record is sent all the same, and says that it doesn't pass."""
    records = records_of({"filter": {"field": "price_close", "op": ">", "value": 70}}, *[60] * 40)

    silence_s = MAX_SILENCE_NS // 10**9
    assert [r["passes"] for r in records] == [False] * len(records)
    assert [r["skipped"] for r in records[:2]] == [silence_s - 1] * 2
    assert len(records) in (2, 3)


def test_nothing_that_is_held_back_is_lost():
    """Notices and counts of what a filter held back go on with the next record."""

    def before(world, place):
        if place == 2:
            trade = Trade(symbol=BTC, ts=world.clock.now_ns(), price=60.0, size=1.0, id="7")
            world.emit("alpha", "trades", trade)
            world.emit("alpha", "trades", trade)
            world.emit("alpha", "trades", Trade(symbol=BTC, ts=trade.ts, price=-1.0, size=1.0))

    records = records_of({"filter": "price_close > 70"}, 71, 60, 60, 60, 75, before=before)

    last = next(r for r in records if r["price_close"] == 75)
    assert (last["skipped"], last["sources"]["alpha"]["duplicates"]) == (3, 1)
    assert last["sources"]["alpha"]["rejected"] == 1
    assert [n["code"] for n in last["notices"]] == ["rejected"]


def test_a_filter_looks_at_each_symbol_by_itself():
    """One that passes is sent, whatever the other does."""
    spec = {"symbols": [BTC, ETH], "filter": "price_close > 70"}
    records = records_of(spec, 71, 72, symbol=ETH)

    assert [r["symbol"] for r in records if r.get("passes", True)] == [ETH, ETH]


def test_what_is_unknown_does_not_pass():
    """A window without a trade has no price, neither above nor below."""
    records = records_of({"filter": "!(price_close > 70)"}, 71, None, 69)

    assert [r["price_close"] for r in records] == [69]


def test_a_revision_is_sent_also_if_it_no_longer_passes():
    """What it replaces may have passed, so it says what it is now."""
    found = []

    async def story(world):
        spec = {**SPEC, "late": "update", "filter": "price_close > 70"}
        async with world.stream(spec):
            start_ns = world.clock.now_ns()
            for at, price in ((0.0, 75.0), (1.2, 60.0), (0.5, 50.0)):
                ts = start_ns + round(at * 1e9)
                world.emit("alpha", "trades", Trade(symbol=BTC, ts=ts, price=price, size=1.0))
                await world.clock.advance(1.6)
            found.extend(await world.records())

    play(story)
    first, revision, *_ = found
    assert (first["price_close"], first["rev"], "passes" in first) == (75, 0, False)
    assert (revision["price_close"], revision["rev"], revision["passes"]) == (50, 1, False)


def test_an_alert_is_told_once_until_it_is_over():
    """When it comes to hold, in the record of that window; and when it no longer does."""
    spec = {"alerts": [{"when": "price_close > 70", "name": "high"}]}
    records = records_of(spec, 69, 71, 72, 70, 71)

    assert alerts(records) == [(71, "alert"), (70, "alert_resolved"), (71, "alert")]
    notice = next(n for r in records for n in r["notices"] if n["code"] == "alert")
    assert notice["alert"] == "high"
    assert notice["detail"] == "high: BTC/USDT: price_close > 70 holds"
    assert notice["to"] == next(r for r in records if r["price_close"] == 71)["window_end"]


def test_an_alert_on_a_crossing_waits_for_one():
    """A price that is past the level already has not crossed it."""
    spec = {"alerts": [{"field": "price_close", "op": "crosses_below", "value": 70}]}

    told = alerts(records_of(spec, 65, 66, 72, 69, 68, 71, 60))
    assert told == [(69, "alert"), (71, "alert_resolved"), (60, "alert")]


def test_an_alert_may_have_to_last():
    """`for_sec`: it is told once it has held for so long without a break, an unknown price too."""
    spec = {"alerts": [{"when": "crosses_above(price_close, 70)", "for_sec": 2}]}

    told = alerts(records_of(spec, 69, 71, 72, 69, 73, 74, 75, 76))
    assert told == [(75, "alert")]
    assert alerts(records_of(spec, 69, 71, None, 72, 73, 74)) == []


def test_an_alert_may_need_more_to_be_over():
    """`recover`: between the two levels nothing changes."""
    spec = {"alerts": [{"when": "price_close > 70", "recover": "price_close < 65"}]}

    told = alerts(records_of(spec, 71, 69, 72, 64, 66, 71))
    assert told == [(71, "alert"), (64, "alert_resolved"), (71, "alert")]


def test_an_alert_is_not_told_too_often():
    """`cooldown_sec`: what is held back is counted in the next one that is told."""
    spec = {"alerts": [{"when": "price_close > 70", "cooldown_sec": 5}]}

    records = records_of(spec, 71, 60, 72, 60, 73, 60, 74)
    fired = [n for r in records for n in r["notices"] if n["code"] == "alert"]
    assert [c for c in alerts(records) if c[1] == "alert"] == [(71, "alert"), (74, "alert")]
    assert "held back 2 times" in fired[1]["detail"]


def test_an_alert_says_when_nobody_can_know():
    """`no_data_sec`: unknown for so long is told, once, and so is the end of it."""
    spec = {"alerts": [{"when": "price_close > 70", "no_data_sec": 3}]}

    records = records_of(spec, 60, None, None, None, None, None, 61)
    codes = [(place, n["code"]) for place, r in enumerate(records) for n in r["notices"]]
    assert codes == [(3, "alert_no_data"), (6, "alert_data")]


def test_an_alert_may_be_about_one_symbol():
    """The others are not looked at; each has a state of its own."""
    spec = {"symbols": [BTC, ETH], "alerts": [{"when": "price_close > 70", "symbol": "eth/usdt"}]}

    assert alerts(records_of(spec, 71, 72)) == []
    assert alerts(records_of(spec, 71, 72, symbol=ETH)) == [(71, "alert")]


def test_an_alert_gets_through_a_filter():
    """A record that tells of one is sent, and says that it doesn't pass."""
    spec = {"filter": "price_close > 100", "alerts": [{"when": "price_close > 70"}]}
    records = records_of(spec, 60, 71, 60)

    assert [(r["price_close"], r["passes"]) for r in records] == [(71, False), (60, False)]
    assert alerts(records) == [(71, "alert"), (60, "alert_resolved")]


def test_alerts_look_at_the_interval_and_at_no_other_timeframe():
    """A minute that is above the level is no news beside its seconds; nor is a bar."""
    spec = {"timeframes": ["5s", "1ticks"], "alerts": [{"when": "price_close > 70"}]}
    records = records_of(spec, 71, 72, 73, 74, 75, 76)

    assert [(r["timeframe"], n["code"]) for r in records for n in r["notices"]] == [("1s", "alert")]


@pytest.mark.parametrize(
    ("keys", "pointer", "near"),
    [
        ({"filter": "price > 1"}, "/spec/filter", "price_close > 1"),
        ({"filter": "price_close"}, "/spec/filter", None),
        ({"filter": {"field": "tweets", "op": ">", "value": 1}}, "/spec/filter", None),
        ({"alerts": [{"when": "trade > 3"}]}, "/spec/alerts/0/when", "trades > 3"),
        ({"alerts": [{"when": "trades > 3", "recover": "x < 3"}]}, "/spec/alerts/0/recover", None),
        ({"alerts": [{"when": "trades > 3", "symbol": "SOL/USDT"}]}, "/spec/alerts/0/symbol", BTC),
        ({"filter": "sources.binance.lag_ms > 1"}, "/spec/filter", None),
        ({"filter": 'pct_change(price_close, "8d") > 1'}, "/spec/filter", None),
        ({"filter": 'sum_over(trades, "1h") > 1'}, "/spec/filter", None),
        ({"filter": 'sum_over(trades, "1500ms") > 1'}, "/spec/filter", None),
        ({"filter": 'avg_over(trades, "1m") > 1', "window_sec": 5}, "/spec/filter", None),
        ({"filter": 'pct_change(price_close, "500ms") > 1'}, "/spec/filter", None),
    ],
)  # fmt: skip
def test_a_condition_that_can_never_be_answered_is_refused_at_creation(keys, pointer, near):
    """With what the stream has, and what was probably meant."""
    with pytest.raises(RequestError) as caught:
        records_of(keys)

    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert problem.did_you_mean == ((near,) if near else ())


def test_bad_conditions_are_bounded_and_told_together():
    """Each with its place."""
    keys = {"filter": "x > 1", "alerts": [{"when": "y > 1"}, {"when": "trades > 1"}]}
    with pytest.raises(RequestError) as caught:
        records_of(keys)

    assert [p.pointer for p in caught.value.problems] == ["/spec/filter", "/spec/alerts/0/when"]
    assert json.dumps([p.detail for p in caught.value.problems])
