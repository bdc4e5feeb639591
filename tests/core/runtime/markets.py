"""Venues that trade whether or not they are heard, and can be asked for what they traded.

The connector `told` has ids that rise by one, `untold` has ids that only differ, and `mute`
counts but can't be asked; the others differ in their limits. Each has the venues alpha and
beta; a test makes the market of a venue, and decides what of it is lost.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime
from typing import Any, ClassVar

from bond_core.clock import NS
from bond_core.plugin import (
    Backfill,
    Capabilities,
    Channel,
    ConnectorSpec,
    Context,
    Hole,
    Page,
    Retryable,
    Trade,
)
from tests.core.runtime.puppets import PRICES, VenueConfig

BTC = "BTC/USDT"
SPEC: dict[str, Any] = {
    "sources": [{"type": "told", "exchanges": ["alpha"]}],
    "symbols": [BTC],
    "interval_sec": 1,
    "fields": ["trades", "volume_sum", "price_open", "price_high", "price_low", "price_close"],
    "late": "update",
}


class Market:
    """One venue.

    Attributes:
        trades: All that were traded, by symbol.
        holes: What it was asked for, and when (ns).
        answers: What the next requests get: errors are raised, None is an answer as it should
            be; more requests are answered, too.
        page: How many trades one answer has at most: the oldest of those asked for.
        pause_s: How long an answer takes.
    """

    of: ClassVar[dict[str, Market]] = {}

    def __init__(self, clock: Any, venue: str = "alpha") -> None:
        self.of[venue] = self
        self.clock = clock
        self.trades: dict[str, list[Trade]] = defaultdict(list)
        self.holes: list[tuple[int, Hole]] = []
        self.answers: list[Exception | Page | None] = []
        self.page = 1000
        self.pause_s = 0.0
        self.is_down = False
        self.asking = 0
        self.most_asking = 0
        self.cancelled = 0
        self.ctx: Context | None = None
        self._cut = asyncio.Event()

    def trade(
        self, symbol: str = BTC, *, size: float = 1.0, heard: bool = True, ago_s: float = 0.0
    ) -> Trade:
        """Trade, at a price that rises, and let it be heard or not."""
        made = self.trades[symbol]
        number = len(made) + 101
        ts = self.clock.now_ns() - round(ago_s * NS)
        made.append(
            Trade(symbol=symbol, ts=ts, price=float(number), size=size, id=str(number), seq=number)
        )
        if heard:
            self.send(made[-1])
        return made[-1]

    def send(self, trade: Trade) -> None:
        """Let a trade be heard, if anybody is connected."""
        if self.ctx is not None:
            copy = Trade(symbol=trade.symbol, ts=trade.ts, price=trade.price, size=trade.size,
                         id=trade.id, seq=trade.seq)  # fmt: skip
            self.ctx.emit("trades", [copy])

    def cut(self) -> None:
        """Lose the connection, and take none until it is up again."""
        self.is_down, self.ctx = True, None
        self._cut.set()

    def up(self) -> None:
        """Take connections again."""
        self.is_down = False
        self._cut.clear()

    async def run(self, ctx: Context) -> None:
        """See Connector."""
        if self.is_down:
            raise Retryable("the venue is down")
        self.ctx = ctx
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(ctx))
            await self._cut.wait()
            raise Retryable("the connection was lost")

    async def _follow(self, ctx: Context) -> None:
        known: frozenset[Any] = frozenset()
        while True:
            wanted = await ctx.wanted.changed(known)
            for each in sorted(wanted - known):
                ctx.live(each.channel, each.symbol)
            known = wanted

    async def backfill(self, ctx: Context, hole: Hole) -> Page:
        """See Backfills."""
        self.holes.append((self.clock.now_ns(), hole))
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            if self.pause_s:
                await ctx.clock.sleep(self.pause_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.asking -= 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        found = [t for t in self.trades[hole.symbol] if hole.after_ts_ns <= t.ts]
        found = [t for t in found if t.ts <= hole.until_ts_ns and t.id != hole.after_id]
        rest = hole.after(found[self.page - 1]) if len(found) > self.page else None
        return Page([Trade(symbol=t.symbol, ts=t.ts, price=t.price, size=t.size, id=t.id,
                           seq=t.seq) for t in found[: self.page]], rest)  # fmt: skip

    def truth(self, second: int, symbol: str = BTC) -> dict[str, Any]:
        """Return what a window of one second should say, computed apart."""
        its = [t for t in self.trades[symbol] if t.ts // NS == second]
        prices = [t.price for t in its]
        return {
            "trades": len(its),
            "volume_sum": sum(t.size for t in its),
            "price_open": prices[0] if prices else None,
            "price_high": max(prices, default=None),
            "price_low": min(prices, default=None),
            "price_close": prices[-1] if prices else None,
        }


class Shop:
    """The connector: does what its venue's market does."""

    def __init__(self, config: VenueConfig) -> None:
        self._market = Market.of[config.venue]

    async def run(self, ctx: Context) -> None:
        """See Connector."""
        await self._market.run(ctx)

    async def backfill(self, ctx: Context, hole: Hole) -> Page:
        """See Backfills."""
        return await self._market.backfill(ctx, hole)


def spec_of(
    name: str, *, ids_by_one: bool = True, backfill: bool = True, stale_s: float | None = None,
    **limits: Any,
) -> ConnectorSpec:  # fmt: skip
    """Return a connector's spec."""
    can = Backfill(**{"channels": ("trades",), "requests_per_min": 600, **limits})
    return ConnectorSpec(
        name=name, factory=f"{__name__}:Shop", config=VenueConfig, summary="trades",
        venues=("alpha", "beta"),
        channels=(
            Channel(name="trades", kind="trade", fields=(*PRICES, "volume_sum", "trades"),
                    stale_s=stale_s, ids_by_one=ids_by_one),
        ),
        capabilities=Capabilities(backfill=can if backfill else None),
    )  # fmt: skip


SPECS = (
    spec_of("told"),
    spec_of("untold", ids_by_one=False),
    spec_of("frozen", ids_by_one=False, stale_s=5.0),
    spec_of("mute", backfill=False),
    spec_of("slow", requests_per_min=60),
    spec_of("small", most_events=3, most_requests=2),
    spec_of("short", ids_by_one=False, most_s=2.0),
)


def of_type(name: str, **more: Any) -> dict[str, Any]:
    """Return the spec of a stream of one of them."""
    return {**SPEC, "sources": [{"type": name, "exchanges": ["alpha"]}], **more}


def last_said(records: list[dict[str, Any]], symbol: str = BTC) -> dict[int, dict[str, Any]]:
    """Return by second of its start what was said last of each window; revs rise by one."""
    said: dict[int, dict[str, Any]] = {}
    for record in records:
        if record["symbol"] == symbol:
            start = datetime.fromisoformat(record["window_start"])
            second = round(start.timestamp())
            assert record["rev"] == (said[second]["rev"] + 1 if second in said else 0)
            said[second] = record
    return said


def notices(records: list[dict[str, Any]], *codes: str) -> list[dict[str, Any]]:
    """Return the notices of these codes."""
    return [n for record in records for n in record["notices"] if n["code"] in codes]
