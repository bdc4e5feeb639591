"""All sinks of one stream: started with it, and ended after it with a last flush."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from typing import Any

from bond_core.log.tail import Tail
from bond_core.runtime.delivery import Delivery, SinkHost
from bond_core.runtime.sinks import BoundSink

FLUSH_WITHIN_S = 5.0
"""How long a stream's end waits for its sinks. Real seconds: one may hang anywhere."""


class Deliveries:
    """The sinks of one stream, each with a task of its own: none waits for another.

    Attributes:
        by_name: What runs, by what the stream calls it.
    """

    def __init__(
        self, sinks: Iterable[BoundSink], *, stream_id: str, tail: Tail, host: SinkHost
    ) -> None:
        self._stream_id = stream_id
        self._tail = tail
        self._host = host
        self.by_name = {sink.name: self._made(sink) for sink in sinks}
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start all of them, once the tail is loaded."""
        for name in self.by_name:
            self._start(name, tasks)

    def revive(self, sinks: Iterable[BoundSink], tasks: asyncio.TaskGroup) -> None:
        """Begin anew with those that failed: their stream was asked for again.

        Args:
            sinks: The same sinks as they would be bound now, with secrets as they are now.
            tasks: Owns what is begun.
        """
        for sink in sinks:
            failed = self.by_name.get(sink.name)
            if failed is not None and self._running[sink.name].done() and failed.state == "failed":
                self.by_name[sink.name] = self._made(sink)
                self.by_name[sink.name].counts = failed.counts
                self._start(sink.name, tasks)

    def has_failed(self) -> bool:
        """Return whether one of them has failed for good."""
        return any(delivery.state == "failed" for delivery in self.by_name.values())

    def _made(self, sink: BoundSink) -> Delivery:
        return Delivery(sink, stream_id=self._stream_id, tail=self._tail, host=self._host)

    def _start(self, name: str, tasks: asyncio.TaskGroup) -> None:
        # It outlives the request that asked for it, whose ids must not stand in its logs.
        self._running[name] = tasks.create_task(
            self.by_name[name].run(), name=f"sink {name} of {self._stream_id}", context=Context()
        )

    async def end(self, within_s: float) -> None:
        """Let each deliver what is left, and stop those that take longer. After `Tail.end`."""
        running = [task for task in self._running.values() if not task.done()]
        if not running:
            return
        for delivery in self.by_name.values():
            delivery.leave()
        await asyncio.wait(running, timeout=within_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def forget(self) -> None:
        """Forget how far they came: the stream is gone for good. After `end`."""
        if self.by_name:
            await self._host.places.forget(self._stream_id)

    def health(self) -> dict[str, Any]:
        """Return by sink how it does."""
        return {name: delivery.health() for name, delivery in self.by_name.items()}
