"""See what holds up an event loop: steps that take long, less what the machine made them wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

_SCHEDULED = Path("/proc/thread-self/schedstat")


@contextmanager
def long_steps(longest_s: float) -> Iterator[list[str]]:
    """Yield a list of the steps of event loops that hold them up for longer, as they end.

    A step that was ready to run and wasn't let, because the machine is busy, isn't blamed for
    that where the system counts it, as Linux does.
    """
    found: list[str] = []
    plain = asyncio.Handle._run  # noqa: SLF001 -- the one place where a step begins and ends

    def run(handle: asyncio.Handle) -> None:
        waited_ns, began_ns = _waited_ns(), time.perf_counter_ns()
        try:
            plain(handle)
        finally:
            took_ns = time.perf_counter_ns() - began_ns
            if took_ns > longest_s * 1e9:
                took_ns -= _waited_ns() - waited_ns
            if took_ns > longest_s * 1e9:
                found.append(f"{handle!r} takes {took_ns / 1e9:.3f} s")

    with patch.object(asyncio.Handle, "_run", run):
        yield found


def _waited_ns() -> int:
    """Return how long this thread was ready to run and wasn't let, ns; 0 if nobody counts it."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
