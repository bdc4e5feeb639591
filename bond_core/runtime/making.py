"""What a stream makes of what it hears: records of windows, or the events themselves.

A pipeline knows no more of it than this: an engine that is told, and gives steps (a closed
window, a batch of raw items), and a publisher that appends each step to the log as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from bond_core.clock import Clock
from bond_core.log.event_log import EventLog, Retention
from bond_core.log.offset import Offset
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.runtime.binding import BoundStream
from bond_core.runtime.publisher import Publisher, Takeover
from bond_core.runtime.raw_engine import RawBatch, RawEngine
from bond_core.runtime.raw_publisher import RawPublisher
from bond_core.windows.engine import ClosedWindow, WindowEngine
from bond_core.windows.plan import SourcePlan
from bond_core.windows.source_state import Totals

_MS = 1_000_000

Step = ClosedWindow | RawBatch
"""What enters the log as one."""


class StreamEngine(Protocol):
    """Takes what a stream hears; each call is described at WindowEngine.

    Attributes:
        totals: What became of every source's events, by source name.
        field_errors: How often the code behind a field raised.
    """

    totals: dict[str, Totals]
    field_errors: dict[str, int]

    def on_events(self, name: str, events: Sequence[Event]) -> None: ...  # noqa: D102
    def on_fetched(self, name: str, events: Sequence[Event]) -> None: ...  # noqa: D102
    def on_heartbeat(self, name: str, ts: int) -> None: ...  # noqa: D102
    def on_duplicates(self, name: str, symbol: str, n: int = 1) -> None: ...  # noqa: D102
    def on_clamped(self, name: str, symbol: str, n: int = 1) -> None: ...  # noqa: D102
    def on_rejected(  # noqa: D102
        self, name: str, symbol: str, n: int = 1, code: str = "rejected"
    ) -> None: ...
    def on_gap(self, name: str, symbol: str | None, notice: Notice) -> None: ...  # noqa: D102
    def on_repaired(self, name: str, symbol: str, repaired: Repaired) -> None: ...  # noqa: D102
    def on_status(  # noqa: D102
        self, name: str, symbol: str | None, status: Status, at_ns: int, reason: str | None = None
    ) -> None: ...
    def notify(self, notice: Notice, symbol: str | None = None) -> None: ...  # noqa: D102
    def add_source(self, source: SourcePlan, at_ns: int) -> None: ...  # noqa: D102
    def remove_source(self, name: str, at_ns: int) -> None: ...  # noqa: D102
    def on_tick(self, now_ns: int) -> None: ...  # noqa: D102
    def sees(self, now_ns: int) -> bool: ...  # noqa: D102
    def close_due(self) -> None: ...  # noqa: D102
    def finish(self, now_ns: int) -> None: ...  # noqa: D102

    @property
    def is_finished(self) -> bool:
        """Whether it was finished: it takes in nothing more."""
        ...

    @property
    def has_closed(self) -> bool:
        """Whether there is something to take that was much work, or soon will be."""
        ...

    def take(self) -> Sequence[Step]:
        """Return the steps since the last call."""
        ...


class StreamPublisher(Protocol):
    """Writes the steps of an engine.

    Attributes:
        published: How many records, or items, are in the log.
    """

    published: int

    @property
    def waiting(self) -> Sequence[ClosedWindow]:
        """Windows that are not known to be in the log yet, in order."""
        ...

    def goes_on(self, until_ns: int) -> None:
        """Go on behind what was published until then, with nothing lost in between."""
        ...

    async def open(self) -> None:
        """Find out where the log stands."""
        ...

    def found(self, top: Offset) -> None:
        """Take in where the log stands, which somebody else writes."""
        ...

    async def publish(self, steps: Iterable[Any] = ()) -> None:
        """Append steps in order; see Publisher."""
        ...


def making_of(
    bound: BoundStream, *, stream_id: str, log: EventLog, retention: Retention, clock: Clock,
    started_ns: int, takes_over: bool,
) -> tuple[StreamEngine, StreamPublisher]:  # fmt: skip
    """Return what makes, and what publishes, the stream that the spec asks for."""
    plan, spec = bound.plan, bound.spec
    if spec.mode == "raw":
        return RawEngine(
            plan, stream_id=stream_id, now_ns=clock.now_ns, start_ns=started_ns,
            every_ns=spec.interval_ms * _MS, depth=spec.depth,
        ), RawPublisher(
            log, stream_id, retention, takes_over_ns=started_ns if takes_over else None
        )  # fmt: skip
    return WindowEngine(plan, start_ns=started_ns), Publisher(
        log, stream_id, retention,
        takeover=Takeover(started_ns, plan.pane_ns) if takes_over else None,
    )  # fmt: skip


def mark_ms(step: Step) -> int | None:
    """Return the `ms` of a step's newest id; None of a window that is sent again."""
    if isinstance(step, RawBatch):
        return step.items[-1][0]
    return None if step.is_revision else step.window_end_ns // _MS


def has_ended(step: Step, now_ns: int) -> bool:
    """Whether a step is whole by now, and the next owner need not make it."""
    return isinstance(step, RawBatch) or step.window_end_ns <= now_ns
