"""How late the event loop is: what asks for its turn gets it that much later than it could."""

from __future__ import annotations

from bond_core.clock import NS, Clock
from bond_core.runtime.stages import Latency

EVERY_S = 0.25


async def watch_the_loop(clock: Clock, seen: Latency) -> None:
    """Measure until cancelled: sleep, and see by how much it was overslept."""
    while True:
        since_ns = clock.monotonic_ns()
        await clock.sleep(EVERY_S)
        seen.saw(clock.monotonic_ns() - since_ns - round(EVERY_S * NS))
