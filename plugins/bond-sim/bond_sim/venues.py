"""List the venues that are played."""

from __future__ import annotations

from collections.abc import Mapping

from bond_sim.binance import Binance
from bond_sim.coinbase import Coinbase
from bond_sim.okx import Okx
from bond_sim.venue import Venue

_ALL: tuple[Venue, ...] = (Binance(), Okx(), Coinbase())

BY_NAME: Mapping[str, Venue] = {venue.name: venue for venue in _ALL}
"""The venues by their ccxt ids."""
