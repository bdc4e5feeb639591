"""Trades that count for volume and for no price, through the whole engine."""

from __future__ import annotations

import math

import pytest

from bond_core.aggregators.moves import Returns, Volatility
from bond_core.aggregators.prices import TradePrices
from bond_core.aggregators.quantiles import PriceQuantiles
from bond_core.aggregators.volume import Volume
from bond_core.model.event import Trade
from bond_core.runtime.ingest import fault_of
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import BarPlan, SourcePlan, StreamPlan

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


def trade(at_s, price, size, side=None):
    """Return a trade; without a price it is an odd lot."""
    ts = START + round(at_s * SECOND)
    return Trade(symbol="AAPL", ts=ts, price=price, size=size, side=side, recv_ts=ts)


def records(trades, bars=()):
    """Return the records of one-second windows, and of bars, with every field made of trades."""
    given = {**TradePrices().plan(), **Volume().plan(), **Volatility().plan(), **Returns().plan()}
    given["price_median"] = PriceQuantiles().plan()["price_median"]
    plan = StreamPlan(
        symbols=("AAPL",), timeframes_ns=(SECOND,), bars=bars, release_ns=SECOND if bars else None,
        sources=(
            SourcePlan(name="s", kind="trade", lateness_ns=0, idle_ns=SECOND, venue="s",
                       routes={"AAPL": ("AAPL",)}),
        ),
        fields={name: ("trade", field) for name, field in given.items()},
    )  # fmt: skip
    engine = WindowEngine(plan, start_ns=START)
    engine.on_events("s", trades)
    engine.finish(START + 10 * SECOND)
    assert not engine.field_errors
    return [record for window in engine.take() for record in window.records]


def test_they_are_in_volume_and_number_and_in_no_price():
    """An odd lot far off the market moves volume, trades and its side, and no price."""
    first = records(
        [
            trade(0.1, None, 7.0, "buy"),
            trade(0.2, 100.0, 2.0, "buy"),
            trade(0.3, 102.0, 6.0, "sell"),
            trade(0.4, None, 5.0),
        ]
    )[0].values

    assert (first["volume_sum"], first["trades"], first["buy_volume"]) == (20.0, 4, 9.0)
    assert (first["price_open"], first["price_close"]) == (100.0, 102.0)
    assert (first["price_low"], first["price_high"]) == (100.0, 102.0)
    assert (first["price_avg"], first["price_median"]) == (101.0, 101.0)
    assert first["vwap"] == (100.0 * 2 + 102.0 * 6) / 8
    assert first["volatility"] == pytest.approx(math.log(1.02))


def test_a_window_of_nothing_else_has_volume_and_unknown_prices():
    """Its prices are null, and the return after it is from the last window with one."""
    before, between, after = (
        record.values
        for record in records(
            [trade(0.1, 100.0, 1.0), trade(1.1, None, 3.0), trade(2.1, 110.0, 1.0)]
        )[:3]
    )

    assert before["price_close"] == 100.0
    assert (between["volume_sum"], between["trades"]) == (3.0, 1)
    prices = ("price_avg", "price_open", "price_high", "price_close", "vwap", "volatility",
              "price_median", "return_simple")  # fmt: skip
    assert [between[name] for name in prices] == [None] * len(prices)
    assert after["return_simple"] == pytest.approx(0.1)


def test_bars_of_volume_count_them_and_bars_of_value_do_not():
    """They fill a bar of shares; in one of value they are worth nothing."""
    trades = [trade(0.1, 10.0, 1.0), trade(0.2, None, 3.0), trade(0.3, 10.0, 2.0)]
    made = records(trades, (BarPlan("4vol", "volume", 4.0), BarPlan("30value", "value", 30.0)))
    bars = [r for r in made if r.bar is not None and not r.partial]

    assert [(r.bar.timeframe, r.values["volume_sum"]) for r in bars] == [
        ("4vol", 4.0),
        ("30value", 6.0),
    ]


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf, "3"])
def test_any_other_price_is_refused_as_ever(price):
    """None says that it counts for no price; what is no price is a fault."""
    assert fault_of(trade(0, price, 1.0)) is not None
    assert fault_of(trade(0, None, 1.0)) is None
    assert fault_of(trade(0, None, -1.0)) is not None
