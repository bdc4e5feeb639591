"""What the checks of connectors stand on: a recorded source, and a way to run against it."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import attrs

from bond_core.model.event import Event
from bond_core.plugin.context import Subscription
from bond_core.plugin.specs import Channel, ConnectorSpec
from bond_core.settings import structure
from bond_core.testing.cassette import Answer, Cassette, Frame
from bond_core.testing.no_network import no_network
from bond_core.testing.plugin_suite import SpecConformance, skip
from bond_core.testing.stage import Stage
from bond_core.testing.virtual_clock import VirtualClock

T = TypeVar("T")
Scenario = Callable[[Stage], Awaitable[T]]


class ConnectorBase(SpecConformance):
    """How a connector is tested.

    Attributes:
        cassette: What the source says, one answer or message after the other. Of a connector
            around a library: what the library's stand-in says.
        sdks: By name, what stands in for a vendor's library.
        symbols: What is listened to.
        channels: Those of its channels that are; left out, it is all of them.
        auth_failure: What the source says to a wrong key: answers or messages, or an exception
            (of a library: what it raises). Left out, requests are answered with 401.
        empty: An answer with nothing in it; left out, it is the first one with its lists emptied.
        later: Of what says each thing once: what is new after a break, as answers.
        derived: Fields of events that are computed, and not as the source gave them.
    """

    cassette: ClassVar[Sequence[Any]] = ()
    sdks: ClassVar[Mapping[str, Any]] = {}
    symbols: ClassVar[Sequence[str]] = ("BTC/USDT",)
    channels: ClassVar[Sequence[str]] = ()
    auth_failure: ClassVar[Sequence[Any] | Exception] = ()
    empty: ClassVar[Any] = None
    later: ClassVar[Sequence[Any]] = ()
    derived: ClassVar[Sequence[str]] = ()

    # What an author may say anew

    def drop_sdk(self, clients: Sequence[Any]) -> None:
        """Break the connections of what the stand-ins made; left as it is, they are closed."""
        for client in clients:
            client.close()

    def silence_sdk(self, clients: Sequence[Any]) -> None:
        """Have what the stand-ins made say nothing more; left as it is, they have said it all."""

    # What the checks are written with

    def play(
        self, scenario: Scenario[T], said: Sequence[Any] | None = None, *,
        symbols: Sequence[str] | None = None,
    ) -> T:  # fmt: skip
        """Run the connector on what the source says, and what a check does with it meanwhile."""

        async def go() -> T:
            async with self.stage(said, symbols=symbols) as stage:
                return await scenario(stage)

        return self.run(go)

    def run(self, go: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine in an event loop of its own, where no network is."""

        async def going() -> T:
            return await go()

        with self.environment(), no_network() as tried:
            came = asyncio.run(going())
        assert not tried, f"it went to the network by itself, and not through ctx: {tried[0]}"
        return came

    def stage(
        self, said: Sequence[Any] | None = None, *, symbols: Sequence[str] | None = None,
        clock: VirtualClock | None = None,
    ) -> Stage:  # fmt: skip
        """Return a connector that is ready to run, in an event loop."""
        spec = self.connector()
        clock = clock or VirtualClock()
        source = Cassette(
            self.known() if said is None else said, clock=clock, sdks=self.sdks,
            requests_per_min=spec.capabilities.requests_per_min,
        )  # fmt: skip
        return Stage(
            spec=spec, config=structure(spec.config, self.settings()), source=source, clock=clock,
            subscriptions=[
                Subscription(channel.name, symbol)
                for channel in self.listened_to()
                for symbol in (
                    ("",) if channel.scope == "stream" else symbols or self.symbols
                )
            ],
        )  # fmt: skip

    def connector(self) -> ConnectorSpec:
        """Return the spec."""
        spec = self.installed()
        assert isinstance(spec, ConnectorSpec), f"{spec.name} is no connector"
        return spec

    def listened_to(self) -> Sequence[Channel]:
        """Return the channels that are listened to."""
        declared = self.connector().channels
        found = [c for c in declared if not self.channels or c.name in self.channels]
        assert found, f"{self.spec} has no channel among {self.channels}"
        return found

    def known(self) -> Sequence[Any]:
        """Return what the source says; skip where nothing is known of it."""
        if not self.cassette and not self.sdks:
            self.connector()
            skip("no cassette: nothing is known of what its source says")
        return self.cassette

    def ordinary(self) -> Stage:
        """Return a run in which nothing went wrong, from its start to after its end."""
        return self._once("ordinary", self._ordinary)

    def expected(self) -> int:
        """Return how many events are waited for."""
        return 2 if len(self.cassette) > 1 else 1

    def break_off(self, stage: Stage) -> None:
        """Break the connection, whatever it is."""
        if stage.source.lent.made:
            self.drop_sdk(list(stage.source.lent.made))
        else:
            stage.source.drop()

    def no_sdk(self, why: str) -> None:
        """Skip what can't be done to a library that isn't Bond's."""
        self.known()
        if self.sdks:
            skip(why)

    def is_poll(self) -> bool:
        """Whether it asks; otherwise it is told."""
        return self.connector().capabilities.mode == "poll"

    def work(self) -> list[str]:
        """Return the modules that must not be loaded before something is built."""
        return [*super().work(), *(name.partition(":")[0] for name in self.sdks)]

    def _ordinary(self) -> Stage:
        async def scenario(stage: Stage) -> Stage:
            await stage.until_said(self.expected())
            return stage

        stage = self.play(scenario)
        gc.collect()  # a coroutine that was never awaited says so now
        return stage


def said(event: Event) -> tuple[Any, ...]:
    """Return what an event says, without when it was heard."""
    return (event.kind, *attrs.astuple(attrs.evolve(event, recv_ts=0)))


def known_by(event: Event) -> tuple[Any, ...]:
    """Return what tells an event from another."""
    return (event.kind, event.symbol, event.id or event.ts)


def numbers_in(item: Any) -> set[float]:
    """Return every number in what a source said, written as a number or as a text."""
    if isinstance(item, (Answer, Frame)):
        item = item.value if isinstance(item, Answer) else item.text
    if isinstance(item, bytes):
        item = item.decode(errors="replace")
    if isinstance(item, str):
        try:
            decoded = json.loads(item)
        except ValueError:
            return set()
        if isinstance(decoded, (dict, list)):
            return numbers_in(decoded)
        item = decoded
    if isinstance(item, Mapping):
        return set[float]().union(*map(numbers_in, item.values()))
    if isinstance(item, (list, tuple)):
        return set[float]().union(*map(numbers_in, item))
    if isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item):
        return {float(item)}
    return set()


def emptied(answer: Any) -> Any:
    """Return an answer with each of its lists emptied."""
    if isinstance(answer, Answer):
        return Answer(emptied(answer.value))
    if isinstance(answer, Mapping):
        return {key: emptied(value) for key, value in answer.items()}
    return [] if isinstance(answer, list) else answer
