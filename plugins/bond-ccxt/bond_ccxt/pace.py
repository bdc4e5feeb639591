"""Space the requests to one venue, whoever makes them: all its exchange objects share a budget.

ccxt spaces the requests of each exchange object by itself. A venue counts those of an address,
and here `ccxt`, `ccxt.ticker` and `liquidations` have an exchange object each.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from bond_core.clock import NS, Clock


@attrs.define(eq=False)
class Pace:
    """When the next request to a venue is due, on the clock's monotonic time.

    The rule is ccxt's own ("leaky bucket"): a request of weight w keeps the next one waiting for
    w times the venue's `rateLimit`.
    """

    due_ns: int = 0

    async def wait(self, clock: Clock, weight_ms: float) -> None:
        """Wait for a turn, in the order of asking, and take so much of the venue's time."""
        now_ns = clock.monotonic_ns()
        turn_ns = max(now_ns, self.due_ns)
        self.due_ns = turn_ns + round(weight_ms * NS / 1000)
        if turn_ns > now_ns:
            await clock.sleep((turn_ns - now_ns) / NS)


_paces: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Pace]] = WeakKeyDictionary()


def share_pace(exchange: Any, clock: Clock) -> Pace:
    """Have a ccxt exchange object wait for its venue's turn before each HTTP request.

    Returns what it shares with all others of its venue in this event loop.
    """
    here = _paces.setdefault(asyncio.get_running_loop(), {})
    pace = here.setdefault(exchange.id, Pace())

    async def throttle(cost: float | None = None) -> None:
        await pace.wait(clock, (1.0 if cost is None else cost) * exchange.rateLimit)

    exchange.throttle = throttle
    return pace
