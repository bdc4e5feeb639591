"""When a channel of a source last moved: what tells a live source from a connected one."""

from __future__ import annotations

from typing import Self

import attrs

from bond_core.clock import Clock


@attrs.define
class Pulse:
    """One channel's.

    Attributes:
        moved_ns: When it last moved, by the wall clock: for telling people.
        silent_since_ns: From when its silence counts, by the monotonic clock: for judging.
        newest_ts: The newest event time that was heard; None before the first.
        is_stale: Whether feeds of it were called stale and not yet live again.
    """

    moved_ns: int
    silent_since_ns: int
    newest_ts: int | None = None
    is_stale: bool = False

    @classmethod
    def starting(cls, clock: Clock) -> Self:
        """Return the pulse of a channel that is asked for now."""
        return cls(clock.now_ns(), clock.monotonic_ns())

    def has_moved(self, ts: int, now_ns: int) -> bool:
        """Whether an event at `ts` is news. A venue's clock ahead of ours is taken as ours."""
        ts = min(ts, now_ns)
        if self.newest_ts is not None and ts <= self.newest_ts:
            return False
        self.newest_ts = ts
        return True

    def beat(self, clock: Clock) -> int:
        """Note that it moves; return when it had moved before, by the wall clock in ns."""
        before_ns, self.moved_ns = self.moved_ns, clock.now_ns()
        self.silent_since_ns = clock.monotonic_ns()
        return before_ns
