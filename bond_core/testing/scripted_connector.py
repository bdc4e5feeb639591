"""A connector that does what a test's script says, run by the real supervisor and feeds.

    script = Script(failing(Retryable("away")), listening(a_trade()))
    origin = Origin(spec=scripted_spec(), config=ScriptConfig(script), name="scripted")

`RecordingListener` remembers what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.plugin.context import Context
from bond_core.plugin.specs import Capabilities, Channel, ConnectorSpec

Run = Callable[[Context], Awaitable[None]]


class Script:
    """What a connector does at each of its runs; the last one is repeated.

    Attributes:
        contexts: What each run was handed; as many as there were runs.
        live: How many runs have not ended.
        connectors: How many connector objects were made to play it.
    """

    def __init__(self, *runs: Run) -> None:
        self._runs = runs
        self.contexts: list[Context] = []
        self.live = 0
        self.connectors = 0

    @property
    def ctx(self) -> Context:
        """The newest run's context, through which a test may speak as the source."""
        return self.contexts[-1]

    async def play(self, ctx: Context) -> None:
        """Do what is to be done this time."""
        run = self._runs[min(len(self.contexts), len(self._runs) - 1)]
        self.contexts.append(ctx)
        self.live += 1
        try:
            await run(ctx)
        finally:
            self.live -= 1


@attrs.frozen
class ScriptConfig:
    """Settings of a scripted connector: origins with one script share one connector."""

    script: Script


class ScriptedConnector:
    """Plays its script."""

    def __init__(self, config: ScriptConfig) -> None:
        self._script = config.script
        self._script.connectors += 1

    async def run(self, ctx: Context) -> None:
        """See Connector."""
        await self._script.play(ctx)


def scripted_spec(
    *, stale_s: float | None = 15.0, mode: Any = "push", time: Any = "event"
) -> ConnectorSpec:
    """Return the spec of a scripted connector with the channels `trades` and `quotes`."""
    return ConnectorSpec(
        name="scripted",
        factory="bond_core.testing.scripted_connector:ScriptedConnector",
        summary="What a test says",
        config=ScriptConfig,
        channels=(
            Channel(name="trades", kind="trade", fields=(), stale_s=stale_s, time=time),
            Channel(name="quotes", kind="quote", fields=(), stale_s=stale_s, time=time),
        ),
        capabilities=Capabilities(mode=mode),
    )


def listening(*events: Event, channel: str = "trades") -> Run:
    """Return a run that confirms whatever is wanted, sends these events, and stays connected."""

    async def run(ctx: Context) -> None:
        wanted = ctx.wanted.current()
        while True:
            for subscription in sorted(wanted):
                ctx.live(subscription.channel, subscription.symbol)
            ctx.emit(channel, events)
            wanted = await ctx.wanted.changed(wanted)

    return run


def failing(error: BaseException) -> Run:
    """Return a run that fails at once."""

    async def run(_: Context) -> None:
        raise error

    return run


class RecordingListener:
    """Remembers what a feed told it.

    Attributes:
        events: In the order they came.
        statuses: Each state it was told, the first included, with its reason.
        gaps: The holes it was told of.
        notices: What else it was told.
        repairs: What was fetched for them.
        heartbeats: Event times in ns.
        duplicates: How many repeats were dropped.
        rejected: How many events were refused, by reason.
        clamped: How many events of the future count when they were heard.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.statuses: list[tuple[Status, str | None]] = []
        self.gaps: list[Notice] = []
        self.notices: list[Notice] = []
        self.repairs: list[Repaired] = []
        self.heartbeats: list[int] = []
        self.duplicates = 0
        self.rejected: dict[str, int] = {}
        self.clamped = 0

    @property
    def status(self) -> Status:
        """The newest state."""
        return self.statuses[-1][0]

    @property
    def reason(self) -> str | None:
        """Why it is so."""
        return self.statuses[-1][1]

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        """See Listener."""
        self.events += events

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        """See Listener."""
        self.statuses.append((status, reason))

    def on_heartbeat(self, ts: int) -> None:
        """See Listener."""
        self.heartbeats.append(ts)

    def on_duplicates(self, symbol: str, n: int) -> None:
        """See Listener."""
        self.duplicates += n

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        """See Listener."""
        self.rejected[why] = self.rejected.get(why, 0) + n

    def on_clamped(self, symbol: str, n: int) -> None:
        """See Listener."""
        self.clamped += n

    def on_gap(self, symbol: str, notice: Notice) -> None:
        """See Listener."""
        self.gaps.append(notice)

    def on_notice(self, symbol: str, notice: Notice) -> None:
        """See Listener."""
        self.notices.append(notice)

    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None:
        """See Listener."""
        self.events += events
        self.repairs.append(repaired)
