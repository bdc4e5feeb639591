"""Count what clients subscribe to, and let a caller wait for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from attrs import define, field, frozen


@frozen(order=True)
class Subscription:
    """What one subscription is about.

    `channel` is `trades` or `quotes` (carries the best bid and ask), or the venue's own
    name for anything else. `symbol` is as the venue writes it: `BTCUSDT`, `BTC-USDT`.
    """

    venue: str
    channel: str
    symbol: str


@define
class Subscriptions:
    """Subscriptions and connections since the start and at this moment.

    `opened` grows with every subscription that a client asks for, also when it asks twice;
    `open` counts the clients that have it now. `connections_*` count WebSockets per venue.
    """

    opened: Counter[Subscription] = field(factory=Counter)
    open: Counter[Subscription] = field(factory=Counter)
    connections_opened: Counter[str] = field(factory=Counter)
    connections_open: Counter[str] = field(factory=Counter)
    _changed: asyncio.Event = field(factory=asyncio.Event)

    def asked(self, subscription: Subscription) -> None:
        """A client asked for it."""
        self.opened[subscription] += 1

    def began(self, subscription: Subscription) -> None:
        """A client that did not have it has it now."""
        self.open[subscription] += 1
        self._changed.set()

    def ended(self, subscription: Subscription) -> None:
        """A client that had it has it no longer."""
        self.open[subscription] -= 1
        if not self.open[subscription]:
            del self.open[subscription]

    async def wait(
        self, expected: Iterable[tuple[str, str]], *, venue: str | None = None, within_s: float
    ) -> None:
        """Return when every (channel, symbol) is open at `venue`, or at any venue.

        TimeoutError, naming what is missing: it was not within so many seconds of real time.
        """
        wanted = set(expected)
        try:
            async with asyncio.timeout(within_s):
                while missing := wanted - self._held(venue):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            names = ", ".join(sorted(f"{channel} of {symbol}" for channel, symbol in missing))
            raise TimeoutError(
                f"nobody subscribed within {within_s:g} s to: {names}; "
                f"open are {sorted(self._held(venue))}"
            ) from None

    def _held(self, venue: str | None) -> set[tuple[str, str]]:
        return {(s.channel, s.symbol) for s in self.open if venue in (None, s.venue)}
