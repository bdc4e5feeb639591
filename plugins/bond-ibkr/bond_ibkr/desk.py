"""Keep to what is wanted: one subscription at TWS for each channel and symbol, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.plugin import Context, Subscription
from bond_ibkr.contracts import Listed, as_json, choose, contract_of
from bond_ibkr.refusals import Refusal, is_pace
from bond_ibkr.session import Session, TickType
from bond_ibkr.ticks import RAW_TYPES, RawReader, Reader
from bond_ibkr.waiting import done_within

CONFIRMED_S = 2.0
"""TWS confirms no subscription: one that it hasn't refused for so long stands."""

ASK_EVERY_S = 15.0
"""How often TWS is asked whether it still lives."""

CLOCK_OFF_S = 3.0
"""How far this machine's clock may be from TWS's before that is told; 5 s ahead are refused."""

TICK_TYPES: Mapping[str, TickType | None] = {
    "trades": "Last",
    "all_trades": "AllLast",
    "quotes": "BidAsk",
    "midpoints": "MidPoint",
    "candles": None,
    "raw_last": "Last",
    "raw_all_last": "AllLast",
    "raw_bid_ask": "BidAsk",
    "raw_midpoint": "MidPoint",
}


@attrs.define(eq=False)
class Desk:
    """The subscriptions of one session, each kept by a task of its own.

    Attributes:
        order: Numbers the ticks, over all sessions of a connector.
    """

    ctx: Context
    ib: Any
    session: Session
    tasks: asyncio.TaskGroup
    order: Iterator[int]
    _is_off: bool = False
    _kept: dict[Subscription, asyncio.Task[None]] = attrs.field(factory=dict)
    _listings: dict[str, asyncio.Task[Listed | Refusal]] = attrs.field(factory=dict)

    async def follow(self) -> None:
        """Subscribe and unsubscribe, for ever."""
        known: frozenset[Subscription] = frozenset()
        while True:
            wanted = await self.ctx.wanted.changed(known)
            for gone in known - wanted:
                self._kept.pop(gone).cancel()
            for symbol in self._listings.keys() - {each.symbol for each in wanted}:
                del self._listings[symbol]
            for new in sorted(wanted - known):
                self._kept[new] = self.tasks.create_task(self._keep(new))
            known = wanted

    async def watch(self) -> None:
        """See that TWS lives, and beat for what isn't traded at this hour.

        Outside of its trading hours a contract is silent, which is no fault.
        """
        while True:
            time_s = await self.session.time_s()
            now_ns = self.ctx.clock.now_ns()
            readers = [r for line in self.session.lines.values() for r in line.readers]
            self._compare(time_s + 0.5 - now_ns / NS)  # somewhere in that second
            open_now = {r.channel for r in readers if not r.listed.hours.is_closed(now_ns)}
            for channel in {reader.channel for reader in readers} - open_now:
                # Times are whole seconds: one that is told now may be of a second ago.
                self.ctx.heartbeat(channel, now_ns - NS)
            await self.ctx.clock.sleep(ASK_EVERY_S)

    def _compare(self, ahead_s: float) -> None:
        """Tell once that the clocks differ, and again when they did not meanwhile."""
        was_off, self._is_off = self._is_off, abs(ahead_s) > CLOCK_OFF_S
        if was_off or not self._is_off:
            return
        way = "behind" if ahead_s > 0 else "ahead of"
        detail = f"this machine's clock is {abs(ahead_s):.0f} s {way} TWS's: set one of them right"
        for channel in {wanted.channel for wanted in self.ctx.wanted.current()}:
            self.ctx.tell(channel, None, code="clock_off", detail=detail)

    async def _keep(self, wanted: Subscription) -> None:
        """Have a subscription, and ask again where that may help."""
        while True:
            refusal = await self._have(wanted)
            if is_pace(refusal.reason) and wanted.channel in RAW_TYPES:
                # It is late, and nobody who waits for its first tick is to be told it failed.
                self.ctx.tell(wanted.channel, wanted.symbol, code="waiting", detail=refusal.reason)
            elif refusal.fails:
                self.ctx.failed(wanted.channel, wanted.symbol, refusal.reason)
            if refusal.again_s is None:
                return
            await self.ctx.clock.sleep(refusal.again_s)

    async def _have(self, wanted: Subscription) -> Refusal:
        """Have a subscription until TWS refuses it."""
        listed = await self._listed(wanted.symbol)
        if isinstance(listed, Refusal):
            return listed
        is_raw = wanted.channel in RAW_TYPES
        make = RawReader if is_raw else Reader
        reader = make(wanted.channel, wanted.symbol, listed, self.order)
        if is_raw:
            self.ctx.tell(wanted.channel, wanted.symbol, code="contract", detail=as_json(listed))
        line = self.session.ask(TICK_TYPES[wanted.channel], reader)
        try:
            if not await done_within(self.ctx.clock, line.refused, CONFIRMED_S):
                self.ctx.live(wanted.channel, wanted.symbol)
            return await asyncio.shield(line.refused)  # cancelled, it is not refused
        finally:
            self.session.leave(line, reader)

    async def _listed(self, symbol: str) -> Listed | Refusal:
        """Return a symbol's contract, asking TWS once for all channels."""
        if symbol not in self._listings:
            self._listings[symbol] = self.tasks.create_task(self._look_up(symbol))
        return await asyncio.shield(self._listings[symbol])

    async def _look_up(self, symbol: str) -> Listed | Refusal:
        found = await self.session.describe(contract_of(self.ib, symbol), symbol)
        listed = found if isinstance(found, Refusal) else choose(symbol, found)
        if isinstance(listed, Refusal):  # nobody may be waiting any more, and who comes asks anew
            self._listings.pop(symbol, None)
        return listed
