"""Open one ccxt.pro exchange object, at its real or its simulated address, and close it."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs

from bond_ccxt.config import CcxtConfig
from bond_ccxt.errors import blocked
from bond_ccxt.pace import share_pace
from bond_ccxt.venues import SIMULATED, VENUES, Venue, unproven
from bond_core.plugin import Context, Fatal

_CLOSE_WITHIN_S = 0.4
_TRADES_KEPT = 10


@attrs.define(eq=False)
class Session:
    """An open exchange object, and the tasks that ccxt started for it.

    ccxt dials, and waits for its rate limit, in tasks that nobody owns; they are noted here so
    that none is left when the session closes.

    Attributes:
        exchange: The ccxt.pro exchange.
        venue: What is known about it.
    """

    exchange: Any
    venue: Venue
    _tasks: set[asyncio.Task[Any]] = attrs.field(factory=set)
    _open_client: Callable[[str], Any] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Watch over what ccxt starts."""
        self._open_client = self.exchange.client
        self.exchange.client = self._client
        self._own(self.exchange.throttler, "looper")

    def _client(self, url: str) -> Any:
        """Stand in for `exchange.client`, which makes a WebSocket client or finds it again."""
        client = self._open_client(url)
        if "open" not in vars(client):
            self._own(client, "open")
            self._own(client.throttle, "looper")
            if self.venue.id in VENUES:
                # Data are taken by the tap. A `watch_…` that never gets its result waits until
                # it fails, and costs nothing meanwhile; as ccxt means it, it would be called
                # again for each frame, at 15 us for one symbol and 150 us for a hundred.
                client.resolve = lambda result, _message_hash: result
        return client

    def _own(self, owner: Any, name: str) -> None:
        """Note the task that runs this coroutine method, whenever it is called."""
        method: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def run(*args: Any) -> Any:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return await method(*args)

        setattr(owner, name, run)

    async def close(self) -> None:
        """Close every connection and end every task, within a second whatever the venue does."""
        exchange = self.exchange
        clients = list(exchange.clients.values())
        for throttler in (exchange.throttler, *(client.throttle for client in clients)):
            for waiting, _ in throttler.queue:
                waiting.cancel()
            throttler.queue.clear()
        for task in self._tasks:
            task.cancel()
        closing = [asyncio.ensure_future(client.close()) for client in clients]
        if closing:
            # A venue that hangs doesn't answer the closing frame either.
            await asyncio.wait(closing, timeout=_CLOSE_WITHIN_S)
        for attempt in closing:
            attempt.cancel()
        await asyncio.gather(*closing, *self._tasks, return_exceptions=True)
        exchange.clients.clear()
        exchange.timeout_on_exit = 0  # ccxt's own wait; the connector's is enough
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await exchange.close()
        for _ in range(3):  # what the closed sockets woke
            await asyncio.sleep(0)


async def open_session(config: CcxtConfig, ctx: Context) -> Session:
    """Load ccxt.pro and make the venue's exchange object; nothing is connected yet.

    Args:
        config: Which venue, and how to reach it.
        ctx: Says whether a simulator stands in, and where ccxt.pro comes from.

    Raises:
        Fatal: No such venue, or none that the simulator serves.
    """
    simulated_at = ctx.simulated_at
    if simulated_at is not None and config.venue not in SIMULATED:
        raise Fatal(
            f"the simulator doesn't serve {config.venue}: it serves {', '.join(SIMULATED)}",
            fix='"exchanges": ["binance", "okx"]',
        )
    # Four seconds and 110 MB at first, so off the loop.
    pro = await asyncio.to_thread(ctx.sdk, "ccxt.pro")
    if config.venue not in pro.exchanges:
        raise Fatal(
            f"ccxt has no WebSocket client for {config.venue!r}", fix='"exchanges": ["binance"]'
        )
    known = VENUES.get(config.venue)
    exchange = getattr(pro, config.venue)(
        {
            "timeout": round(config.timeout_s * 1000),
            "aiohttp_trust_env": config.use_proxy_env,
            "options": {"tradesLimit": _TRADES_KEPT, **(known.options if known else {})},
        }
    )
    # ccxt would read the certificates itself, 20 ms on the loop for each exchange object.
    exchange.ssl_context = await asyncio.to_thread(_certificates, exchange.cafile)
    venue = known or unproven(config.venue, exchange.has)
    if simulated_at is not None:
        _simulate(exchange, simulated_at.rstrip("/"))
    _refuse_blocks(exchange)
    share_pace(exchange, ctx.clock)
    return Session(exchange, venue)


@functools.cache
def _certificates(file: str) -> ssl.SSLContext:
    """Return what certificates are checked with; one for all venues."""
    return ssl.create_default_context(cafile=file)


def _simulate(exchange: Any, base: str) -> None:
    """Point the exchange object at a simulator, and leave out what only slows the start."""
    here = f"{base}/{exchange.id}"
    socket = here.replace("http", "ws", 1)
    exchange.has["fetchCurrencies"] = False
    exchange.enableRateLimit = False
    api = exchange.urls["api"]
    match exchange.id:
        case "binance":
            exchange.options["fetchMarkets"] = {"types": ["spot", "linear"]}
            api.update(public=f"{here}/api/v3", fapiPublic=f"{here}futures/fapi/v1")
            # ccxt tells spot from futures by "/stream" in the address.
            sockets = {"spot": f"{socket}/stream/ws", "linear": f"{socket}futures/ws"}
            api["ws"] = {**api["ws"], **sockets}
        case "okx":
            exchange.options["fetchMarkets"] = {"types": ["spot", "swap", "future"]}
            api.update(rest=here, ws=f"{socket}/ws/v5")
        case "bybit":
            exchange.options["fetchMarkets"] = {"types": ["spot", "linear"]}
            public = {"spot": f"{socket}/v5/public/spot",
                      "linear": f"{socket}linear/v5/public/linear"}  # fmt: skip
            api.update(public=here, ws={"public": public})
        case "kraken":
            api.update(public=here, ws={"publicV2": f"{socket}/v2"})
        case "coinbase":
            api.update(rest=here, ws=f"{socket}/ws")
        case "coinbaseexchange":
            api.update(public=here, ws=f"{socket}/ws")


def _refuse_blocks(exchange: Any) -> None:
    """Tell a refusal by place from other errors: ccxt calls both ExchangeNotAvailable."""
    handle = exchange.handle_errors

    def handle_errors(code: int, reason: str, *rest: Any) -> Any:
        if code in (403, 451):
            raise blocked(exchange.id, f"{code} {reason}")
        return handle(code, reason, *rest)

    exchange.handle_errors = handle_errors
