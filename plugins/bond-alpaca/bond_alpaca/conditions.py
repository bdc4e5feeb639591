"""Say which trades of a share count for what, by the codes that the tapes put on them.

Alpaca follows the tapes' own matrices in its bars (https://alpaca.markets/learn/stock-minute-bars):
those of CTS for tapes A and B, and of UTP for tape C, in the columns for consolidated last
price and volume. What may not set the last price sets no price here.

Outside regular hours (T) trades set prices, as in Alpaca's minute bars.
"""

from __future__ import annotations

from collections.abc import Iterable

NO_TRADE = frozenset("MQ9")
"""Official opening and closing prices and a corrected close: told on the tape, traded before."""

_NO_PRICE = frozenset(
    "C"  # cash: another settlement
    "H"  # price variation
    "I"  # odd lot
    "N"  # next day
    "P"  # prior reference price
    "R"  # seller
    "U"  # extended hours, out of sequence
    "V"  # contingent
    "Z"  # out of sequence
    "4"  # derivatively priced
    "7"  # qualified contingent
)
_NO_PRICE_CTS = _NO_PRICE | {"B"}  # average price; on tape C a B is bunched, and counts
_NO_PRICE_UTP = _NO_PRICE | {"W", "G"}  # average price; bunched and sold late


def is_trade(conditions: Iterable[str]) -> bool:
    """Whether it is a trade at all."""
    return NO_TRADE.isdisjoint(conditions)


def sets_price(conditions: Iterable[str], tape: str) -> bool:
    """Whether it counts for prices; a code that isn't known forbids nothing.

    Args:
        conditions: Its codes, one character each.
        tape: `A`, `B` or `C`.
    """
    return (_NO_PRICE_UTP if tape in ("C", "O") else _NO_PRICE_CTS).isdisjoint(conditions)
