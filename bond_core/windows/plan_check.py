"""Refuse a plan whose windows make no sense, before anything is built on it."""

from __future__ import annotations

from bond_core.windows.plan import StreamPlan


def check_plan(plan: StreamPlan) -> None:
    """Look at how windows, bars and routes of a plan fit together.

    Raises:
        ValueError: They don't; says which and why.
    """
    frames = plan.timeframes_ns
    if not frames or frames[0] <= 0 or list(frames) != sorted(set(frames)):
        raise ValueError(f"timeframes are lengths in ns, the smallest first, not {frames}")
    if odd := [frame for frame in frames if frame % frames[0]]:
        raise ValueError(f"timeframes must be multiples of {frames[0]} ns, but {odd} are not")
    if plan.release_ns is not None and (frames[0] % plan.release_ns or plan.slide_ns is not None):
        raise ValueError(
            f"{frames[0]} ns must be a multiple of {plan.release_ns} ns, and not slide"
        )
    targets = {t for s in plan.sources for each in s.routes.values() for t in each}
    if plan.slide_ns is not None and (len(frames) > 1 or frames[0] % plan.slide_ns):
        raise ValueError(f"one length that is a multiple of {plan.slide_ns} ns can slide")
    if unknown := sorted(targets - set(plan.symbols)):
        raise ValueError(f"sources route to {unknown}, which are no symbols of the stream")
