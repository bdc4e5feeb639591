"""Bond as one of several processes that share their streams over Redis.

    api      compiles requests and registers streams
    worker   owns streams by lease, runs them, and appends to the shared log
    broker   serves clients from that log

A process has one of these roles or all of them; a client can't tell which.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Self

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from bond_core.clock import NS
from bond_core.errors import LogUnavailableError
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import EventLog
from bond_core.log.offset import Offset
from bond_core.log.tail import Tail
from bond_core.spec.canonical import stream_id as derive_stream_id
from bond_server.compiling import Compiled
from bond_server.engine import Engine
from bond_server.fleet.heard import Heard
from bond_server.fleet.lease import Lease
from bond_server.fleet.shared import Changes, Kept, Shared
from bond_server.fleet.worker import HAND_OVER_S, Worker
from bond_server.redis_log.stopping import stopped
from bond_server.registry.row import new_row
from bond_server.roles import Role
from bond_server.streams import AnyStream, KnownStream

POLL_S = 0.2
"""How often a process looks what changed."""

_HEAR_EVERY_S = 10.0
_OUT_OF_DATE_S = 15.0

_log = logging.getLogger("bond.fleet")


class Fleet(Engine):
    """One process of a fleet. Use as `async with`; leaving hands its streams over.

    Args:
        redis: What the processes share.
        log: The log in it.
        roles: What this process does.
        max_streams: How many streams one project may have, in all processes together.
        lease_s: How long a worker's lease lasts without renewal.
        is_standby: Whether its worker stands by where it is the next in line.
        hand_over_s: How long its worker hands over when it ends.
        made_with: What an `Engine` is made with.

    Attributes:
        worker: What runs streams here; None without that role.
    """

    def __init__(
        self, *, redis: Redis | RedisCluster, log: EventLog, roles: frozenset[Role],
        max_streams: int = 5, lease_s: float = 10.0, is_standby: bool = False,
        hand_over_s: float = HAND_OVER_S, **made_with: Any,
    ) -> None:  # fmt: skip
        super().__init__(log=log, **made_with)
        self.max_streams = max_streams
        self.shared = Shared(redis)
        self._heard = Heard(self.log, self.retention, self.clock, self.tasks)
        self._lease_s = lease_s
        self.worker: Worker | None = None
        if "worker" in roles:
            lease = Lease(self.clock, lease_s)
            self.worker = Worker(
                self, self.shared, lease, is_standby=is_standby, hand_over_s=hand_over_s
            )
        self._own: list[asyncio.Task[None]] = []
        self._last = self._epoch = ""
        self._hear_due_ns = 0
        self._is_away = False

    async def __aenter__(self) -> Self:
        """Get ready, and begin to take part.

        Raises:
            LogUnavailableError: Redis does not answer.
        """
        await self.open()
        if self.worker is not None:
            await self.worker.renew()
            self._own.append(self.tasks.create_task(self.worker.beat(), name="renew the lease"))
        self._own.append(self.tasks.create_task(self._follow(), name="follow the fleet"))
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Hand streams over, and stop."""
        await stopped(*self._own)
        if self.worker is not None:
            await self.worker.hand_over()
        await self._heard.end()
        await self.close()

    async def create(self, compiled: Compiled, *, project: str = "local") -> tuple[AnyStream, bool]:
        """See Service."""
        stream_id = derive_stream_id(project, compiled.spec)
        row = new_row(stream_id, project, compiled, self.clock.now_ns())
        with self.tracing.span("create", **{"bond.stream_id": stream_id}):
            while True:
                found = await self.shared.add(row, self.max_streams)
                if found is None:
                    await self.log.open_stream(stream_id, self.retention)
                    return self._heard.known(row, {}), True
                pair = await self.shared.get(stream_id)
                if pair is None:  # deleted just now
                    continue
                kept, report = pair
                is_over = kept.row.is_complete or report.get("state") == "failed"
                wanted = row if is_over else kept.row.asked_again(compiled.options)
                if is_over:
                    await self.forget(stream_id)
                if wanted == kept.row or await self.shared.swap(kept, wanted):
                    await self.shared.hear([stream_id])  # who asked has yet to come
                    if row.spec.get("sinks"):  # one that failed begins anew where it runs
                        await self.shared.touch(stream_id)
                    return self._heard.known(wanted, {} if is_over else report), is_over

    async def look(self, stream_id: str) -> AnyStream | None:
        """See Service."""
        found = await self.shared.get(stream_id)
        return None if found is None else self._known(*found)

    async def listed(self, project: str) -> list[AnyStream]:
        """See Service."""
        return [self._known(*found) for found in await self.shared.of_project(project)]

    async def delete(self, stream_id: str) -> bool:
        """See Service."""
        found = await self.shared.get(stream_id)
        was_there = found is not None and await self.shared.remove(found[0].row)
        if was_there:
            await self.forget(stream_id)
        return was_there

    async def listen(self, stream: AnyStream, after: Offset | None) -> Cursor:
        """See Service."""
        assert isinstance(stream, KnownStream)  # noqa: S101 -- as `look` gives them
        return await self._heard.listen(stream, after)

    def tails(self) -> list[Tail]:
        """See Service."""
        return self._heard.tails()

    def ails(self) -> str | None:
        """Return what is wrong with this process, None while nothing is."""
        if self._is_away:
            return "Redis does not answer"
        return None if self.worker is None else self.worker.ails()

    def _known(self, kept: Kept, report: dict[str, Any]) -> KnownStream:
        at_ms = report.get("at_ms")
        if at_ms is not None:
            old_s = self.clock.now_ns() / NS - at_ms / 1000
            if old_s > _OUT_OF_DATE_S + self._lease_s:  # its owner is gone, the next yet to come
                report = {**report, "state": "starting", "sources": {}}
        stream = self._heard.known(kept.row, report)
        stream.here = self.running.get(stream.stream_id)
        return stream

    async def _follow(self) -> None:
        """Take in what changes, until cancelled."""
        while True:
            try:
                await self._turn(await self.shared.changes(self._last, self._epoch))
                self._is_away = False
            except LogUnavailableError as error:
                if not self._is_away:
                    _log.warning("%s; what changes is not seen meanwhile", error)
                self._is_away = True
            except Exception:  # noqa: BLE001 -- a bug in one turn must not end all others
                _log.exception("following what changes failed; it is tried again")
            await self.clock.sleep(POLL_S)

    async def _turn(self, changes: Changes) -> None:
        # What a fleet lost with its Redis is put back by its workers: nobody deleted it.
        if not self._epoch or self._epoch == changes.epoch:
            for stream_id in self._heard.changed(changes.rows, are_all=changes.is_whole):
                found = await self.shared.get(stream_id)
                self._heard.looked_again(stream_id, None if found is None else found[0])
        if self.worker is not None:
            await self.worker.settle(changes)
        self._last, self._epoch = changes.last, changes.epoch
        self._heard.sweep()
        now_ns = self.clock.monotonic_ns()
        if now_ns >= self._hear_due_ns:
            self._hear_due_ns = now_ns + round(_HEAR_EVERY_S * NS)
            if heard := self._heard.heard():
                await self.shared.hear(heard)
