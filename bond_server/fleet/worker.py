"""Run the streams that are this worker's, as long as they are.

Whose a stream is, rendezvous over the living workers says; that no two write it, the log does:
a claim gives a fence, and what comes with an older one is refused. So a view of the others that
is a moment old costs a moment, and no record.

    beat     renews the lease, and sees who lives
    settle   claims what is ours and runs nowhere, hands over what is another's
    tend     ends what is over, drops what was lost, says how streams do
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from bond_core.clock import NS
from bond_core.errors import BondError, LogUnavailableError
from bond_server.engine import Engine
from bond_server.fleet.lease import Lease, LeasedLog
from bond_server.fleet.rendezvous import owner_of
from bond_server.fleet.shared import Beat, Changes, Claim, Kept, Shared
from bond_server.registry.row import compiled_again
from bond_server.streams import Stream

EPHEMERAL_S = 60.0
"""How long an ephemeral stream, or one that is complete, outlives its last listener."""

MAX_SKEW_S = 5.0
"""How far a worker's clock may be from that of Redis."""

_ALL_AGAIN_S = 2.0
_HOLD_S = 60.0
"""A stream stays at least so long with a worker before it is moved to balance the load."""
_HAND_OVER_WITHIN_S = 1.2
_REPORT_EVERY_S = 5.0
_AT_ONCE = 64
_NEW_S = 10

_log = logging.getLogger("bond.fleet")


class Worker:
    """See above.

    Args:
        engine: What streams run in.
        shared: What all processes know.
        lease: This worker's.

    Attributes:
        lease: The same.
        workers: Who lives, as far as is known.
    """

    def __init__(self, engine: Engine, shared: Shared, lease: Lease) -> None:
        self.lease = lease
        self.workers: frozenset[str] = frozenset()
        self._engine = engine
        self._shared = shared
        self._clock = engine.clock
        self._rows: dict[str, Kept] = {}
        self._logs: dict[str, LeasedLog] = {}
        self._since_ns: dict[str, int] = {}
        self._broken: dict[str, int] = {}  # by id, which creation of it can't be run here
        self._told: dict[str, str] = {}
        self._due: set[str] = set()
        self._epoch = ""
        self._is_leaving = False
        self._all_due_ns = self._moved_ns = self._reaped_ns = 0
        self._turn = 0
        self._skew_s = 0.0

    def ails(self) -> str | None:
        """Return what is wrong with this worker, None while nothing is."""
        if abs(self._skew_s) > MAX_SKEW_S:
            how = f"{abs(self._skew_s):.0f} s {'ahead of' if self._skew_s > 0 else 'behind'}"
            return f"this machine's clock is {how} that of Redis: set it; others run its streams"
        if not self.lease.is_good:
            return "this worker's lease is not renewed: its records wait"
        return None

    async def beat(self) -> None:
        """Renew the lease until cancelled."""
        every_s = self.lease.seconds / 4
        while True:
            try:
                await self.renew()
            except LogUnavailableError as error:
                _log.warning("the lease of %s is not renewed: %s", self.lease.worker, error)
            except Exception:  # noqa: BLE001 -- whatever it is, the next renewal may do
                _log.exception("renewing the lease failed")
            await self._clock.sleep(every_s)

    async def renew(self) -> None:
        """Renew the lease once; where it was over meanwhile, see whose the streams are now."""
        asked_ns, asked_at_ns = self._clock.monotonic_ns(), self._clock.now_ns()
        beat = await self._beat()
        if not beat.had_it and self._logs:
            _log.warning(
                "the lease of %s was over; looking whose its streams are", self.lease.worker
            )
            await self._claim_again()
        await self._compare_clocks(beat.now_ms, asked_at_ns // 1_000_000)
        self.lease.renewed(asked_ns)
        if beat.workers != self.workers:
            self.workers = beat.workers
            self._due.update(self._rows)

    async def _compare_clocks(self, theirs_ms: int, asked_ms: int) -> None:
        """Go, as long as this clock is far from the one that all share; ids are made of time.

        What was answered with `theirs_ms` was asked at `asked_ms`, and is here now.
        """
        now_ms = self._clock.now_ns() // 1_000_000
        self._skew_s = (max(0, asked_ms - theirs_ms) - max(0, theirs_ms - now_ms)) / 1000
        is_off = abs(self._skew_s) > MAX_SKEW_S
        if is_off and not self._is_leaving:
            _log.error("%s", self.ails())
            self._is_leaving = True
            for stream in tuple(self._engine.running.values()):
                await self._end(stream)
                await self._shared.release(stream.stream_id, self.lease.worker)
        elif self._is_leaving and not is_off:
            _log.warning("this machine's clock is right again")
            self._is_leaving = False

    async def settle(self, changes: Changes) -> None:
        """Take in what changed; run what is ours, and no more what isn't."""
        await self._take_in(changes)
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._all_due_ns:
            self._all_due_ns = now_ns + round(_ALL_AGAIN_S * NS)
            self._due.update(self._rows)
            self._due.update(self._engine.running)
        await self._drop_lost()
        due, self._due = self._due, set()
        await self._drop_gone(due)
        if self.lease.is_good and not self._is_leaving:
            await self._take(name for name in due if self._is_wanted(name))
            await self._move()
        await self._tend()

    async def hand_over(self) -> None:
        """Let others have all streams, each where a window ends; then end the lease."""
        self._is_leaving = True
        try:
            async with asyncio.timeout(_HAND_OVER_WITHIN_S):
                await self._beat()
                turns = asyncio.Semaphore(_AT_ONCE)

                async def one(stream: Stream) -> None:
                    async with turns:
                        await self._release(stream)

                async with asyncio.TaskGroup() as releasing:
                    for stream in tuple(self._engine.running.values()):
                        releasing.create_task(one(stream))
                await self._shared.leave(self.lease.worker)
        except (TimeoutError, LogUnavailableError, BaseExceptionGroup) as error:
            _log.warning("not all streams were handed over; others take them: %r", error)
        finally:
            self.lease.lapse()

    async def _beat(self) -> Beat:
        lease_ms = round(self.lease.seconds * 1000)
        return await self._shared.beat(self.lease.worker, lease_ms, is_leaving=self._is_leaving)

    async def _take_in(self, changes: Changes) -> None:
        if changes.is_whole:
            if self._epoch and changes.epoch != self._epoch:  # what we run must be there
                for stream in tuple(self._engine.running.values()):
                    await self._shared.restore(stream.row)
                    await self._engine.log.open_stream(stream.stream_id, self._engine.retention)
                await self._claim_again()
            else:
                self._due.update(self._rows)
                self._rows = {}
        self._epoch = changes.epoch
        for stream_id, kept in changes.rows.items():
            self._due.add(stream_id)
            if kept is None:
                self._rows.pop(stream_id, None)
            else:
                self._rows[stream_id] = kept

    def _is_wanted(self, stream_id: str) -> bool:
        kept = self._rows.get(stream_id)
        return (
            kept is not None
            and not kept.row.is_complete
            and stream_id not in self._engine.running
            and self._broken.get(stream_id) != kept.row.created_ns
            and owner_of(stream_id, self.workers) == self.lease.worker
        )

    async def _drop_lost(self) -> None:
        """Stop what is another's by now, or was deleted."""
        for stream_id, log in tuple(self._logs.items()):
            stream = self._engine.running.get(stream_id)
            if log.is_lost and stream is not None:
                _log.warning("stream %s is not ours any more", stream_id)
                await self._end(stream)
                await self._shared.release(stream_id, self.lease.worker)  # if it still is
                self._due.add(stream_id)

    async def _drop_gone(self, due: Iterable[str]) -> None:
        """Stop what was deleted, completed or made again; what runs on has the newest row."""
        for stream_id in due:
            stream, kept = self._engine.running.get(stream_id), self._rows.get(stream_id)
            if stream is None:
                continue
            if kept is not None and kept.row.created_ns == stream.row.created_ns:
                stream.row = kept.row
                if not kept.row.is_complete:
                    continue
            await self._end(stream)
            if kept is None:
                await self._engine.log.delete(stream_id)

    async def _take(self, wanted: Iterable[str]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def claim(stream_id: str) -> tuple[str, Claim]:
            async with turns:
                await self._engine.log.open_stream(stream_id, self._engine.retention)
                return stream_id, await self._claim(stream_id)

        for stream_id, claimed in await asyncio.gather(*map(claim, wanted)):
            kept = self._rows.get(stream_id)
            if kept is None:  # deleted while it was claimed
                await self._engine.log.delete(stream_id)
            elif claimed.fence is not None:
                await self._begin(kept, claimed)

    async def _claim(self, stream_id: str) -> Claim:
        worker = self.lease.worker
        claimed = await self._shared.claim(stream_id, worker)
        if claimed.owner is None or claimed.owner in self.workers:
            return claimed
        alive = await self._shared.beat()  # looked at after it owned it: it isn't just new
        if claimed.owner in alive.workers | alive.leaving:
            return claimed
        _log.info("stream %s is taken over from %s", stream_id, claimed.owner)
        return await self._shared.claim(stream_id, worker, claimed.owner)

    async def _begin(self, kept: Kept, claimed: Claim) -> None:
        row = kept.row
        assert claimed.fence is not None  # noqa: S101 -- it is ours
        log = LeasedLog(self._engine.log, self.lease, claimed.fence)
        is_old = self._clock.now_ns() - row.created_ns > _NEW_S * NS
        try:
            compiled = compiled_again(row, self._engine.catalog, self._engine.defaults)
            await self._engine.begin(
                row, compiled, log=log, takes_over=claimed.was_written or is_old, is_heard=False
            )
        except LogUnavailableError:
            self._due.add(row.stream_id)
        except BondError as error:
            _log.warning("stream %s can't run here: %s", row.stream_id, error.detail)
            self._broken[row.stream_id] = row.created_ns
            said = {"state": "failed", "failure": error.detail}
            await self._shared.report({row.stream_id: msgspec.json.encode(said)})
        else:
            self._broken.pop(row.stream_id, None)
            self._logs[row.stream_id] = log
            self._since_ns[row.stream_id] = self._clock.monotonic_ns()

    async def _claim_again(self) -> None:
        """See which streams are still ours after the lease was over; the others are lost."""
        for stream_id, log in tuple(self._logs.items()):
            claimed = await self._shared.claim(stream_id, self.lease.worker)
            if claimed.fence is not None:
                log.fence = claimed.fence
            elif claimed.owner is not None:
                log.is_lost = True

    async def _move(self) -> None:
        """Let another worker have one stream that is its own, now and then."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._moved_ns + NS or len(self.workers) < 2:
            return
        for stream_id, stream in self._engine.running.items():
            if now_ns - self._since_ns.get(stream_id, now_ns) < _HOLD_S * NS:
                continue
            if owner_of(stream_id, self.workers) not in (None, self.lease.worker):
                self._moved_ns = now_ns
                await self._release(stream)
                return

    async def _release(self, stream: Stream) -> None:
        await self._engine.stop_task(stream)
        try:
            if stream.failure is None:
                await stream.pipeline.hand_over()
        except BondError as error:
            _log.warning("the last windows of stream %s: %s", stream.stream_id, error.detail)
        await self._end(stream)
        await self._shared.release(stream.stream_id, self.lease.worker)

    async def _end(self, stream: Stream) -> None:
        self._logs.pop(stream.stream_id, None)
        self._since_ns.pop(stream.stream_id, None)
        self._told.pop(stream.stream_id, None)
        if self._engine.running.get(stream.stream_id) is stream:
            await self._engine.end(stream)

    async def _tend(self) -> None:
        self._turn += 1
        now_ns = self._clock.now_ns()
        for stream in tuple(self._engine.running.values()):
            ends_ns = stream.row.ends_ns
            if ends_ns is not None and now_ns >= ends_ns and self.lease.is_good:
                await self._complete(stream)
        await self._report()
        if self._clock.monotonic_ns() - self._reaped_ns > NS:
            self._reaped_ns = self._clock.monotonic_ns()
            await self._reap()

    async def _complete(self, stream: Stream) -> None:
        kept = self._rows.get(stream.stream_id)
        await self._engine.finish(stream)
        if kept is not None and not await self._shared.swap(kept, stream.row):
            self._due.add(stream.stream_id)  # somebody asked for it again just now
        await self._end(stream)
        await self._shared.release(stream.stream_id, self.lease.worker)

    async def _report(self) -> None:
        """Say how streams do: what changed at once, all of them in turn."""
        said: dict[str, bytes] = {}
        turns = max(1, round(_REPORT_EVERY_S / POLL_S))
        for i, (stream_id, stream) in enumerate(self._engine.running.items()):
            state = stream.state()
            if self._told.get(stream_id) == state and i % turns != self._turn % turns:
                continue
            self._told[stream_id] = state
            said[stream_id] = msgspec.json.encode(
                {
                    "state": state, "failure": stream.failure, "sources": stream.health(),
                    "metrics": stream.metrics(), "worker": self.lease.worker,
                    "at_ms": self._clock.now_ns() // 1_000_000,
                }
            )  # fmt: skip
        await self._shared.report(said)

    async def _reap(self) -> None:
        """Remove ephemeral and complete streams of ours that nobody has heard for a while."""
        ours = [
            kept
            for stream_id, kept in self._rows.items()
            if (kept.row.is_ephemeral or kept.row.is_complete)
            and owner_of(stream_id, self.workers) == self.lease.worker
        ]
        if not ours:
            return
        now_ms, heard = await self._shared.heard([kept.row.stream_id for kept in ours])
        for kept, heard_ms in zip(ours, heard, strict=True):
            row = kept.row
            since_ms = max(heard_ms, row.created_ns // 1_000_000)
            if row.is_complete:
                since_ms = max(since_ms, (row.ends_ns or 0) // 1_000_000)
            if now_ms - since_ms >= EPHEMERAL_S * 1000 and await self._shared.remove(row, kept):
                self._due.add(row.stream_id)
                await self._engine.log.delete(row.stream_id)


POLL_S = 0.2
"""How often a process looks what changed."""
