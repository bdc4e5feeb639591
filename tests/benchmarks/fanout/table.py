"""What was promised of a delivery, and whether what was measured keeps within it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.benchmarks.fanout.rounds import Measured
from tests.benchmarks.figure import Figure

SINGLE_AT_MOST = {"litestar": 1 / 3, "broadcast": 1.15, "nats": 1 / 2}
BURST_AT_MOST = {"litestar": 1 / 30, "broadcast": 1 / 20, "nats": 1 / 3}
TOPICS_AT_MOST = {"litestar": 1 / 2}
P99_AT_MOST_MS = 15.0
IDLE_AT_MOST_BYTES = 25 * 1024
STALLED_AT_MOST_BYTES = 64 * 1024


def figures_of(found: Measured) -> Iterator[Figure]:
    """Yield the figures: first what was promised, then what there is to know."""
    yield from _against("single records", found.single_us, SINGLE_AT_MOST, found.absent)
    yield from _against("bursts of 64", found.burst_us, BURST_AT_MOST, found.absent)
    yield from _against("a topic each", found.topics_us, TOPICS_AT_MOST, found.absent)
    if found.p99_ms:
        yield _p99(found)
        idle = found.idle_bytes["bond"] / IDLE_AT_MOST_BYTES
        yield _figure("idle connection", "25 KiB", idle).at_most(1)
    if found.stalled_bytes is not None:
        stalled = found.stalled_bytes / STALLED_AT_MOST_BYTES
        yield _figure("stalled client", "64 KiB", stalled).at_most(1)
    for kind, amounts, unit in (
        ("single", found.single_us, "1 us CPU"),
        ("burst", found.burst_us, "1 us CPU"),
        ("topics", found.topics_us, "1 us CPU"),
        ("p99", found.p99_ms, "1 ms"),
    ):
        for name, amount in amounts.items():
            yield _figure(f"{name}: {kind}", unit, amount)
    for name, amount in found.idle_bytes.items():
        yield _figure(f"{name}: idle", "1 KiB", amount / 1024)


def _against(
    case: str, costs: Mapping[str, float], goals: Mapping[str, float], absent: set[str]
) -> Iterator[Figure]:
    for peer, goal in goals.items() if costs else ():
        if peer in absent:
            yield Figure(bench="fanout", case=case, against=peer, ratio=None, goal=goal)
        else:
            yield _figure(case, peer, costs["bond"] / costs[peer]).at_most(goal)


def _p99(found: Measured) -> Figure:
    """Return the 99th percentile, against the fixed bound or, where that is slower, NATS."""
    bound_ms = max(P99_AT_MOST_MS, found.p99_ms.get("nats", 0.0))
    against = "15 ms" if bound_ms == P99_AT_MOST_MS else f"nats ({bound_ms:.1f} ms)"
    return _figure("p99 of single records", against, found.p99_ms["bond"] / bound_ms).at_most(1)


def _figure(case: str, against: str, ratio: float) -> Figure:
    return Figure(bench="fanout", case=case, against=against, ratio=ratio)
