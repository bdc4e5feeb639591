"""Tell which market a message means, and what its sizes count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import attrs


@attrs.define(eq=False)
class Markets:
    """The markets of one ccxt.pro exchange object, by the venue's own names.

    A name may stand for a spot market and a future: the connection it was heard on decides.
    """

    exchange: Any
    _known: dict[tuple[str, str], Mapping[str, Any]] = attrs.field(factory=dict)

    def find(self, client: Any, id: str) -> Mapping[str, Any]:
        """Return the market (ccxt's structure) that a message on this connection calls so."""
        key = (client.url, id)
        if key not in self._known:
            exchange = self.exchange
            if id in exchange.markets:  # kraken writes unified symbols
                self._known[key] = exchange.markets[id]
            else:
                kind = "spot" if _is_spot(exchange, client) else "contract"
                self._known[key] = exchange.safe_market(id, None, None, kind)
        return self._known[key]


def _is_spot(exchange: Any, client: Any) -> bool:
    if exchange.id == "binance":
        return bool(exchange.is_spot_url(client))
    return exchange.id != "bybit" or "/spot" in client.url


def unit_of(market: Mapping[str, Any]) -> str | None:
    """Return what sizes of a market count, None for base units."""
    if not (market.get("contract") and market.get("inverse")):
        return None
    return f"{market.get('contractSize') or 1:g} {market['quote']} contracts"


def scale_of(market: Mapping[str, Any]) -> Callable[[str], float]:
    """Return what reads a size in base units; an inverse market's in contracts."""
    size = market.get("contractSize") or 1
    if not market.get("contract") or market.get("inverse") or size == 1:
        return float
    factor = Decimal(repr(size))
    # Through decimals, so that three contracts of 0.1 are 0.3.
    return lambda text: float(Decimal(text) * factor)
