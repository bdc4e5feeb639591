"""Say how far event time has surely come: for one source, and for the stream.

    watermark = max(newest event - lateness,    now - lateness - idle)
                    where a busy source is      where the clock takes a silent one

Neither ever moves back. The clock comes in as an argument, so a replay of the same events
and ticks closes the same windows at the same points.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import attrs

NEVER = 1 << 100
"""A time that doesn't come, ns: later than any event can say."""


@attrs.define(kw_only=True)
class SourceWatermark:
    """How far one source has come.

    Attributes:
        lateness_ns: How far behind its newest event another may still come in time.
        idle_ns: How long it may be silent before the clock overtakes it.
        gates: Whether windows wait for it.
        at_ns: What is older than this will not come.
    """

    lateness_ns: int
    idle_ns: int
    gates: bool
    at_ns: int = -NEVER

    def saw_event(self, ts_ns: int) -> None:
        """Follow the newest event."""
        self.at_ns = max(self.at_ns, ts_ns - self.lateness_ns)

    def saw_heartbeat(self, ts_ns: int) -> None:
        """Believe the source that nothing older than `ts_ns` will come."""
        self.at_ns = max(self.at_ns, ts_ns)

    def saw_tick(self, now_ns: int) -> None:
        """Let the clock overtake a source that is silent."""
        self.at_ns = max(self.at_ns, now_ns - self.lateness_ns - self.idle_ns)

    def fires_at(self, end_ns: int) -> int:
        """Return the event time from which an event of this source may close `end_ns`.

        That is never for a source that doesn't gate, and for one that has already passed:
        then it is another that holds the stream back.
        """
        if not self.gates or self.at_ns >= end_ns:
            return NEVER
        return end_ns + self.lateness_ns


class HasWatermark(Protocol):
    """Anything with a source's watermark."""

    @property
    def watermark(self) -> SourceWatermark:
        """Its watermark."""
        ...


def stream_watermark(sources: Collection[HasWatermark], now_ns: int) -> int:
    """Return the time that every gating source has passed.

    Where none gates, the clock alone closes windows, once the slowest had its lateness.
    """
    passed = [s.watermark.at_ns for s in sources if s.watermark.gates]
    if passed:
        return min(passed)
    return now_ns - max((s.watermark.lateness_ns for s in sources), default=0)
