"""Look after a worker's own streams: end what is over, say how they do, remove what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from bond_core.clock import NS
from bond_server.engine import Engine
from bond_server.fleet.runs import Run, Runs
from bond_server.fleet.shared import Kept, Shared

EPHEMERAL_S = 60.0
"""How long an ephemeral stream, or one that is complete, outlives its last listener."""

_LOOKS = 5
"""In as many turns each stream that runs is looked at once."""

_REPORTS = 50
"""In at most as many turns each stream is reported once; sooner where there are few."""

_AT_ONCE = 20
"""So many streams are reported in one turn, if there are more than some."""


class Tending:
    """See above. `worker` is the name under which reports are signed."""

    def __init__(self, engine: Engine, shared: Shared, runs: Runs, worker: str) -> None:
        self._engine = engine
        self._shared = shared
        self._runs = runs
        self._worker = worker
        self._told: dict[str, str] = {}
        self._turn = 0
        self._reap_due_ns = 0

    def over(self) -> list[Run]:
        """Return the streams whose time is over."""
        now_ns = self._engine.clock.now_ns()
        return [
            run
            for run in self._runs.own()
            if run.stream.row.ends_ns is not None and now_ns >= run.stream.row.ends_ns
        ]

    async def complete(self, run: Run, kept: Kept) -> None:
        """Bring a stream to its end, and have all know."""
        await self._engine.finish(run.stream)
        await self._shared.swap(kept, run.stream.row)
        await self._runs.end(run)
        await self._shared.release(run.stream.stream_id, self._worker)

    async def report(self) -> None:
        """Say how streams do: what changed within a second, all of them in turn."""
        self._turn = (self._turn + 1) % _REPORTS
        own, said = self._runs.own(), dict[str, bytes]()
        every = min(_REPORTS, max(_LOOKS, len(own) // _AT_ONCE))
        for i, run in enumerate(own):
            stream, told = run.stream, self._told.get(run.stream.stream_id)
            is_due = i % every == self._turn % every
            if told == "running" and not is_due and i % _LOOKS != self._turn % _LOOKS:
                continue
            state = stream.state()
            if told == state and not is_due:
                continue
            self._told[stream.stream_id] = state
            body = {
                "state": state, "failure": stream.failure, "sources": stream.health(),
                "metrics": stream.metrics(), "worker": self._worker,
                "at_ms": self._engine.clock.now_ns() // 1_000_000,
            }  # fmt: skip
            said[stream.stream_id] = msgspec.json.encode(body)
        for stream_id, (_, failure) in self._runs.broken.items():
            if self._turn == 0:
                said[stream_id] = msgspec.json.encode({"state": "failed", "failure": failure})
        await self._shared.report(said)
        if self._turn == 0:
            self._told = {name: s for name, s in self._told.items() if name in self._runs.by_id}

    async def reap(self, rows: Iterable[Kept], is_ours: Callable[[str], bool]) -> None:
        """Remove ephemeral and complete streams of ours that nobody has heard for a while."""
        if self._engine.clock.monotonic_ns() < self._reap_due_ns:
            return
        self._reap_due_ns = self._engine.clock.monotonic_ns() + NS
        ours = [
            kept
            for kept in rows
            if (kept.row.is_ephemeral or kept.row.is_complete) and is_ours(kept.row.stream_id)
        ]
        if not ours:
            return
        now_ms, heard = await self._shared.heard([kept.row.stream_id for kept in ours])
        for kept, heard_ms in zip(ours, heard, strict=True):
            row = kept.row
            ended_ns = (row.ends_ns or 0) if row.is_complete else 0
            since_ms = max(heard_ms, row.created_ns // 1_000_000, ended_ns // 1_000_000)
            if now_ms - since_ms >= EPHEMERAL_S * 1000 and await self._shared.remove(row, kept):
                await self._engine.forget(row.stream_id)
