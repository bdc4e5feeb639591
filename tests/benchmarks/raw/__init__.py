"""How long a trade takes from a venue's frame to the SDK's `async for`, beside a bare relay.

The venue sends so many frames a second, one trade each, with the time in it. The relay is
`websockets` in and `websockets` out, on the loop that `bond serve` has, and its client reads
with `websockets` and `json.loads`. Bond's way is a WebSocketConnector, a raw stream, the server,
and `EkkoClient.subscribe`. Ratios of the medians of so many rounds by turns: of p50, of p99, and
of the CPU time that a trade costs the process in between, which other work disturbs least.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable, Sequence

from tests.benchmarks.figure import Figure
from tests.benchmarks.raw.parts import FOR_S, through

CASES = ("1000", "10000")
ROUNDS = 3
GOAL = 2.0
_KEPT_UP = 0.98


def run(case: str | None = None) -> Iterable[Figure]:
    """Yield p50 and p99 for each rate."""
    for per_s in map(int, CASES if case is None else (case,)):
        found: dict[str, list[Sequence[float]]] = {"relay": [], "bond": []}
        for _ in range(ROUNDS):
            for way, rounds in found.items():
                delays, cpu_s = through(way, per_s)
                delays.sort()
                share = len(delays) / (per_s * FOR_S)
                rounds.append([_at(delays, 0.50), _at(delays, 0.99), cpu_s, share])
        for place, name in enumerate(("p50", "p99", "cpu")):
            relay, bond = (statistics.median(r[place] for r in found[w]) for w in found)
            _tell(f"{per_s}/s {name}: relay {relay * 1e3:.3f} ms, Bond {bond * 1e3:.3f} ms")
            figure = Figure(
                bench="raw", case=f"{name} at {per_s}/s", against="bare relay", ratio=bond / relay
            )
            has_goal = name != "cpu" and per_s == max(map(int, CASES))
            yield figure.at_most(GOAL) if has_goal else figure
        for way, rounds in found.items():
            if (least := min(share for *_, share in rounds)) < _KEPT_UP:
                _tell(f"{per_s}/s: {way} delivered only {least:.0%} in its time")


def _at(ordered: Sequence[float], quantile: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(quantile * len(ordered)))]


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
