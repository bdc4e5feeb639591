"""Run one stream in this process for a program that wants its events beside its records.

    connectors ─▶ engine ─▶ records           as `bond_server.local.stream` gives them
                  │   │
                  │   └─▶ so_far(symbol, …)       what the window that is not closed holds
                  └─▶ hear[what](arguments)       what the engine is told, as it is told it

Events are handed over as they are, in the batches in which they came: nothing is written as JSON
and read again, so this costs next to nothing where nobody looks at them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from bond_core.log.cursor import Cursor, Hole
from bond_core.log.offset import START
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.tape.told import Noted, Tape
from bond_core.windows.engine import WindowEngine
from bond_core.windows.so_far import SoFar, so_far
from bond_server.local import Bond, Stream, records_of

Hear = Mapping[str, Callable[..., None]]
"""By the name of a method of the engine: what is called with what that is handed."""


class _HandedOn(list[Noted]):
    """Takes notes, and keeps none."""

    def __init__(self, hear: Hear) -> None:
        super().__init__()
        self._hear = hear

    def append(self, noted: Noted) -> None:
        told, args = noted
        hear = self._hear.get(told.__name__)
        if hear is not None:
            hear(*args)


class _Ear(Tape):
    """Hands on what an engine is told."""

    def __init__(self, hear: Hear) -> None:
        super().__init__()
        self.noted = _HandedOn(hear)


@attrs.frozen(eq=False)
class Heard:
    """A stream that runs.

    Attributes:
        records: As `records_of` gives them, once.
    """

    records: AsyncIterator[dict[str, Any] | Hole]
    _running: Stream

    def so_far(self, symbol: str, timeframe_ns: int) -> SoFar | None:
        """Return what a symbol's newest window adds up to as of now; None while that is nothing.

        Args:
            symbol: Of the stream.
            timeframe_ns: One of the stream's.

        Raises:
            ValueError: There is no such timeframe; or windows slide, or are sent again.
        """
        pipeline = self._running.pipeline
        if not isinstance(pipeline.engine, WindowEngine):  # it makes no windows
            return None
        place = pipeline.bound.plan.timeframes_ns.index(timeframe_ns)
        return so_far(pipeline.engine, symbol, place, pipeline.clock.now_ns())


@asynccontextmanager
async def heard(
    spec: Mapping[str, Any], hear: Hear, *, sources: Callable[[dict[str, bool]], None],
    first_pause_s: float = 0.5, longest_pause_s: float = 30.0, attempts: int | None = None,
    bond: Mapping[str, Any] | None = None,
) -> AsyncIterator[Heard]:  # fmt: skip
    """Run one stream for as long as the context lasts.

    Args:
        spec: What it is.
        hear: Called synchronously for what its engine is told (see StreamEngine). Must not raise.
        sources: Called once, before: by name, whether each source is simulated.
        first_pause_s: The longest first pause before a source is tried again; they double.
        longest_pause_s: The longest pause.
        attempts: After so many failures in a row a source has failed; None is never.
        bond: What `Bond` is made with.

    Raises:
        BondError: It makes no sense, or can't be had here.
        RuntimeError: From the records: a bug ended the stream.
    """
    backoff = Backoff(first_s=first_pause_s, cap_s=longest_pause_s, attempts=attempts)
    async with Bond(**{**(bond or {}), "tape": _Ear(hear), "backoff": backoff}) as here:
        compiled = here.compile({"spec": spec})
        plans = [source.plan for source in compiled.bound.all_sources()]
        sources({plan.name: plan.simulated for plan in plans})
        running, _ = await here.create(compiled)
        cursor = here.cursor(running.stream_id, START)
        try:
            yield Heard(_records(cursor, running), running)
        finally:
            cursor.close()


async def _records(cursor: Cursor, running: Stream) -> AsyncIterator[dict[str, Any] | Hole]:
    async for record in records_of(cursor):
        yield record
    if running.failure is not None:
        raise RuntimeError(f"the stream failed: {running.failure}")
