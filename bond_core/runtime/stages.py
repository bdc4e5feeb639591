"""How long each stage of a stream's way takes: for histograms, and for its own quantiles.

    event at the venue ─source─▶ received … window's end ─window─▶ closed ─append─▶ in the log
                                                                              ─write─▶ sent

`source` and `window` compare wall clocks, `append` and `write` are monotonic time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

from bond_core.clock import NS

STAGES = ("source", "window", "append", "write")

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of a histogram's buckets, in seconds; one more bucket has no bound."""

_BOUNDS_NS = tuple(round(bound * NS) for bound in BOUNDS_S)
_SAMPLES = 512
_MARKS = 64


class Latency:
    """Counts delays by size, and keeps the newest of them.

    Attributes:
        counts: How many delays each bucket has: those of `BOUNDS_S`, then one without bound.
        sum_ns: Of all delays; one below zero, as of a venue whose clock is ahead, adds none.
    """

    __slots__ = ("_samples", "counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_NS) + 1)
        self.sum_ns = 0
        self._samples: deque[int] = deque(maxlen=_SAMPLES)

    def saw(self, ns: int) -> None:
        """Count a delay."""
        self.counts[bisect_left(_BOUNDS_NS, ns)] += 1
        if ns > 0:
            self.sum_ns += ns
        self._samples.append(ns)

    @property
    def samples(self) -> int:
        """How many delays the quantiles are made of: the newest, 512 at most."""
        return len(self._samples)

    def quantiles_ms(self, *quantiles: float) -> list[float | None]:
        """Return quantiles (0 to 1) of the newest delays in ms; None while there are none."""
        ordered = sorted(self._samples)
        if not ordered:
            return [None] * len(quantiles)
        last = len(ordered) - 1
        return [round(ordered[round(q * last)] / 1e6, 3) for q in quantiles]

    def add(self, other: Latency) -> None:
        """Take in another's counts, not its samples."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum_ns += other.sum_ns


class Stages:
    """The delays of one stream.

    Attributes:
        source: Receive time less event time, of the newest event of each batch.
        window: From a window's end until it is closed: what lateness and idle cost.
        append: From closed until it is in the log.
        write: From in the log until a client's connection has taken it; live ones only, since
            what is replayed was written long before.
    """

    __slots__ = ("_marks", *STAGES)

    def __init__(self) -> None:
        self.source = Latency()
        self.window = Latency()
        self.append = Latency()
        self.write = Latency()
        self._marks: dict[int, int] = {}

    def mark(self, end_ms: int, now_ns: int) -> None:
        """Note when (monotonic) a window's records, by the `ms` of their ids, entered the log."""
        self._marks[end_ms] = now_ns
        if len(self._marks) > _MARKS:
            del self._marks[next(iter(self._marks))]

    def wrote(self, end_ms: int, now_ns: int) -> None:
        """Note when (monotonic) a client's connection took that window's records."""
        since_ns = self._marks.get(end_ms)
        if since_ns is not None:
            self.write.saw(now_ns - since_ns)

    def by_name(self) -> dict[str, Latency]:
        """Return the stages in order."""
        return {name: getattr(self, name) for name in STAGES}

    def add(self, other: Stages) -> None:
        """Take in another stream's counts."""
        for name, latency in self.by_name().items():
            latency.add(getattr(other, name))
