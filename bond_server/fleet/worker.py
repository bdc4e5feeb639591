"""Run the streams that are this worker's, as long as they are.

Whose a stream is, rendezvous over the living workers says; that no two write it, the log does:
a claim gives a fence, and what comes with an older one is refused. So a view of the others that
is a moment old costs a moment, and no record.

A stream is handed over in four steps: its owner offers it; the other gets ready, and says so;
the owner publishes what has ended, and releases it; the other claims it. So no window is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from bond_core.clock import NS
from bond_core.errors import LogUnavailableError
from bond_server.engine import Engine
from bond_server.fleet.lease import Lease
from bond_server.fleet.rendezvous import owner_of, ranked
from bond_server.fleet.runs import Run, Runs
from bond_server.fleet.shared import Beat, Changes, Claim, Kept, Shared
from bond_server.fleet.tending import Tending
from bond_server.redis_log.stopping import stopped

MAX_SKEW_S = 5.0
"""How far a worker's clock may be from that of Redis."""

_ALL_AGAIN_S = 2.0
_HOLD_S = 60.0
"""A stream stays at least so long with a worker before it is moved to balance the load."""
_OFFER_S = 10.0
_READY_SHARE = 0.6
"""How much of the time for a hand-over others may take to get ready; the rest is for the last
windows."""
_LOOK_S = 0.05
_LEAVE_WITHIN_S = 0.5
_AT_ONCE = 64

HAND_OVER_S = 1.4
"""How long a worker that ends hands over, unless it is told otherwise: 1.5 s are promised."""

T = TypeVar("T")

_log = logging.getLogger("bond.fleet")


class Worker:
    """See above.

    Args:
        engine: What streams run in.
        shared: What all processes know.
        lease: This worker's.
        is_standby: Whether it stands by for every stream for which it is the next in line.
        hand_over_s: How long it hands its streams over when it ends; it runs them meanwhile.

    Attributes:
        lease: The same.
        runs: What runs here.
        workers: Who lives, as far as is known.
    """

    def __init__(
        self, engine: Engine, shared: Shared, lease: Lease, *, is_standby: bool = False,
        hand_over_s: float = HAND_OVER_S,
    ) -> None:  # fmt: skip
        self.lease = lease
        self.runs = Runs(engine, lease)
        self.workers: frozenset[str] = frozenset()
        self._engine = engine
        self._shared = shared
        self._clock = engine.clock
        self._is_standby = is_standby
        self._hand_over_s = hand_over_s
        self._tending = Tending(engine, shared, self.runs, lease.worker)
        self._rows: dict[str, Kept] = {}
        self._ranks: dict[str, list[str]] = {}  # the first two of each stream, for these workers
        self._due: set[str] = set()
        self._changed: set[str] = set()
        self._offered_until_ns: dict[str, int] = {}  # to us
        self._moving_until_ns: dict[str, int] = {}  # offered by us
        self._epoch = ""
        self._is_leaving = False
        self._skew_s = 0.0
        self._all_due_ns = self._moved_ns = 0

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
        if not beat.had_it and self.runs.by_id:
            name = self.lease.worker
            _log.warning("the lease of %s was over; looking whose its streams are", name)
            await self._claim_again()
        await self._compare_clocks(beat.now_ms, asked_at_ns // 1_000_000)
        self.lease.renewed(asked_ns)
        if beat.workers != self.workers:
            self.workers = beat.workers
            self._ranks = {}
            self._due.update(self._rows)

    async def settle(self, changes: Changes) -> None:
        """Take in what changed; run what is ours, and no more what isn't."""
        await self._take_in(changes)
        now_ns = self._clock.monotonic_ns()
        is_time_for_all = now_ns >= self._all_due_ns
        if is_time_for_all:
            self._all_due_ns = now_ns + round(_ALL_AGAIN_S * NS)
            self._due.update(self._rows, self.runs.by_id)
        due, self._due = self._due, set()
        changed, self._changed = self._changed, set()
        await self._drop_lost()
        await self._drop_gone(due)
        for stream_id in changed:
            self.runs.revive(stream_id)
        if self.lease.is_good and not self._is_leaving:
            await self._see_offers(changed)
            await self._take([name for name in due if self._is_wanted(name)])
            await self._stand_by(due)
            await self._move()
        if is_time_for_all:
            await self._tend_standing_by()
        await self._tend()

    async def hand_over(self) -> None:
        """Let others have all streams, each where a window ends; then end the lease."""
        self._is_leaving = True
        holding = asyncio.create_task(self._hold(), name="hold the lease while handing over")
        try:
            async with asyncio.timeout(self._hand_over_s):
                others = (await self._beat()).workers - {self.lease.worker}
                if others:
                    await _at_once(self.runs.own(), lambda run: self._offer(run, others))
                    await self._until_ready()
                await _at_once(self.runs.own(), self._release)
        except (TimeoutError, LogUnavailableError, BaseExceptionGroup) as error:
            left = len(self.runs.own())
            _log.warning(
                "%d streams were not handed over in time; others take them: %r", left, error
            )
        finally:
            await stopped(holding)
            self.lease.lapse()
        # Who is known to be gone is not waited for.
        with suppress(TimeoutError, LogUnavailableError):
            async with asyncio.timeout(_LEAVE_WITHIN_S):
                await self._shared.leave(self.lease.worker)

    async def _hold(self) -> None:
        """Renew the lease, and do nothing else, until cancelled."""
        while True:
            asked_ns = self._clock.monotonic_ns()
            with suppress(LogUnavailableError):
                if (await self._beat()).had_it:  # else what it had may be another's
                    self.lease.renewed(asked_ns)
            await self._clock.sleep(self.lease.seconds / 4)

    async def _beat(self) -> Beat:
        lease_ms = round(self.lease.seconds * 1000)
        return await self._shared.beat(self.lease.worker, lease_ms, is_leaving=self._is_leaving)

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
            for run in tuple(self.runs.by_id.values()):
                await self.runs.end(run)
                await self._shared.release(run.stream.stream_id, self.lease.worker)
        elif self._is_leaving and not is_off:
            _log.warning("this machine's clock is right again")
            self._is_leaving = False

    async def _take_in(self, changes: Changes) -> None:
        if changes.is_whole:
            if self._epoch and changes.epoch != self._epoch:  # what we run must be there
                for run in self.runs.own():
                    await self._shared.restore(run.stream.row)
                    await self._engine.log.open_stream(run.stream.stream_id, self._engine.retention)
                await self._claim_again()
            else:
                self._due.update(self._rows)
                self._rows = {}
        self._epoch = changes.epoch
        self._due.update(changes.rows)
        self._changed.update(changes.rows)
        for stream_id, kept in changes.rows.items():
            if kept is None:
                self._rows.pop(stream_id, None)
                self._ranks.pop(stream_id, None)
            else:
                self._rows[stream_id] = kept

    def _can_run(self, stream_id: str) -> bool:
        kept = self._rows.get(stream_id)
        if kept is None or kept.row.is_complete or self.runs.is_own(stream_id):
            return False
        created_ns, _ = self.runs.broken.get(stream_id, (None, ""))
        return created_ns != kept.row.created_ns

    def _is_ours(self, stream_id: str) -> bool:
        is_first = self._first_two(stream_id)[:1] == [self.lease.worker]
        return is_first or self._is_offered(stream_id)

    def _first_two(self, stream_id: str) -> list[str]:
        found = self._ranks.get(stream_id)
        if found is None:
            found = self._ranks[stream_id] = ranked(stream_id, self.workers)[:2]
        return found

    def _is_offered(self, stream_id: str) -> bool:
        return self._clock.monotonic_ns() < self._offered_until_ns.get(stream_id, 0)

    def _is_wanted(self, stream_id: str) -> bool:
        return self._can_run(stream_id) and self._is_ours(stream_id)

    def _is_next(self, stream_id: str) -> bool:
        """Whether we stand by for it: one of the first two has it, the other is beside."""
        first_two = self._first_two(stream_id) if self._is_standby else []
        return len(first_two) == 2 and self.lease.worker in first_two

    async def _drop_lost(self) -> None:
        """Stop what is another's by now, or was deleted."""
        for run in tuple(self.runs.by_id.values()):
            if run.log.is_lost:
                stream_id = run.stream.stream_id
                _log.warning("stream %s is not ours any more", stream_id)
                await self.runs.end(run)
                await self._shared.release(stream_id, self.lease.worker)  # if it still is
                self._due.add(stream_id)

    async def _drop_gone(self, due: Iterable[str]) -> None:
        """Stop what was deleted, completed or made again; what runs on has the newest row."""
        for stream_id in due:
            run, kept = self.runs.by_id.get(stream_id), self._rows.get(stream_id)
            if run is None:
                continue
            if kept is not None and kept.row.created_ns == run.stream.row.created_ns:
                run.stream.row = kept.row
                if not kept.row.is_complete:
                    continue
            await self.runs.end(run)
            if kept is None:
                await self._engine.forget(stream_id)

    async def _see_offers(self, changed: Iterable[str]) -> None:
        """Get ready for what we are offered, and say so."""
        me = self.lease.worker
        for stream_id in filter(self._can_run, changed):
            kept = self._rows[stream_id]
            if (await self._shared.peek(stream_id)).offered_to != me:
                continue
            self._offered_until_ns[stream_id] = self._clock.monotonic_ns() + round(_OFFER_S * NS)
            if await self.runs.begin(kept, None):
                await self._shared.peek(stream_id, is_ready=me)

    async def _take(self, wanted: Iterable[str]) -> None:
        claims: list[tuple[str, Claim]] = []

        async def claim(stream_id: str) -> None:
            await self._engine.log.open_stream(stream_id, self._engine.retention)
            claims.append((stream_id, await self._claim(stream_id)))

        await _at_once(wanted, claim)
        for stream_id, claimed in claims:
            kept = self._rows.get(stream_id)
            if kept is None:  # deleted while it was claimed
                await self._engine.forget(stream_id)
            elif claimed.fence is not None:
                self._offered_until_ns.pop(stream_id, None)
                await self.runs.begin(kept, claimed)

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

    async def _claim_again(self) -> None:
        """See which streams are still ours after the lease was over; the others are lost."""
        for run in self.runs.own():
            claimed = await self._shared.claim(run.stream.stream_id, self.lease.worker)
            if claimed.fence is not None:
                run.log.fence = claimed.fence
            elif claimed.owner is not None:
                run.log.is_lost = True

    async def _stand_by(self, due: Iterable[str]) -> None:
        if not self._is_standby:
            return
        for stream_id in due:
            is_free = stream_id not in self.runs.by_id and self._can_run(stream_id)
            if is_free and self._is_next(stream_id):
                await self.runs.begin(self._rows[stream_id], None)

    async def _tend_standing_by(self) -> None:
        """Forget what owners have published; stand by no more where we need not."""
        for run in self.runs.others():
            stream_id = run.stream.stream_id
            if not (self._is_next(stream_id) or self._is_ours(stream_id)):
                await self.runs.end(run)
                continue
            top = (await self._shared.peek(stream_id)).top
            if not run.is_own:  # it wasn't claimed meanwhile
                run.stream.pipeline.publisher.found(top)

    async def _move(self) -> None:
        """Let another worker have a stream that is its own, now and then."""
        now_ns = self._clock.monotonic_ns()
        for stream_id, until_ns in tuple(self._moving_until_ns.items()):
            run = self.runs.by_id.get(stream_id)
            is_ready = (await self._shared.peek(stream_id)).is_accepted
            if run is not None and run.is_own and is_ready:
                await self._release(run)
            if run is None or is_ready or now_ns > until_ns:
                del self._moving_until_ns[stream_id]
        if now_ns < self._moved_ns + NS or len(self.workers) < 2:
            return
        for run in self.runs.own():
            stream_id = run.stream.stream_id
            is_old = now_ns - run.since_ns >= _HOLD_S * NS
            if is_old and stream_id not in self._moving_until_ns and not self._is_ours(stream_id):
                self._moved_ns = now_ns
                self._moving_until_ns[stream_id] = now_ns + round(_OFFER_S * NS)
                await self._offer(run, self.workers)
                return

    async def _offer(self, run: Run, others: Iterable[str]) -> None:
        stream_id = run.stream.stream_id
        to = owner_of(stream_id, others)
        if to is not None:
            await self._shared.offer(stream_id, self.lease.worker, to)

    async def _until_ready(self) -> None:
        """Wait, for a while, until all are ready for what they were offered."""
        waiting = {run.stream.stream_id for run in self.runs.own()}
        end_ns = self._clock.monotonic_ns() + round(self._hand_over_s * _READY_SHARE * NS)

        async def look(stream_id: str) -> None:
            if (await self._shared.peek(stream_id)).is_accepted:
                waiting.discard(stream_id)

        while waiting and self._clock.monotonic_ns() < end_ns:
            await _at_once(tuple(waiting), look)
            await self._clock.sleep(_LOOK_S)

    async def _release(self, run: Run) -> None:
        await self.runs.hand_over(run)
        await self._shared.release(run.stream.stream_id, self.lease.worker)

    async def _tend(self) -> None:
        if self.lease.is_good:
            for run in self._tending.over():
                kept = self._rows.get(run.stream.stream_id)
                if kept is not None:
                    self._due.add(run.stream.stream_id)
                    await self._tending.complete(run, kept)
        await self._tending.report()
        await self._tending.reap(self._rows.values(), self._is_ours)


async def _at_once(items: Iterable[T], do: Callable[[T], Coroutine[Any, Any, None]]) -> None:
    """Do something for many, some at once; the first error is raised when all is over."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> None:
        async with turns:
            await do(item)

    results = await asyncio.gather(*map(one, items), return_exceptions=True)
    for result in results:
        if result is not None:
            raise result
