"""List the venues that are played."""

from __future__ import annotations

from collections.abc import Mapping

from bond_sim.binance import Binance
from bond_sim.binance_futures import BinanceFutures
from bond_sim.bybit import Bybit
from bond_sim.coinbase import Coinbase
from bond_sim.coinbase_advanced import CoinbaseAdvanced
from bond_sim.kraken import Kraken
from bond_sim.okx import Okx
from bond_sim.venue import Venue

_ALL: tuple[Venue, ...] = (
    Binance(),
    BinanceFutures(),
    Okx(),
    Bybit(),
    Bybit("bybitlinear"),
    Kraken(),
    CoinbaseAdvanced(),
    Coinbase(),
)

BY_NAME: Mapping[str, Venue] = {venue.name: venue for venue in _ALL}
"""The venues by their ccxt ids."""
