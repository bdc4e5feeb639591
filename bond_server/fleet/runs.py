"""The streams that run in this worker: its own, and those for which it stands by.

Who stands by for a stream hears its sources and closes its windows, but appends nothing; when
the stream becomes its own, what the owner before published is left out, and the rest follows.
"""

from __future__ import annotations

import asyncio
import logging

import attrs

from bond_core.clock import NS
from bond_core.errors import BondError, LogUnavailableError
from bond_core.log.offset import START
from bond_server.engine import Engine
from bond_server.fleet.lease import Lease, LeasedLog
from bond_server.fleet.shared import Claim, Kept
from bond_server.registry.row import compiled_again
from bond_server.streams import Stream

_NEW_S = 10
"""A stream that is older than this has run before, whatever the log says."""

_END_WITHIN_S = 0.5

_log = logging.getLogger("bond.fleet")


@attrs.define(eq=False)
class Run:
    """One stream that runs here.

    Attributes:
        stream: It.
        log: How it is written.
        since_ns: Since when it runs, on the monotonic clock.
    """

    stream: Stream
    log: LeasedLog
    since_ns: int

    @property
    def is_own(self) -> bool:
        """Whether the worker owns it."""
        return self.log.fence is not None


class Runs:
    """See above.

    Args:
        engine: What they run in.
        lease: The worker's.

    Attributes:
        by_id: All that run here.
        broken: Which creation of a stream can't be run here, and why.
    """

    def __init__(self, engine: Engine, lease: Lease) -> None:
        self.by_id: dict[str, Run] = {}
        self.broken: dict[str, tuple[int, str]] = {}
        self._engine = engine
        self._lease = lease

    def own(self) -> list[Run]:
        """Return those that the worker owns."""
        return [run for run in self.by_id.values() if run.is_own]

    def others(self) -> list[Run]:
        """Return those for which it stands by."""
        return [run for run in self.by_id.values() if not run.is_own]

    def is_own(self, stream_id: str) -> bool:
        """Return whether a stream runs here as the worker's own."""
        run = self.by_id.get(stream_id)
        return run is not None and run.is_own

    async def begin(self, kept: Kept, claim: Claim | None) -> bool:
        """Run a stream: as our own, by a claim; or, without one, stand by. Whether it runs."""
        row, stream_id = kept.row, kept.row.stream_id
        run = self.by_id.get(stream_id)
        if run is not None:
            if claim is not None and not run.is_own:
                run.stream.pipeline.publisher.found(claim.top)
                run.log.fence = claim.fence
                run.stream.deliveries.start(self._engine.tasks)
            return True
        log = LeasedLog(self._engine.log, self._lease, None if claim is None else claim.fence)
        is_old = self._engine.clock.now_ns() - row.created_ns > _NEW_S * NS
        ran_before = claim is None or claim.top != START or is_old
        try:
            compiled = compiled_again(row, self._engine.catalog, self._engine.defaults)
            stream = await self._engine.begin(
                row, compiled, log=log, takes_over=ran_before, is_heard=False
            )
        except LogUnavailableError:
            return False
        except BondError as error:
            _log.warning("stream %s can't run here: %s", stream_id, error.detail)
            self.broken[stream_id] = (row.created_ns, error.detail)
            return False
        self.broken.pop(stream_id, None)
        self.by_id[stream_id] = Run(stream, log, self._engine.clock.monotonic_ns())
        if claim is not None:
            stream.deliveries.start(self._engine.tasks)
        return True

    def revive(self, stream_id: str) -> None:
        """Begin anew with sinks of ours that failed: their stream was asked for again."""
        run = self.by_id.get(stream_id)
        if run is None or not run.is_own or not run.stream.deliveries.has_failed():
            return
        try:  # with secrets as they are now
            compiled = compiled_again(run.stream.row, self._engine.catalog, self._engine.defaults)
        except BondError as error:
            _log.warning("the sinks of stream %s stay as they are: %s", stream_id, error.detail)
            return
        run.stream.deliveries.revive(compiled.bound.sinks, self._engine.tasks)

    async def hand_over(self, run: Run) -> None:
        """Stop a stream behind its last whole window."""
        await self._engine.stop_task(run.stream)
        try:
            if run.stream.failure is None:
                await run.stream.pipeline.hand_over()
        except BondError as error:
            name = run.stream.stream_id
            _log.warning("the last windows of stream %s: %s", name, error.detail)
        # Its sinks may hang, and whoever is next must not wait for that.
        ending = self._engine.tasks.create_task(self.end(run), name="end what was handed over")
        await asyncio.wait({ending}, timeout=_END_WITHIN_S)

    async def end(self, run: Run) -> None:
        """Stop a stream here; may be called twice."""
        if self.by_id.get(run.stream.stream_id) is run:
            del self.by_id[run.stream.stream_id]
            await self._engine.end(run.stream)
