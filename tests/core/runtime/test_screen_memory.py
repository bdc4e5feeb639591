"""What filters and alerts know of earlier windows goes on after a restart."""

from __future__ import annotations

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.model.record import Notice, Record, SourceReport
from bond_core.runtime.screening import Screen
from bond_core.spec.read import read_spec
from bond_core.windows.checkpoint.plain import pack, unpack
from bond_core.windows.engine import ClosedWindow

SECOND = 1_000_000_000
SPEC = {
    "sources": [{"type": "ccxt", "exchanges": ["binance"]}],
    "symbols": ["BTC/USDT", "ETH/USDT"],
    "interval_sec": 1,
    "fields": ["price_close", "trades"],
    "filter": "price_close > 50 or sum_over(trades, '3s') > 8",
    "alerts": [
        {"when": "crosses_above(price_close, 60)", "cooldown_sec": 3},
        {"when": "pct_change(price_close, '2s') > 10", "for_sec": 1, "no_data_sec": 2},
        {"when": "avg_over(trades, '4s') > 4", "recover": "trades < 2", "name": "busy"},
    ],
}

a_price = st.sampled_from([None, 40.0, 55.0, 59.0, 61.0, 80.0])
rows = st.lists(
    st.tuples(a_price, a_price, st.integers(0, 9), st.booleans()), min_size=4, max_size=25
)


def a_window(number, row):
    """Both symbols' records of one second."""
    *prices, trades, tells = row
    report = SourceReport(status="live", coverage=1.0, count=trades, late=number % 2)
    notices = (Notice(code="gap", detail=f"hole {number}"),) if tells else ()
    records = tuple(
        Record(
            symbol=symbol, timeframe_ns=SECOND, window_start_ns=number * SECOND,
            window_end_ns=(number + 1) * SECOND, values={"price_close": price, "trades": trades},
            sources={"binance": report}, notices=notices,
        )
        for symbol, price in zip(SPEC["symbols"], prices, strict=True)
    )  # fmt: skip
    return ClosedWindow((number + 1) * SECOND, records)


def screened(told, *, restarts):
    """What is sent of all windows, where the screen is written down and read at some of them."""
    spec = read_spec(SPEC)[0]
    screen, sent = Screen(spec), []
    for number, row in enumerate(told):
        if number in restarts:
            items = msgspec.json.encode([pack(item) for item in screen.remembered()])
            screen = Screen(spec)
            for item in msgspec.json.decode(items):
                screen.recall(*unpack(item))
        for window in screen.screened([a_window(number, row)]):
            sent += [attrs.asdict(record) for record in window.records]
    return sent


@settings(max_examples=60)
@given(rows, st.integers(1, 3))
def test_p8_filters_and_alerts_are_the_same_over_any_restart(told, every):
    """Crossings, changes and sums over time, cooldowns, what is held back and what it told."""
    assert screened(told, restarts=range(0, 25, every)) == screened(told, restarts=())


def test_what_is_of_another_condition_is_not_taken_up():
    """It is refused, and so told as not kept, rather than guessed at."""
    screen = Screen(read_spec(SPEC)[0])
    with pytest.raises(ValueError, match="it holds x, not memory, sent_ns"):
        screen.recall(("BTC/USDT", SECOND), {"x": 1})
