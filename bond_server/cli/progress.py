"""Say how far long work has come: one line on a terminal, written over itself, gone at the end.

    1,204 of 3,600 records  33%  1:58 to go

It stands on stderr and only where that is a terminal; a pipe or a log file gets none of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

EVERY_S = 0.25
_WIPE = "\r\x1b[K"


class Progress:
    """Counts, and shows the count a few times a second.

    Args:
        out: Where to, usually stderr.
        unit: What is counted, as a plural.
        total: How many there will be; None where nobody knows.
        within_s: How long it lasts at most; the rest is told where there is no total.
        monotonic: A clock, in seconds.
    """

    def __init__(
        self, out: TextIO, *, unit: str = "records", total: int | None = None,
        within_s: float | None = None, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._out = out
        self._unit = unit
        self._total = total
        self._within_s = within_s
        self._monotonic = monotonic
        self._count = 0
        self._began_s = monotonic()
        self._shown_s: float | None = None
        self._is_on = out.isatty()

    def step(self, count: int = 1) -> None:
        """Count so many more."""
        self._count += count
        now_s = self._monotonic()
        if self._is_on and (self._shown_s is None or now_s - self._shown_s >= EVERY_S):
            self._shown_s = now_s
            self._out.write(f"{_WIPE}{self.line()}")
            self._out.flush()

    def clear(self) -> None:
        """Take the line away, so that something else may be said."""
        if self._shown_s is not None:
            self._shown_s = None
            self._out.write(_WIPE)
            self._out.flush()

    def line(self) -> str:
        """Return what is shown now."""
        gone_s = self._monotonic() - self._began_s
        if self._total is None:
            said = f"{self._count:,} {self._unit}  {_clock(gone_s)}"
            return said if self._within_s is None else f"{said} of {_clock(self._within_s)}"
        said = f"{self._count:,} of {self._total:,} {self._unit}"
        if self._total <= 0 or not self._count:
            return said
        share = min(self._count / self._total, 1.0)
        return f"{said}  {share:.0%}  {_clock(gone_s * (1 - share) / share)} to go"


def _clock(seconds: float) -> str:
    """Return a length of time: `0:12`, `1:02:03`."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
