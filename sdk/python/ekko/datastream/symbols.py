"""Read symbols as traders write them: `BTCUSDT`, `BTC-USD`, `AAPL`."""

from __future__ import annotations

import re

QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDE", "USD", "EUR", "GBP", "TRY", "BRL", "AUD",
    "CAD", "CHF", "JPY", "KRW", "DAI", "BTC", "ETH", "BNB",
)  # fmt: skip
"""What markets are quoted in, the longest of a common ending first."""

_ONLY_SEPARATED = ("BUSD", "TUSD")
"""Hardly anything is quoted in these any more, and `BNBUSD` and `DOTUSD` end like them."""

_STABLE = ("FDUSD", "USDT", "USDC", "USDE")
_LONGEST_TICKER = 5
"""Shares have at most so many letters in America; what is longer is a market."""

_PAIR = re.compile(r"([A-Z0-9]+)[-_]([A-Z]+)")


def unified(symbol: str) -> str:
    """Return a symbol as Bond writes it: `BTC/USDT`, `AAPL`. What is no market stays as it is.

    `BTC/USDT:USDT`, a swap, is taken too. Nothing is substituted: `BTCUSD` is `BTC/USD`, and
    `BNBUSD` is `BNB/USD`; what is quoted in BUSD or TUSD is written apart: `BTC-BUSD`.

    Raises:
        ValueError: It is empty, or no text.
    """
    if not isinstance(symbol, str) or not symbol.strip():
        raise ValueError(f'a symbol is a text such as "BTCUSDT" or "AAPL", was {symbol!r}')
    name = symbol.strip().upper()
    if "/" in name:
        return name
    pair = _PAIR.fullmatch(name)
    if pair is not None and pair[2] in QUOTES:
        return f"{pair[1]}/{pair[2]}"
    for quote in QUOTES:
        if quote in _ONLY_SEPARATED:
            continue
        base = name.removesuffix(quote)
        if base != name and base and (len(name) > _LONGEST_TICKER or quote in _STABLE):
            return f"{base}/{quote}"
    return name


def is_market(symbol: str) -> bool:
    """Whether a unified symbol is a market of two assets, and no share."""
    return "/" in symbol
