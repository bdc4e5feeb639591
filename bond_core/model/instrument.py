"""Read a unified symbol: what is traded against what, and how it settles.

    BTC/USDT             spot
    BTC/USDT:USDT        linear swap, settled in the quote currency
    BTC/USD:BTC          inverse swap, settled in the base currency
    BTC/USD:BTC-220527   inverse future that ends on 2022-05-27
    AAPL                 a stock, or an asset alone
The notation is ccxt's (https://docs.ccxt.com, "Markets").
"""

from __future__ import annotations

import re

import attrs

_SYMBOL = re.compile(
    r"(?P<base>[A-Z0-9.$-]{1,30})"
    r"(?:/(?P<quote>[A-Z0-9.]{1,20})(?::(?P<settle>[A-Z0-9.]{1,20})(?:-(?P<expiry>[0-9]{6})[A-Z0-9-]*)?)?)?"
)


@attrs.frozen
class Instrument:
    """A symbol's parts; those it does not have are None."""

    base: str
    quote: str | None = None
    settle: str | None = None
    expiry: str | None = None

    @property
    def is_inverse(self) -> bool:
        """Whether it is settled in what it trades, so that its size counts contracts."""
        return self.settle is not None and self.settle == self.base


def parse_symbol(symbol: str) -> Instrument | None:
    """Return the parts of a unified symbol, or None if it isn't one."""
    found = _SYMBOL.fullmatch(symbol)
    return Instrument(**found.groupdict()) if found else None


def base_asset(symbol: str) -> str:
    """Return what is traded: `BTC` for `BTC/USDT`; a symbol without parts is its own base."""
    found = parse_symbol(symbol)
    return found.base if found else symbol
