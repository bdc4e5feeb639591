"""Tell how much assets are searched for: often, from memory, which Google fills once an hour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from bond_core.clock import NS
from bond_core.errors import PluginError
from bond_core.plugin import (
    Context,
    Event,
    Fatal,
    PollingConnector,
    Retryable,
    Trend,
    search_terms,
)  # fmt: skip
from bond_trends.config import TrendsConfig
from bond_trends.google import Libraries, look_up
from bond_trends.memory import Memory

T = TypeVar("T")


class TrendsConnector(PollingConnector):
    """The connector `trends`."""

    config: TrendsConfig

    def __init__(self, config: TrendsConfig) -> None:
        super().__init__(config)
        self._memory = Memory()

    async def poll(self, ctx: Context, channel: str, symbols: Sequence[str]) -> Sequence[Event]:
        """Return the newest value of each symbol that is known; look at most one up.

        Raises:
            Retryable: Google refuses, and nothing is known that could be told.
            Fatal: The library isn't there, or a keyword can't be looked up.
        """
        keywords = {symbol: self.config.query or _name(symbol) for symbol in symbols}
        memory = self._memory
        # One of them, so that those which are known are told meanwhile.
        due = memory.due(keywords.values(), ctx.clock.monotonic_ns())
        if due is not None:
            await self._learn(ctx, due)
        now_ns = ctx.clock.monotonic_ns()
        known = {word: memory.told(word, now_ns) for word in keywords.values()}
        if known and not any(known.values()) and now_ns < memory.closed_until_ns:
            raise Retryable(memory.why, retry_after_s=(memory.closed_until_ns - now_ns) / NS)
        answers = {word: each.answer for word, each in known.items() if each is not None}
        return [
            Trend(
                symbol=symbol, ts=answer.ts, keyword=word, value=answer.value,
                rising=answer.rising, venue="google.trends",
            )
            for symbol, word in keywords.items()
            if (answer := answers.get(word)) is not None
        ]  # fmt: skip

    async def _learn(self, ctx: Context, keyword: str) -> None:
        libraries = await asyncio.to_thread(_load, ctx)
        try:
            answer = await _in_thread(lambda: look_up(keyword, libraries, ctx.simulated_at))
        except Retryable as error:
            now_ns = ctx.clock.monotonic_ns()
            self._memory.close(error.detail, now_ns + round((error.retry_after_s or 0) * NS))
            ctx.log.warning("%s", error.detail)
        else:
            self._memory.learn(keyword, answer, ctx.clock.monotonic_ns())


def _name(symbol: str) -> str:
    """Return what people search for: the asset's name, else its ticker."""
    names = [word for word in search_terms(symbol).words if word != symbol]
    return names[0] if names else symbol


def _load(ctx: Context) -> Libraries:
    try:
        names = ("trendspyg", "trendspyg.explore._http", "requests")
        return Libraries(*[ctx.sdk(name) for name in names])
    except PluginError as error:
        raise Fatal(
            f"bond-trends asks Google through trendspyg: {error.detail}",
            fix='pip install "bond-trends[google]"',
        ) from None


async def _in_thread(work: Callable[[], T]) -> T:
    """Return what blocking work returns. Cancelled it ends at once, and leaves the thread alone."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on nobody but the thread settles it

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 -- it is handed over
            done.set_exception(error)

    threading.Thread(target=run, name="google trends", daemon=True).start()
    return await asyncio.wrap_future(done)
