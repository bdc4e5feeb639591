"""A venue that a test or benchmark speaks for, and a stream manager that listens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from bond_core.aggregators import plugin as builtin
from bond_core.clock import NS, settle
from bond_core.errors import Retryable
from bond_core.model.event import Trade
from bond_core.plugin import Channel, ConnectorSpec
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_core.testing.virtual_clock import VirtualClock
from ekko.bars import StreamManager, StreamManagerConfig

T0 = 1_699_999_200 * NS
"""A full hour: every timeframe begins here."""


@attrs.define
class Venue:
    """What the venue does: each run adds a context to speak through, or fails.

    Attributes:
        contexts: One of each run that was connected.
        tries: When it was connected to, ns, failures included.
        refuses: Whether it refuses connections.
    """

    contexts: list[Any] = attrs.field(factory=list)
    tries: list[int] = attrs.field(factory=list)
    refuses: bool = False
    _down: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def ctx(self) -> Any:
        """The newest context."""
        return self.contexts[-1]

    def say(self, *trades: Trade) -> None:
        """Send trades."""
        self.ctx.emit("trades", trades)

    def hang_up(self) -> None:
        """Break the connection."""
        self._down.set()

    async def run(self, ctx: Any) -> None:
        """Listen to whoever speaks."""
        self.tries.append(ctx.clock.now_ns())
        if self.refuses:
            raise Retryable("nobody answers")
        self._down = asyncio.Event()
        down = asyncio.create_task(self._down.wait())
        wanted = ctx.wanted.current()
        self.contexts.append(ctx)
        try:
            while not down.done():
                for subscription in wanted:
                    ctx.live(subscription.channel, subscription.symbol)
                changed = asyncio.create_task(ctx.wanted.changed(wanted))
                try:
                    await asyncio.wait({changed, down}, return_when=asyncio.FIRST_COMPLETED)
                    wanted = changed.result() if changed.done() else wanted
                finally:
                    changed.cancel()
            raise Retryable("the venue hung up")
        finally:
            down.cancel()


VENUES: list[Venue] = []


@attrs.frozen
class NoConfig:
    """Nothing is to be set."""


class SpokenFor:
    """Connects to the newest venue."""

    def __init__(self, config: NoConfig) -> None:
        self._venue = VENUES[-1]

    async def run(self, ctx: Any) -> None:
        """See Connector."""
        await self._venue.run(ctx)


SPOKEN_FOR = ConnectorSpec(
    name="spoken", factory=f"{__name__}:SpokenFor", config=NoConfig, summary="trades",
    channels=(Channel(name="trades", kind="trade", fields=("trades",), stale_s=None),),
)  # fmt: skip


def catalog() -> Catalog:
    """Return what is installed: the built-in fields, and the venue."""
    parts = (("builtin", register(builtin, name="builtin")), ("spoken", (SPOKEN_FOR,)))
    rows = [
        PluginRow(name=name, distribution=name, version="1", module=name, state="loaded",
                  specs=specs)
        for name, specs in parts
    ]  # fmt: skip
    return Catalog(rows)


def manager_of(
    symbols: Sequence[str] = ("A/USDT",), *, clock: Any = None, **config: Any
) -> StreamManager:
    """Return a manager of the venue, whose settings are the defaults but for `config`."""
    options = {"clock": clock} if clock else {}
    made = StreamManagerConfig(stock_source="spoken", **config)
    manager = StreamManager(made, bond={"catalog": catalog(), **options}, **options)
    manager.add_stock_symbols(symbols)
    return manager


@asynccontextmanager
async def listening(
    symbols: Sequence[str] = ("A/USDT",), *, clock: Any = None,
    callbacks: Mapping[str, Any] | None = None, **config: Any,
) -> AsyncIterator[tuple[StreamManager, Venue]]:  # fmt: skip
    """Run a manager of a venue; gives both."""
    VENUES.append(Venue())
    manager = manager_of(symbols, clock=clock, **config)
    for name, callback in (callbacks or {}).items():
        getattr(manager, name)(callback)
    try:
        async with manager:
            await settle()
            yield manager, VENUES[-1]
    finally:
        VENUES.pop()


def trade(at_s: float, price: float | None = 100.0, size: float = 1.0, **more: Any) -> Trade:
    """Return a trade so many seconds after T0."""
    more = {"symbol": "A/USDT", "side": "buy", **more}
    return Trade(ts=T0 + round(at_s * NS), price=price, size=size, **more)


async def until(done: Callable[[], bool]) -> None:
    """Return once something is so; whoever asks says for how long."""
    while not done():  # noqa: ASYNC110 -- it is somebody else's to tell
        await asyncio.sleep(0.001)


async def say_at(venue: Venue, clock: VirtualClock, *trades: Trade) -> None:
    """Send each trade at its time."""
    for each in trades:
        await clock.advance_to(each.ts)
        venue.say(each)
        await settle()
