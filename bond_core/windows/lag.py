"""Keep enough of a window's delays to tell their median, in bounded memory.

Of n delays every `step`-th is kept, at most 16: all of the first 16, then every second,
then every fourth, and so on. Which ones depends on nothing but their order, so a replay
keeps the same.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_SAMPLES = 16


def join(step: int, samples: list[int], other_step: int, other: list[int]) -> tuple[int, list[int]]:
    """Join the samples of two neighbouring panes; returns the step they now have, and them.

    The finer is thinned to the coarser first, so that both weigh by how much they stand for.
    """
    while step < other_step:
        step, samples = step * 2, samples[::2]
    while other_step < step:
        other_step, other = other_step * 2, other[::2]
    both = samples + other
    while len(both) > MAX_SAMPLES:
        step, both = step * 2, both[::2]
    return step, both


def median_ms(samples: Sequence[int]) -> int | None:
    """Return the median of delays in ns as whole ms; None if there are none."""
    if not samples:
        return None
    ordered = sorted(samples)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2
    return (middle + 500_000) // 1_000_000
