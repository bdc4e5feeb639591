"""Make events that make sense, naming only what a test is about."""

from __future__ import annotations

from typing import Any

from bond_core.clock import NS
from bond_core.model.event import Quote, Trade

START_NS = 1_700_000_000 * NS
"""Where a ManualClock starts, and the time of events that name none."""


def a_trade(symbol: str = "BTC/USDT", /, *, ts: int = START_NS, **changes: Any) -> Trade:
    """Return a trade of 1 BTC at 100 USDT, but for `changes`; `ts` in ns."""
    return Trade(**{"symbol": symbol, "ts": ts, "price": 100.0, "size": 1.0, **changes})


def a_quote(symbol: str = "BTC/USDT", /, *, ts: int = START_NS, **changes: Any) -> Quote:
    """Return a quote of 99 bid and 101 asked, but for `changes`; `ts` in ns."""
    return Quote(**{"symbol": symbol, "ts": ts, "bid": 99.0, "ask": 101.0, **changes})
