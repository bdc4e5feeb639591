"""Tell how much assets are searched for: often, from memory, which Google fills once an hour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import attrs

from bond_core.clock import NS
from bond_core.errors import PluginError
from bond_core.plugin import (
    Context, Event, Fatal, PollingConnector, Retryable, Trend, plain, search_terms,
)  # fmt: skip
from bond_trends.config import TrendsConfig
from bond_trends.google import look_up, newest_point, rising_of
from bond_trends.memory import Memory

T = TypeVar("T")


class TrendsConnector(PollingConnector):
    """The connector `trends`."""

    config: TrendsConfig

    def __init__(self, config: TrendsConfig) -> None:
        super().__init__(config)
        self._memory = Memory()

    async def poll(self, ctx: Context, channel: str, symbols: Sequence[str]) -> Sequence[Event]:
        """Return the newest value of each symbol that is known.

        Raises:
            Retryable: Google refuses, and nothing is known that could be told.
            Fatal: The library isn't there, or a keyword can't be looked up.
        """
        for symbol in symbols:
            if self._memory.due(symbol, ctx.clock.monotonic_ns()):
                await self._learn(ctx, symbol)
        now_ns = ctx.clock.monotonic_ns()
        known = {symbol: self._memory.told(symbol, now_ns) for symbol in symbols}
        if symbols and not any(known.values()) and now_ns < self._memory.closed_until_ns:
            pause_s = (self._memory.closed_until_ns - now_ns) / NS
            raise Retryable(self._memory.why, retry_after_s=pause_s)
        trends = (each.trend for each in known.values() if each is not None)
        # A copy: the runtime puts the time into it at which it is heard, each time anew.
        return [attrs.evolve(trend) for trend in trends if trend is not None]

    async def _learn(self, ctx: Context, symbol: str) -> None:
        keyword = self.config.query or _keyword(symbol)
        try:
            library = await asyncio.to_thread(ctx.sdk, "trendspyg")
            http = ctx.sdk("trendspyg.explore._http")
            requests = ctx.sdk("requests")
        except PluginError as error:
            raise Fatal(
                f"bond-trends asks Google through trendspyg: {error.detail}",
                fix='pip install "bond-trends[google]"',
            ) from None
        base = ctx.simulated_at
        try:
            envelope = await _in_thread(lambda: look_up(keyword, library, http, requests, base))
        except Retryable as error:
            now_ns = ctx.clock.monotonic_ns()
            self._memory.close(error.detail, now_ns + round((error.retry_after_s or 0) * NS))
            ctx.log.warning("%s", error.detail)
            return
        point = newest_point(envelope)
        trend = None
        if point is not None:
            date, value = point
            trend = Trend(
                symbol=symbol,
                ts=round(datetime.fromisoformat(date).timestamp()) * NS,
                keyword=keyword,
                value=value,
                rising=", ".join(plain(query) for query in rising_of(envelope)) or None,
                venue="google.trends",
            )
        self._memory.learn(symbol, trend, ctx.clock.monotonic_ns())


def _keyword(symbol: str) -> str:
    """Return what people search for: the asset's name, else its ticker."""
    names = [word for word in search_terms(symbol).words if word != symbol]
    return names[0] if names else symbol


async def _in_thread(work: Callable[[], T]) -> T:
    """Return what blocking work returns. Cancelled it ends at once, and leaves the thread alone."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(error: BaseException | None, result: T | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]  # it is there where no error is
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        result: T | None = None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 -- it is handed over
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error, result)

    threading.Thread(target=run, name="google trends", daemon=True).start()
    return await done
