"""How much of it: token buckets for requests and connections, and caps on open connections.

A rate is written `N/s`, `N/m` or `N/h`, with the burst behind a colon: `5/s:100` lets 100
through at once and five more each second. Without a burst it is N. `off` limits nothing.
"""

from __future__ import annotations

import ipaddress
import re

import attrs

from bond_core.clock import NS, Clock

_RATE = re.compile(r"([0-9]{1,9})/([smh])(?::([0-9]{1,9}))?")
_PERIOD_S = {"s": 1, "m": 60, "h": 3600}
_PERIOD_NAME = {1: "second", 60: "minute", 3600: "hour"}
_REMEMBERED = 50_000
"""How many callers a limiter knows at most; the longest known is forgotten first."""


@attrs.frozen
class Rate:
    """So many in a period, and so many at once.

    Attributes:
        count: How many a period brings.
        period_s: The period, in seconds.
        burst: How many may come at once.
    """

    count: int
    period_s: int
    burst: int

    def __str__(self) -> str:
        """Say it for people: `5 a second, 100 at once`."""
        return f"{self.count} a {_PERIOD_NAME[self.period_s]}, {self.burst} at once"


def parse_rate(text: str) -> Rate | None:
    """Return the rate that a text writes; None for `off`.

    Raises:
        ValueError: It writes none.
    """
    if text.lower() == "off":
        return None
    found = _RATE.fullmatch(text.lower())
    if found is None or int(found[1]) == 0 or found[3] == "0":
        raise ValueError(text)
    return Rate(int(found[1]), _PERIOD_S[found[2]], int(found[3] or found[1]))


@attrs.frozen(kw_only=True)
class Limits:
    """What one caller, and all of them together, may have.

    Requests count by API key, else by address; an IPv6 address is its /64.

    Attributes:
        reads: Requests that change nothing.
        writes: Requests that create, delete, mint or compile.
        connects: Clients that come to listen, by WebSocket or Server-Sent Events.
        bad_tokens: Tokens that open nothing; who presents more is refused before the handshake.
        connections: Listeners of the whole process.
        per_address: Listeners from one address.
        per_token: Listeners with one token.
        replays: Clients whose place in the past is looked up at once.
        tokens: Registered tokens of one stream.
    """

    reads: Rate | None = Rate(500, 1, 5_000)
    writes: Rate | None = Rate(500, 1, 5_000)
    connects: Rate | None = Rate(1_000, 1, 20_000)
    bad_tokens: Rate | None = Rate(300, 60, 300)
    connections: int = 20_000
    per_address: int = 20_000
    per_token: int = 20_000
    replays: int = 20
    tokens: int = 1_000


ON_LOOPBACK = Limits()
"""Where every caller is this machine: nothing that its owner would notice."""

PUBLIC = Limits(
    reads=Rate(20, 1, 100),
    writes=Rate(2, 1, 30),
    connects=Rate(5, 1, 100),
    bad_tokens=Rate(20, 60, 20),
    connections=5_000,
    per_address=100,
    per_token=20,
)
"""Where others reach the server."""


class Limiter:
    """One rate, for every caller by itself.

    A token bucket in the form that remembers one number (generic cell rate algorithm, ITU-T
    I.371): when the bucket will be full again. Who is not remembered has a full one.
    """

    def __init__(self, rate: Rate | None, clock: Clock) -> None:
        self.rate = rate
        self._clock = clock
        self._full_at_ns: dict[str, int] = {}
        self._step_ns = rate.period_s * NS // rate.count if rate else 0
        self._depth_ns = self._step_ns * rate.burst if rate else 0

    def take(self, who: str) -> float:
        """Let one through and return 0; or let none, and return in how many seconds one may."""
        if self.rate is None:
            return 0.0
        now_ns = self._clock.monotonic_ns()
        full_at_ns = max(self._full_at_ns.pop(who, now_ns), now_ns) + self._step_ns
        over_ns = full_at_ns - now_ns - self._depth_ns
        # Put back last, so that the first in the dictionary is the longest unheard.
        self._full_at_ns[who] = full_at_ns if over_ns <= 0 else full_at_ns - self._step_ns
        if len(self._full_at_ns) > _REMEMBERED:
            del self._full_at_ns[next(iter(self._full_at_ns))]
        return max(0.0, over_ns / NS)


def address_of(client: tuple[str, int] | None) -> str:
    """Return as whom an address counts: IPv6 by its /64, which is what one subscriber gets."""
    if client is None:
        return "local"
    try:
        found = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return client[0]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
