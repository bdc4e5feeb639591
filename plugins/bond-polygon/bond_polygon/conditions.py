"""Say which trades of a share count for what, by Massive's numbers of sale conditions.

Source: `update_rules.consolidated` of https://api.massive.com/v3/reference/conditions, as
published; https://massive.com/blog/understanding-trade-eligibility says that where a trade has
several conditions one that says no decides. What may not set the last price (`open_close`) sets
no price here. Trades outside regular hours (12) set prices, as in Massive's minute aggregates.
"""

from __future__ import annotations

from collections.abc import Iterable

NO_TRADE = frozenset({15, 16, 38})
"""Official close and open, corrected close: on the tape, and traded before."""

NO_PRICE = frozenset({
    2,  # average price
    5,  # bunched, sold late
    7,  # cash
    10,  # derivatively priced
    13,  # extended hours, out of sequence
    20,  # next day
    21,  # price variation
    22,  # prior reference price
    29,  # seller
    32, 33,  # out of sequence; of stopped stock
    37,  # odd lot
    52, 53,  # contingent, qualified contingent
})  # fmt: skip

REOPENING = frozenset({18, 28})
"""The first trade after a halt."""


def is_trade(conditions: Iterable[int]) -> bool:
    """Whether it is a trade at all."""
    return NO_TRADE.isdisjoint(conditions)


def sets_price(conditions: Iterable[int]) -> bool:
    """Whether it counts for prices; a number that isn't known forbids nothing."""
    return NO_PRICE.isdisjoint(conditions)
