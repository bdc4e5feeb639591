"""Listen to one venue's liquidations of assets: of all linear swaps of each.

Whoever asks says `BTC`; the venue is asked for `BTC/USDT:USDT`, `BTC/USDC:USDC`. Between them
stands a context that translates, so that the connector itself knows markets only. Inverse swaps
are left out: their sizes are contracts, and can't be summed with base units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, cast

import attrs

from bond_ccxt.connector import CcxtConnector
from bond_core.model.instrument import base_asset
from bond_core.plugin import Context, Event, Liquidation, Message, Subscription


class LiquidationsConnector(CcxtConnector):
    """The connector `liquidations`: one instance for each venue."""

    async def run(self, ctx: Context) -> None:
        """Listen until cancelled; raises as CcxtConnector does."""
        markets = _Bases(ctx, self.listing)
        await super().run(cast("Context", markets))

    async def reread(self, ctx: Context, messages: AsyncIterator[Message]) -> None:
        """See CcxtConnector."""
        await super().reread(cast("Context", _Bases(ctx, self.listing)), messages)


@attrs.define(eq=False)
class _Bases:
    """A context of markets, over one of assets."""

    _ctx: Context
    _listing: Any
    wanted: _Wanted = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.wanted = _Wanted(self._ctx, self._listing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def emit(self, channel: str, events: Iterable[Event]) -> None:
        by_base = [
            attrs.evolve(event, symbol=base_asset(event.symbol))
            for event in events
            if isinstance(event, Liquidation)  # it emits nothing else
        ]
        self._ctx.emit(channel, by_base)

    def live(self, channel: str, symbol: str | None = None) -> None:
        self._ctx.live(channel, None if symbol is None else base_asset(symbol))

    def failed(self, channel: str, symbol: str, reason: str) -> None:
        if "/" in symbol:
            self._ctx.log.warning("%s: %s", symbol, reason)  # its other swaps go on
        else:
            self._ctx.failed(channel, symbol, reason)

    def gap(
        self, channel: str, symbol: str | None, *, from_ns: int, to_ns: int, detail: str
    ) -> None:
        base = None if symbol is None else base_asset(symbol)
        self._ctx.gap(channel, base, from_ns=from_ns, to_ns=to_ns, detail=detail)


@attrs.define(eq=False)
class _Wanted:
    """What is wanted, by market. One follows it."""

    _ctx: Context
    _listing: Any
    _seen: frozenset[Subscription] = frozenset()

    def current(self) -> frozenset[Subscription]:
        return self._of(self._ctx.wanted.current())

    async def changed(self, known: frozenset[Subscription]) -> frozenset[Subscription]:
        while self._of(self._seen) == known:
            self._seen = await self._ctx.wanted.changed(self._seen)
        return self._of(self._seen)

    def _of(self, wanted: frozenset[Subscription]) -> frozenset[Subscription]:
        swaps = _swaps(self._listing.markets or ())
        return frozenset(
            Subscription(each.channel, symbol)
            for each in wanted
            # One that has none is asked for by its own name, and failed by that.
            for symbol in swaps.get(each.symbol, [each.symbol])
        )


def _swaps(markets: Iterable[Mapping[str, Any]]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for market in markets:
        if market.get("swap") and market.get("linear") and market.get("active") is not False:
            found[base_asset(market["symbol"])].append(market["symbol"])
    return found
