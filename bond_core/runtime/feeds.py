"""All feeds of this process: who wants the same thing shares one upstream subscription.

A feed is known by (connector, its settings, channel, symbol). Feeds of one connector and
settings hang on one supervisor, so on one connection wherever the source allows it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from contextvars import Context
from typing import Any, Self

import attrs

from bond_core.clock import Clock
from bond_core.model.record import Status
from bond_core.plugin.egress import Egress
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.contained import cause_of
from bond_core.runtime.feed import Feed, Future, Listener
from bond_core.runtime.outside import Outside, WayOut, WaysOut
from bond_core.runtime.simulators import Simulators
from bond_core.runtime.supervisor import Supervisor
from bond_core.runtime.ticks import Ticks
from bond_core.runtime.turns import Turns

LINGER_S = 5.0
"""How long a connection nobody wants is kept, in case somebody wants it again."""


def _by_content(value: Any) -> Any:
    """Return something hashable that is equal for equal settings, whatever they are made of."""
    if attrs.has(type(value)):
        fields = attrs.fields(type(value))
        return type(value), tuple(_by_content(getattr(value, field.name)) for field in fields)
    if isinstance(value, Mapping):
        return frozenset((key, _by_content(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_by_content(item) for item in value)
    if isinstance(value, (set, frozenset)):
        return frozenset(_by_content(item) for item in value)
    return type(value), value  # by type too: to Python, True is 1


@attrs.frozen(kw_only=True)
class OriginKind:
    """An origin as metrics name it: with nothing in it that a user may make up."""

    connector: str
    venue: str
    simulated: bool


@attrs.frozen(kw_only=True)
class Origin:
    """Where feeds come from: a connector with its settings, real or simulated."""

    spec: ConnectorSpec = attrs.field(eq=lambda spec: spec.name)
    config: Any = attrs.field(eq=_by_content)
    name: str
    simulated: bool = False
    venue: str = attrs.field(default="", eq=False)  # its settings say the same

    @property
    def kind(self) -> OriginKind:
        """Return what metrics tell it apart by; a source without venues is its own."""
        return OriginKind(
            connector=self.spec.name, venue=self.venue or self.spec.name, simulated=self.simulated
        )


class Feeds:
    """Keeps supervisors and hands out feeds. Use as an async context manager.

    What the streams of a process share beside feeds is here too: `ticks` shows them the clock,
    and `turns` has them work one after the other.

    Args:
        clock: The only clock.
        chance: Draws the jitter of pauses.
        simulators: Stand in where a source is to be simulated.
        egress: Guards what connectors reach by URL; None is the plain policy.
        ways_out: Makes what stands in for the outside world; None is the world itself.
        future: What happens to events whose time lies in the future.
        backoff: The pauses before a connector is started anew.
    """

    def __init__(
        self, *, clock: Clock, chance: random.Random, simulators: Simulators,
        egress: Egress | None = None, ways_out: WaysOut | None = None, future: Future = "reject",
        backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        self.turns = Turns()
        self.ticks = Ticks(clock)
        self._clock = clock
        self._chance = chance
        self._simulators = simulators
        self._egress = egress or Egress()
        self._ways_out = ways_out or self._outside
        self._future: Future = future
        self._backoff = backoff
        self._supervisors: dict[Origin, Supervisor] = {}
        self._tasks: dict[Origin, asyncio.Task[None]] = {}
        self._closing: dict[Origin, asyncio.Task[None]] = {}
        self._gone: Counter[tuple[OriginKind, str]] = Counter()
        self._group = asyncio.TaskGroup()
        self._stack = AsyncExitStack()
        self._is_closing = False

    async def __aenter__(self) -> Self:
        """Start owning tasks."""
        await self._stack.enter_async_context(self._group)
        self._ticking = self._group.create_task(self.ticks.run(), name="show the clock")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop every connector."""
        self._is_closing = True
        self._ticking.cancel()
        for task in (*self._closing.values(), *self._tasks.values()):
            task.cancel()
        await self._stack.aclose()

    async def subscribe(
        self, origin: Origin, channel: str, symbol: str, listener: Listener,
        *, stale_s: float | None = None,
    ) -> Feed:  # fmt: skip
        """Let `listener` hear a subscription, opening it upstream if nobody else has.

        Raises:
            NotInstalledError: It is to be simulated and there is no simulator.
        """
        simulated_at: str | None = None
        sdks: Mapping[str, Any] = {}
        if origin.simulated:
            simulator = await self._simulators.running(origin.spec)
            simulated_at, sdks = simulator.url, getattr(simulator, "sdks", {})
        supervisor = self._supervisors.get(origin)
        if supervisor is None:
            way_out = self._ways_out(
                origin.spec, simulated_at=simulated_at, clock=self._clock, sdks=sdks,
                name=origin.name,
            )  # fmt: skip
            supervisor = self._supervisors[origin] = Supervisor(
                origin.spec, origin.config, name=origin.name, clock=self._clock,
                chance=self._chance, simulated_at=simulated_at, way_out=way_out,
                future=self._future, backoff=self._backoff,
            )  # fmt: skip
        lingering = self._closing.pop(origin, None)
        if lingering is not None:  # somebody is back; who leaves next gets the full time again
            lingering.cancel()
        feed = supervisor.feed(channel, symbol)
        if origin not in self._tasks or supervisor.is_over:
            supervisor.reset()
            # Many streams may share it, so what was said of the one that asked stays behind.
            self._tasks[origin] = self._group.create_task(
                _guarded(supervisor), name=f"supervise {origin.name}", context=Context()
            )
        feed.attach(listener, stale_s)
        return feed

    def unsubscribe(self, origin: Origin, feed: Feed, listener: Listener) -> None:
        """Let `listener` hear it no more; the last one to leave closes it upstream."""
        feed.detach(listener)
        supervisor = self._supervisors.get(origin)
        if supervisor is None or feed.listeners:
            return
        if supervisor.feeds.get(feed.subscription) is feed:
            supervisor.drop(feed)
        if not supervisor.feeds and origin not in self._closing and not self._is_closing:
            linger = self._linger(origin)
            self._closing[origin] = self._group.create_task(linger, name=f"linger {origin.name}")

    def _outside(
        self, spec: ConnectorSpec, *, simulated_at: str | None, clock: Clock,
        sdks: Mapping[str, Any], name: str,
    ) -> WayOut:  # fmt: skip
        return Outside(
            self._egress, own=spec.hosts, simulated_at=simulated_at, clock=clock, sdks=sdks,
            requests_per_min=spec.capabilities.requests_per_min,
        )  # fmt: skip

    def failures(self, origin: Origin) -> int:
        """Return how many attempts to hear an origin have failed in a row."""
        supervisor = self._supervisors.get(origin)
        return 0 if supervisor is None else supervisor.attempts

    def supervisors(self) -> list[Supervisor]:
        """Return all that run."""
        return list(self._supervisors.values())

    def open(self) -> Counter[tuple[OriginKind, Status]]:
        """Return how many feeds are open, by where they come from and status."""
        return Counter(
            (origin.kind, feed.status)
            for origin, supervisor in self._supervisors.items()
            for feed in supervisor.feeds.values()
        )

    def counts(self) -> Counter[tuple[OriginKind, str]]:
        """Return how often something happened since the start, over all connections.

        That is `reconnects`, `stales`, `unasked`, `backfills` and `repaired`; see Supervisor and
        Repairs.
        """
        found = Counter(self._gone)
        for origin, supervisor in self._supervisors.items():
            found.update(_counts(origin, supervisor))
        return found

    async def _linger(self, origin: Origin) -> None:
        await self._clock.sleep(LINGER_S)
        del self._closing[origin]
        supervisor = self._supervisors.get(origin)
        if supervisor is not None and not supervisor.feeds:
            del self._supervisors[origin]
            self._gone.update(_counts(origin, supervisor))
            self._tasks.pop(origin).cancel()


def _counts(origin: Origin, supervisor: Supervisor) -> dict[tuple[OriginKind, str], int]:
    kind = origin.kind
    return {
        (kind, "reconnects"): supervisor.reconnects,
        (kind, "stales"): supervisor.stales,
        (kind, "unasked"): supervisor.unasked,
        (kind, "backfills"): supervisor.repairs.requests,
        (kind, "repaired"): supervisor.repairs.repaired,
    }


async def _guarded(supervisor: Supervisor) -> None:
    """Run a supervisor; a bug in it fails its own feeds and nobody else's."""
    try:
        await supervisor.run()
    except Exception as error:
        supervisor.log.exception("%s: bug in the supervisor", supervisor.name)
        supervisor.is_over = True
        cause = cause_of(error)
        for feed in tuple(supervisor.feeds.values()):
            feed.turn("failed", supervisor.clock.now_ns(), f"{type(cause).__name__}: {cause}")
