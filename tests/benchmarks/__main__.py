"""Run benchmarks by name, print a table, and write a JSON object a line where asked to.

    python -m tests.benchmarks [NAME] [--case CASE] [--json FILE]

Without a name all run; a benchmark with `CASES` runs one of them alone where asked to. Exit
status: 0 when every goal is met, 1 when one is missed, 2 when the command was wrong.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from tests import benchmarks
from tests.benchmarks.figure import Figure

_NO_BENCHMARKS = {"__main__", "figure", "sse_clients", "worker"}
_ROW = "{:<10} {:<24} {:<24} {:>10} {:>8}  {}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and return the exit status."""
    names = sorted({found.name for found in pkgutil.iter_modules(benchmarks.__path__)})
    names = [name for name in names if name not in _NO_BENCHMARKS]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("name", nargs="?", choices=names, help="which to run; all without it")
    parser.add_argument("--case", help="one of the benchmark's cases; all without it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a JSON object a line")
    asked = parser.parse_args(arguments)
    if asked.case is not None:
        known = cases_of(asked.name) if asked.name else ()
        if asked.case not in known:
            parser.error(f"--case must be one of: {', '.join(known) or 'none are known'}")

    print(_ROW.format("bench", "case", "against", "ratio", "goal", "met"))
    figures = []
    for figure in measure([asked.name] if asked.name else names, asked.case):
        print(row(figure), flush=True)
        figures.append(figure)
    if asked.json:
        lines = [json.dumps(attrs.asdict(figure)) + "\n" for figure in figures]
        asked.json.write_text("".join(lines), encoding="utf-8")
    return 1 if any(figure.met is False for figure in figures) else 0


def cases_of(name: str) -> Sequence[str]:
    """Return the cases of a benchmark that can be run alone."""
    return getattr(importlib.import_module(f"tests.benchmarks.{name}"), "CASES", ())


def measure(names: Iterable[str], case: str | None = None) -> Iterable[Figure]:
    """Yield the figures of the benchmarks with these names, each as soon as it is known."""
    for name in names:
        run = importlib.import_module(f"tests.benchmarks.{name}").run
        yield from run() if case is None else run(case)


def row(figure: Figure) -> str:
    """Return the figure as a line of the table; a dash where there is no goal."""
    goal = "-" if figure.goal is None else f"{figure.goal:.3g}"
    met = {None: "-", True: "yes", False: "NO"}[figure.met]
    ratio = "absent" if figure.ratio is None else f"{figure.ratio:.3g}"
    return _ROW.format(figure.bench, figure.case, figure.against, ratio, goal, met)


if __name__ == "__main__":
    sys.exit(main())
