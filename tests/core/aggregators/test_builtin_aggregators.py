"""The built-in aggregators, over events, through the window engine."""

import importlib
import re
from pathlib import Path

import pytest

from bond_core.aggregators.plugin import bond_aggregators
from bond_core.model.event import Chain, Custom, Liquidation, Post, Quote, Trade
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import SourcePlan, StreamPlan

SECOND = 1_000_000_000
BTC = "BTC/USDT"
SPECS = {spec.name: spec for spec in bond_aggregators()}


def made(name):
    """The aggregator that a built-in spec names."""
    module, _, cls = SPECS[name].factory.partition(":")
    return getattr(importlib.import_module(module), cls)()


def values(name, *events):
    """The values of an aggregator's fields over the events of one window of ten seconds."""
    kind = SPECS[name].kind
    source = SourcePlan(
        name="s", kind=kind, lateness_ns=0, idle_ns=SECOND, routes={BTC: (BTC,)}, venue="s"
    )
    plan = StreamPlan(
        symbols=(BTC,),
        timeframes_ns=(10 * SECOND,),
        fields={field: (kind, how) for field, how in made(name).plan().items()},
        sources=(source,),
    )
    engine = WindowEngine(plan, start_ns=0)
    engine.on_status("s", None, "live", 0)
    engine.on_events("s", events)
    engine.finish(10 * SECOND)
    return engine.take()[0].records[0].values


def a_trade(at, price, size, side=None):
    """A trade, seconds after the start."""
    return Trade(BTC, at * SECOND, price, size, side, recv_ts=at * SECOND)


def a_quote(at, bid=None, ask=None, last=None):
    """A quote, seconds after the start."""
    return Quote(BTC, at * SECOND, bid, ask, last=last, recv_ts=at * SECOND)


@pytest.mark.parametrize("name", SPECS)
def test_a_plan_has_the_fields_that_its_spec_names(name):
    """All of them, in that order, and no other."""
    assert tuple(made(name).plan()) == SPECS[name].fields


def test_prices_of_trades():
    """Three trades, heard out of order."""
    got = values(
        "builtin.prices", a_trade(2, 104.0, 1.0), a_trade(1, 100.0, 3.0), a_trade(3, 102.0, 4.0)
    )

    assert got == {
        "price_avg": 102.0,
        "price_open": 100.0,
        "price_high": 104.0,
        "price_low": 100.0,
        "price_close": 102.0,
        "vwap": (300 + 104 + 408) / 8,
    }


def test_prices_without_trades_are_unknown():
    """Not 0, and not the last ones."""
    assert set(values("builtin.prices").values()) == {None}


def test_prices_of_samples_are_last_prices_or_middles():
    """`last` where there is one, else the middle; a quote with neither counts for nothing."""
    got = values(
        "builtin.sampled_prices",
        a_quote(1, 90.0, 92.0, last=100.0),
        a_quote(2, 98.0, 100.0),
        a_quote(3, 50.0, None),
        a_quote(4, last=104.0),
        a_quote(5),
        a_quote(6, 101.0, 103.0),
    )

    assert got == {
        "price_avg": (100 + 99 + 104 + 102) / 4,
        "price_open": 100.0,
        "price_high": 104.0,
        "price_low": 99.0,
        "price_close": 102.0,
    }


def test_a_sample_may_be_the_middle_at_the_edges():
    """The first and the last sample count, whichever kind they are."""
    got = values("builtin.sampled_prices", a_quote(1, 98.0, 100.0), a_quote(2, last=7.0))

    assert (got["price_open"], got["price_close"]) == (99.0, 7.0)


def test_prices_without_samples_are_unknown():
    """As without trades."""
    assert set(values("builtin.sampled_prices", a_quote(1)).values()) == {None}


def test_volume_is_split_by_the_aggressors_side():
    """What the venue doesn't say is `unknown_volume`; together they are the volume."""
    got = values(
        "builtin.volume",
        a_trade(1, 9.0, 1.0, "buy"),
        a_trade(2, 9.0, 2.0, "sell"),
        a_trade(3, 9.0, 4.0),
        a_trade(4, 9.0, 8.0, "buy"),
    )

    assert got == {
        "volume_sum": 15.0,
        "trades": 4,
        "buy_volume": 9.0,
        "sell_volume": 2.0,
        "unknown_volume": 4.0,
    }


def test_no_trade_is_no_volume():
    """A source that listened and heard nothing: 0."""
    assert set(values("builtin.volume").values()) == {0}


def test_quotes_are_averaged_by_side():
    """A quote without a bid counts for the ask alone."""
    got = values("builtin.quotes", a_quote(1, 10.0, 12.0), a_quote(2, None, 14.0), a_quote(3))

    assert got == {"bid_avg": 10.0, "ask_avg": 13.0}
    assert values("builtin.quotes") == {"bid_avg": None, "ask_avg": None}


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("builtin.tweets", Post(BTC, 1, "up")),
        ("builtin.onchain", Chain(BTC, 1, "solana", "tx")),
        ("builtin.custom", Custom(BTC, 1, {"a": 1})),
        ("builtin.liquidations", Liquidation(BTC, 1, 9.0, 1.0)),
    ],
)
def test_counts_count(name, event):
    """Events of their kind, 0 without any."""
    assert list(values(name, event, event, event).values()) == [3]
    assert list(values(name).values()) == [0]


def test_the_page_of_records_has_every_field():
    """`docs/records.md` names each, with N where its name has a number."""
    page = (Path(__file__).parents[3] / "docs" / "records.md").read_text(encoding="utf-8")
    fields = {field for spec in SPECS.values() for field in spec.fields}

    named = {re.sub(r"\{\d+\.\.\d+\}", "N", field) for field in fields}

    assert {field for field in named if f"`{field}`" not in page} == set()
