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
        self.by_name = {
            sink.name: Delivery(sink, stream_id=stream_id, tail=tail, host=host) for sink in sinks
        }
        self._stream_id = stream_id
        self._host = host
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start those that don't run; call once the tail is loaded."""
        for name, delivery in self.by_name.items():
            self._running[name] = tasks.create_task(
                delivery.run(), name=f"sink {name} of {self._stream_id}", context=Context()
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
