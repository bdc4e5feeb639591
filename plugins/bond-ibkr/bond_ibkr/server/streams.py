"""Keep one upstream for each contract and tick type, as long as it has clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from bond_core.clock import NS
from bond_core.plugin import Host
from bond_ibkr.config import ServerLimits
from bond_ibkr.server.asking import Key, Wish
from bond_ibkr.server.client import Client
from bond_ibkr.server.faults import as_answer, too_many
from bond_ibkr.server.messages import iso_ms
from bond_ibkr.server.upstream import Upstream

SOURCE = "ibkr"


class Streams:
    """All upstreams of a server.

    Attributes:
        running: Those that there are.
    """

    def __init__(self, host: Host, limits: ServerLimits) -> None:
        self.limits = limits
        self.running: dict[Key, Upstream] = {}
        self.is_simulated = host.is_simulated
        self.clock = host.clock
        self._host = host
        self._open: dict[Key, AsyncExitStack] = {}
        self._changing = asyncio.Lock()
        self._ticks = self._dropped = self._errors = 0  # of those that are gone

    async def listen(self, wish: Wish) -> Listening:
        """Return what a client is to hear, once TWS gives it.

        Raises:
            AnsweredError: 404, 429 or 503.
        """
        client = Client(self.limits.buffer_size)
        async with self._changing:
            upstream = self.running.get(wish.key) or await self._begin(wish.key)
            upstream.clients.add(client)
        listening = Listening(self, upstream, client, wish)
        fault = None
        try:
            fault = await upstream.settled()
        except BaseException:
            await listening.aclose()
            raise
        if fault is not None:
            await listening.aclose()
            raise as_answer(fault)
        return listening

    async def leave(self, upstream: Upstream, client: Client) -> None:
        """Serve a client no more; the last to leave ends the subscription."""
        if client not in upstream.clients:
            return
        upstream.clients.remove(client)
        upstream.dropped += client.dropped_in_all
        if upstream.clients or self.running.get(upstream.key) is not upstream:
            return
        del self.running[upstream.key]
        self._ticks += upstream.ticks
        self._dropped += upstream.dropped
        self._errors += upstream.errors
        await self._open.pop(upstream.key).aclose()
        await upstream.close()

    def stop(self, is_meant: Callable[[Key], bool]) -> tuple[list[Key], int]:
        """End streams for all their clients; return which, and how many clients."""
        meant = sorted(key for key in self.running if is_meant(key))
        return meant, sum(self.running[key].stop("stopped") for key in meant)

    def active(self) -> list[dict[str, Any]]:
        """Return what runs, as JSON."""
        now_ns = self.clock.now_ns()
        return [
            {
                "contract_id": key.contract_id,
                "tick_type": key.tick_type,
                "status": upstream.status,
                "clients": len(upstream.clients),
                "ticks": upstream.ticks,
                "started_at": iso_ms(upstream.started_ns),
                "uptime_sec": round((now_ns - upstream.started_ns) / NS, 3),
                "contract": dict(upstream.contract),
            }
            for key, upstream in sorted(self.running.items())
        ]

    def counts(self) -> dict[str, int]:
        """Return what there was since the start, those that are gone included."""
        running = self.running.values()
        waiting = sum(c.dropped_in_all for upstream in running for c in upstream.clients)
        return {
            "clients": sum(len(upstream.clients) for upstream in running),
            "ticks": self._ticks + sum(upstream.ticks for upstream in running),
            "dropped": self._dropped + sum(u.dropped for u in running) + waiting,
            "errors": self._errors + sum(upstream.errors for upstream in running),
        }

    async def _begin(self, key: Key) -> Upstream:
        if len(self.running) >= self.limits.max_streams:
            raise too_many(self.limits.max_streams)
        host = self._host
        upstream = Upstream(
            key, clock=host.clock, log=host.log, is_simulated=host.is_simulated,
            attempts=self.limits.reconnect_attempts,
        )  # fmt: skip
        stack = AsyncExitStack()
        upstream.heard = await stack.enter_async_context(
            host.hearing(SOURCE, upstream.channel, str(key.contract_id), upstream)
        )
        self.running[key], self._open[key] = upstream, stack
        return upstream


class Listening:
    """What one client is sent: see bond_core.plugin.serving.Messages."""

    def __init__(self, streams: Streams, upstream: Upstream, client: Client, wish: Wish) -> None:
        self._streams = streams
        self._upstream = upstream
        self._client = client
        self._wish = wish
        self._sent = 0
        self._timer: asyncio.Task[None] | None = None
        self._has_begun = self._is_over = False

    def __aiter__(self) -> Listening:
        """Return itself."""
        return self

    async def __anext__(self) -> list[bytes]:
        """Return what is to be told next, at first what is streamed."""
        if self._is_over:
            raise StopAsyncIteration
        if not self._has_begun:
            self._has_begun = True
            if self._wish.timeout_s is not None:
                self._timer = asyncio.create_task(self._expire(self._wish.timeout_s))
            return [self._greeting()]
        while True:
            limit = self._wish.limit
            news, ticks = self._client.ready(None if limit is None else limit - self._sent)
            self._sent += len(ticks)
            messages = [*self._dropped(), *news, *ticks]
            reason = "limit_reached" if self._sent == limit else self._client.ending
            if reason is not None:
                self._is_over = True
                now_ns = self._streams.clock.now_ns()
                messages.append(self._upstream.write.complete(now_ns, reason, self._sent))
            if messages:
                return messages
            await self._client.more()

    async def aclose(self) -> None:
        """Leave."""
        self._is_over = True
        try:
            if self._timer is not None:
                self._timer.cancel()
                await asyncio.gather(self._timer, return_exceptions=True)
        finally:  # also where the one who closes it is cancelled
            await self._streams.leave(self._upstream, self._client)

    async def _expire(self, seconds: float) -> None:
        await self._streams.clock.sleep(seconds)
        self._client.end("timeout")

    def _greeting(self) -> bytes:
        wish, upstream = self._wish, self._upstream
        return upstream.write.info(
            self._streams.clock.now_ns(), status="started", tick_type=wish.key.tick_type,
            limit=wish.limit, timeout=wish.timeout_s, source=SOURCE,
            simulated=self._streams.is_simulated, contract=upstream.contract,
        )  # fmt: skip

    def _dropped(self) -> list[bytes]:
        ticks, news = self._client.told_of_dropped()
        if not (ticks or news):
            return []
        other = f" and {news} other messages" if news else ""
        message = f"{ticks} ticks{other} were left out because they were not read in time"
        now_ns = self._streams.clock.now_ns()
        return [self._upstream.write.info(now_ns, status="dropped", ticks=ticks, message=message)]
