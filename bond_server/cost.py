"""Say what a stream asks of its sources: upstream subscriptions, and requests a minute.

Streams share what they ask for. So this is what a stream costs by itself, at most: what others
ask for already costs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.runtime.binding import BoundSource, BoundStream
from bond_core.runtime.feeds import Origin

Asked = tuple[Origin, str, str]
"""Whose channel, its name, and for which symbol."""


@attrs.frozen(kw_only=True)
class SourceCost:
    """What one source costs.

    Attributes:
        source: Its name in records.
        subscriptions: One for each channel and symbol.
        requests_per_min: How often it is asked, where it is polled: once a symbol and poll, and
            less often where the source answers for several at once. 0 where it sends by itself.
    """

    source: str
    subscriptions: int
    requests_per_min: float


@attrs.frozen(kw_only=True)
class Cost:
    """What a stream costs.

    Attributes:
        sources: Each by itself; what two of them share counts for the first.
        standby: Subscriptions that come on top while others stand in for a venue.
    """

    sources: tuple[SourceCost, ...]
    standby: int

    @property
    def subscriptions(self) -> int:
        """Upstream subscriptions of all sources."""
        return sum(source.subscriptions for source in self.sources)

    @property
    def requests_per_min(self) -> float:
        """Requests a minute to all of them, at most."""
        return round(sum(source.requests_per_min for source in self.sources), 3)

    def as_json(self) -> dict[str, Any]:
        """Return it as REST answers it."""
        return {
            "subscriptions": self.subscriptions,
            "requests_per_min": self.requests_per_min,
            "standby_subscriptions": self.standby,
            "sources": [attrs.asdict(source) for source in self.sources],
        }

    def line(self) -> str:
        """Return it for people."""
        said = f"{self.subscriptions} upstream subscription{'s' * (self.subscriptions != 1)}"
        if self.requests_per_min:
            said += f", at most {self.requests_per_min:g} requests a minute"
        if self.standby:
            said += f"; {self.standby} more while a venue is down"
        return said


def cost_of(bound: BoundStream) -> Cost:
    """Return what a stream costs that can run here."""
    seen: set[Asked] = set()
    sources = tuple(_cost(source, seen) for source in bound.sources)
    standing_in = [source for group in bound.fallbacks.values() for source in group]
    return Cost(sources=sources, standby=len(_new(standing_in, seen)))


def _cost(source: BoundSource, seen: set[Asked]) -> SourceCost:
    new = len(_new([source], seen))
    connector = source.origin.spec
    requests = 0.0
    if connector.polls_every_s is not None:
        # Binding makes the time between two polls the time that a silence may last.
        requests = new * 60 * NS / source.plan.idle_ns
        most = connector.capabilities.requests_per_min
        requests = requests if most is None else min(requests, most)
    return SourceCost(
        source=source.plan.name, subscriptions=new, requests_per_min=round(requests, 3)
    )


def _new(sources: Iterable[BoundSource], seen: set[Asked]) -> set[Asked]:
    """Return what sources subscribe to that none before them did, and note it."""
    asked = {(source.origin, source.channel.name, ask) for source in sources for ask in source.asks}
    new = asked - seen
    seen |= new
    return new
