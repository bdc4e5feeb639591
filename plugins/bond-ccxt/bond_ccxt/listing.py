"""Know what a venue lists, without asking it at every reconnection."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import attrs

from bond_core.clock import NS, Clock

_OLD_NS = 3600 * NS


@attrs.define
class Listing:
    """The markets of one venue, as ccxt describes them, kept from session to session.

    Asking a big venue anew takes seconds, in which nothing is heard.

    Attributes:
        markets: ccxt's market structures; None before the first load.
        loaded_ns: When they were loaded, on the clock's monotonic time.
    """

    markets: list[Any] | None = None
    loaded_ns: int = 0

    async def load(self, exchange: Any, clock: Clock) -> None:
        """Give the exchange object its markets: those known, else those the venue lists."""
        if self.markets is not None:
            exchange.set_markets(self.markets)
            return
        await exchange.load_markets()
        self._keep(exchange, clock)

    async def renew(
        self, exchange: Any, clock: Clock, symbols: Iterable[str], log: logging.Logger
    ) -> None:
        """Ask the venue again if a symbol is unknown and the list an hour old.

        A failure is logged only: it must not disturb what is heard already.
        """
        import ccxt  # noqa: PLC0415 -- loaded by now; at the top it would load with this module

        unknown = [symbol for symbol in symbols if symbol not in exchange.markets]
        if not unknown or clock.monotonic_ns() - self.loaded_ns < _OLD_NS:
            return
        try:
            await exchange.load_markets(True)  # noqa: FBT003 -- ccxt's: reload
        except ccxt.BaseError as error:
            log.warning("%s did not say what it lists now: %s", exchange.id, error)
        else:
            self._keep(exchange, clock)

    def _keep(self, exchange: Any, clock: Clock) -> None:
        self.markets = list(exchange.markets.values())
        self.loaded_ns = clock.monotonic_ns()
