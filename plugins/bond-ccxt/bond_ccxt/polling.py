"""Ask a venue for what it does not push: open interest.

Through the exchange object that all else of the venue goes through, so at ccxt's pace for that
venue, whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bond_ccxt.exchange import Session
from bond_ccxt.markets import unit_of
from bond_core.plugin import Context, OpenInterest, Subscription

if TYPE_CHECKING:
    from bond_ccxt.tap import Tap

CHANNEL = "open_interest"
EVERY_S = 15.0
"""Seconds between two rounds of requests, one for each symbol."""


async def poll_open_interest(
    ctx: Context, session: Session, tap: Tap, symbols: Sequence[str]
) -> None:
    """Ask for the open interest of these swaps, again and again, until cancelled.

    A request that fails is made again in the next round: others hear on this connection.
    """
    import ccxt  # noqa: PLC0415 -- loaded by now; at the top it would load with this module

    refused: set[str] = set()
    while True:
        for symbol in symbols:
            if symbol in refused:
                continue
            try:
                found = await session.exchange.fetch_open_interest(symbol)
            except ccxt.OperationFailed as error:
                ctx.log.warning("%s: no open interest of %s: %s", session.venue.id, symbol, error)
            except ccxt.BaseError as error:
                refused.add(symbol)
                reason = f"{session.venue.id} has no open interest of it: {error}"
                ctx.failed(CHANNEL, symbol, reason[:300])
            else:
                tap.confirm(Subscription(CHANNEL, symbol))
                market = session.exchange.markets[symbol]
                now_ns = ctx.clock.now_ns()
                tap.take(CHANNEL, _event(found, market, session.venue.id, now_ns))
        await ctx.clock.sleep(EVERY_S)


def _event(found: Any, market: Any, venue: str, now_ns: int) -> OpenInterest:
    """Return the event for ccxt's open interest structure.

    Its amount is in base units at Binance and Bybit; of an inverse contract it is a number of
    contracts, of which no sum can be made with others. At OKX it is one always, beside which
    the venue gives coins.
    """
    info = found["info"]
    amount: float | None
    if isinstance(info, dict) and "oiCcy" in info:
        amount = float(info["oiCcy"])
    else:
        amount = None if unit_of(market) else found.get("openInterestAmount")
    return OpenInterest(
        symbol=market["symbol"],
        ts=now_ns,
        amount=amount,
        value=found.get("openInterestValue"),
        venue=venue,
    )
