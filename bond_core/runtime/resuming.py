"""Have a stream go on from its snapshot, and say plainly what it missed meanwhile.

A connector that can go on from a cursor brings what happened while Bond didn't run: then nothing
is missing, and the clock must not overtake it before it has done so. Of any other, what happened
meanwhile is gone: windows of that time are `partial`, and a `gap` is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bond_core.clock import NS
from bond_core.model.record import Notice
from bond_core.runtime.checkpoints import MAX_AGE_S, Checkpoints, Snapshot, read
from bond_core.runtime.feed import Feed
from bond_core.windows.checkpoint.load import SnapshotError
from bond_core.windows.engine import ClosedWindow

if TYPE_CHECKING:
    from bond_core.runtime.pipeline import Pipeline
    from bond_core.runtime.source_ear import SourceEar

CATCH_UP_NS = 10 * NS
"""So long a source may take to bring what it missed before the clock counts again."""


class Resuming:
    """A stream that starts, and what it knows of its time before.

    Attributes:
        behind: Sources that are about to bring what was missed.
        since_ns: When the snapshot was taken that the stream goes on from; None without one.
        waiting: Windows that the process before had yet to publish.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.behind: set[str] = set()
        self.since_ns: int | None = None
        self.waiting: Sequence[ClosedWindow] = ()
        self._pipeline = pipeline
        self._snapshot: Snapshot | None = None
        self._lacks: dict[str, list[str]] = {}  # by source, the symbols nothing is brought of
        self._anew: Notice | None = None
        self._until_ns = pipeline.started_ns + CATCH_UP_NS

    async def load(self, checkpoints: Checkpoints) -> None:
        """Put the engine of the snapshot in place, if there is one that is of use."""
        pipeline = self._pipeline
        try:
            lines = await checkpoints.load(pipeline.stream_id)
            if not lines:
                return
            is_raw = pipeline.bound.spec.mode == "raw"
            plan = None if is_raw else pipeline.bound.plan
            snapshot = read(lines, pipeline.stream_id, plan)
        except (SnapshotError, OSError) as error:
            self._begin_anew(f"{error}", None)
            return
        age_s = (pipeline.started_ns - snapshot.at_ns) / NS
        if age_s > MAX_AGE_S:
            why = f"it did not run for {age_s:.0f} s, more than {MAX_AGE_S:.0f}"
            self._begin_anew(why, snapshot.at_ns)
            return
        self._snapshot, self.since_ns = snapshot, snapshot.at_ns
        if (engine := snapshot.engine) is not None:
            pipeline.engine = engine
            known = {source.plan.name for source in pipeline.bound.sources}
            for name in engine.parts.sources.keys() - known:  # what stood in is to be asked
                engine.remove_source(name, snapshot.at_ns)
        self.waiting = snapshot.waiting
        for part, key, remembered in snapshot.beside:
            self._recall(part, key, remembered)

    def published_ns(self) -> int | None:
        """Return until when all was published that the stream goes on behind; None if anew."""
        if self._snapshot is None:
            return None
        if self._snapshot.engine is None:
            return self._snapshot.at_ns
        until_ns = self._snapshot.engine.closed_until_ns
        return min([until_ns, *(w.window_end_ns - 1_000_000 for w in self.waiting)])

    def take_waiting(self) -> Sequence[ClosedWindow]:
        """Return the windows that wait, for the publisher to have from now on."""
        waiting, self.waiting = self.waiting, ()
        return waiting

    def _recall(self, part: str, key: object, known: object) -> None:
        why = "it could not be written down"
        if known is not None:
            try:
                self._pipeline.remembering[part].recall(key, known)
            except Exception as error:  # noqa: BLE001 -- it is told, and the stream goes on
                why = f"{type(error).__name__}: {error}"[:300]
            else:
                return
        detail = f"what {part} knew of {key} is not known any more after a restart: {why}"
        self._pipeline.engine.notify(Notice(code="not_kept", detail=detail))

    def subscribed(self, ear: SourceEar, feed: Feed) -> None:
        """Have a feed go on where the stream stopped; call before its connector gets to run."""
        if self._snapshot is None:
            return
        name, symbol = ear.source.plan.name, feed.symbol
        heard = self._snapshot.heard.get((name, symbol))
        is_brought = False
        if heard is not None and heard.cursor is not None:
            if not feed.resume(heard.cursor, heard.ids):  # another stream was here before us
                ear.heard_before[symbol] = frozenset(heard.ids)
            # It may go on from an earlier event than our last one, not from a later one.
            is_known = feed.last_id == heard.cursor or feed.last_id in heard.ids
            is_brought = is_known and ear.source.origin.spec.capabilities.resumable
        if is_brought:
            ear.brings_since[symbol] = self._snapshot.at_ns
        else:
            self._lacks.setdefault(name, []).append(symbol)

    def begin(self) -> None:
        """Tell the engine what is missing, once all is subscribed to and before it is told more."""
        pipeline, snapshot = self._pipeline, self._snapshot
        if self._anew is not None:
            pipeline.engine.notify(self._anew)
        if snapshot is None:
            return
        from_ns, to_ns = snapshot.at_ns, max(pipeline.started_ns, snapshot.at_ns)
        self.behind = pipeline.ears.keys() - self._lacks.keys()
        if snapshot.engine is not None:
            snapshot.engine.slept(from_ns, to_ns, brought=self.behind)
        detail = f"the stream did not run for {(to_ns - from_ns) / NS:.1f} s; "
        detail += "what happened meanwhile may be missing"
        gap = Notice(code="gap", detail=detail, from_ns=from_ns, to_ns=to_ns)
        self._snapshot = None  # who is listened to from now on starts as any other
        for name, symbols in self._lacks.items():
            ear = pipeline.ears[name]
            if ear.source.origin.spec.capabilities.mode == "push":
                for symbol in symbols:
                    ear.on_gap(symbol, gap)

    def holds_back(self, now_ns: int) -> bool:
        """Whether the clock must wait for a source that brings what was missed."""
        if self.behind and now_ns >= self._until_ns:
            self.behind.clear()
        return bool(self.behind)

    def reached(self, name: str, ts_ns: int) -> None:
        """Take note of how far a source has come."""
        if ts_ns >= self._pipeline.started_ns:
            self.behind.discard(name)

    def _begin_anew(self, why: str, from_ns: int | None) -> None:
        pipeline = self._pipeline
        pipeline.log.warning("stream %s begins anew: %s", pipeline.stream_id, why)
        self._anew = Notice(
            code="gap", detail=f"the stream begins anew: {why}",
            from_ns=from_ns, to_ns=pipeline.started_ns,
        )  # fmt: skip
