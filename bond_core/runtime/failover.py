"""Let a fallback stand in while a venue is down, and leave when it is back.

For each group (one channel of one of the spec's sources) as many fit fallbacks serve as venues
are down, in the spec's order. A venue is down while it is stale, reconnecting or failed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bond_core.model.record import Notice
from bond_core.runtime.binding import BoundSource, BoundStream

if TYPE_CHECKING:
    from bond_core.runtime.pipeline import Pipeline
    from bond_core.runtime.source_ear import SourceEar

Group = tuple[int, str]
_DOWN = ("stale", "reconnecting", "failed")
_REMEMBERED = 16


class Failover:
    """Decides which fallbacks serve. States come in synchronously, subscribing is done by `run`."""

    def __init__(self, bound: BoundStream, pipeline: Pipeline) -> None:
        self._bound = bound
        self._pipeline = pipeline
        self._to_consider: set[Group] = set()
        self._wake = asyncio.Event()
        self._serving: dict[Group, list[str]] = {}
        self._stood_in: dict[Group, deque[SourceEar]] = {}

    def renew(self, bound: BoundStream) -> None:
        """Take other settings of the same sources."""
        self._bound = bound

    def consider(self, group: Group) -> None:
        """Have a group looked at, soon."""
        if self._bound.fallbacks.get(group):
            self._to_consider.add(group)
            self._wake.set()

    def stood_in(self, group: Group) -> Sequence[SourceEar]:
        """Return the fallbacks of a group that stand in, or stood in lately."""
        return tuple(self._stood_in.get(group, ()))

    async def run(self) -> None:
        """Look at the groups whose state changed, as long as the stream runs."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._to_consider:
                await self._settle(self._to_consider.pop())

    async def _settle(self, group: Group) -> None:
        down = [s for s in self._bound.sources if s.group == group and self._is_down(s)]
        serving = self._serving.setdefault(group, [])
        wanted = self._choose(group, len(down))
        for source in wanted:
            if source.plan.name not in serving:
                await self._step_in(source, down)
                serving.append(source.plan.name)
        for name in [n for n in serving if n not in {s.plan.name for s in wanted}]:
            serving.remove(name)
            self._step_out(name, group)

    def _choose(self, group: Group, n: int) -> list[BoundSource]:
        """Take fallbacks in order until n of them are not down.

        One that is down itself is kept on: it may come back, and records say why it can't help.
        """
        chosen: list[BoundSource] = []
        fit = 0
        for source in self._bound.fallbacks[group]:
            if fit == n:
                break
            chosen.append(source)
            fit += not self._is_down(source)
        return chosen

    def _is_down(self, source: BoundSource) -> bool:
        ear = self._pipeline.ears.get(source.plan.name)
        if ear is None or not ear.status:
            return False
        return all(status in _DOWN for status, _ in ear.status.values())

    async def _step_in(self, source: BoundSource, down: list[BoundSource]) -> None:
        engine, now_ns = self._pipeline.engine, self._pipeline.clock.now_ns()
        self._pipeline.tell(engine.add_source, source.plan, now_ns)
        names = ", ".join(s.plan.name for s in down)
        detail = f"{source.plan.name} stands in for {names}"
        told = Notice(code="failover", source=source.plan.name, detail=detail, from_ns=now_ns)
        self._pipeline.tell(engine.notify, told)
        ear = await self._pipeline.listen(source)
        self._stood_in.setdefault(source.group, deque(maxlen=_REMEMBERED)).append(ear)

    def _step_out(self, name: str, group: Group) -> None:
        engine, now_ns = self._pipeline.engine, self._pipeline.clock.now_ns()
        if name in self._pipeline.ears:
            self._pipeline.ears[name].left(now_ns)
        self._pipeline.unlisten(name)
        self._pipeline.tell(engine.remove_source, name, now_ns)
        back = ", ".join(
            s.plan.name for s in self._bound.sources if s.group == group and not self._is_down(s)
        )
        detail = f"{name} stands by again; {back or 'others'} serve"
        told = Notice(code="failover", source=name, detail=detail, to_ns=now_ns)
        self._pipeline.tell(engine.notify, told)
