"""Say which of the symbols asked for a venue has, and what is near to one it hasn't."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def why_not(symbol: str, venue: str, markets: Mapping[str, Any]) -> str | None:
    """Return why a symbol can't be had from a venue, with the nearest it has; None if it can."""
    market = markets.get(symbol)
    if market is None:
        near = nearest(symbol, markets)
        hint = f"; it has {', '.join(near)}" if near else ""
        return f"{venue} doesn't list {symbol}{hint}"
    info = market.get("info")
    alias = info.get("alias") if venue == "coinbase" and isinstance(info, dict) else None
    if alias:  # BTC-USDC is one book with BTC-USD, and every message names only the latter
        return f"{venue} reports {symbol} under {alias.replace('-', '/')} only; ask for that"
    return None


def why_no_swap(symbol: str, markets: Mapping[str, Any]) -> str | None:
    """Return why a listed market has no funding and the like; None if it has."""
    if markets[symbol].get("swap"):
        return None
    base = symbol.partition("/")[0]
    swaps = [s for s, m in markets.items() if m.get("swap") and s.partition("/")[0] == base]
    near = difflib.get_close_matches(symbol, swaps, n=3, cutoff=0.0)
    return f"{symbol} is no perpetual contract" + (f"; such are {', '.join(near)}" if near else "")


def nearest(symbol: str, markets: Iterable[str], limit: int = 3) -> list[str]:
    """Return symbols like this one: of the same base asset first, spot before contracts."""
    base = symbol.partition("/")[0]
    same = [known for known in markets if known.partition("/")[0] == base]
    by_likeness = difflib.get_close_matches(symbol, same, n=limit, cutoff=0.0)
    if not by_likeness:
        by_likeness = difflib.get_close_matches(symbol, list(markets), n=limit)
    return sorted(by_likeness, key=lambda known: ":" in known)
