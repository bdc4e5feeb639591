"""How long the command line takes to start, against Python doing nothing. Ratios of wall time."""

from __future__ import annotations

import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.figure import Figure

ROUNDS = 15
HELP_AT_MOST = 8.0
_TIMEOUT_S = 60


def run() -> Iterable[Figure]:
    """Yield `bond --help` and `bond plugins list` against `python -c pass`."""
    bond = _console_script()
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "bond --help": [bond, "--help"],
        "bond plugins list": [bond, "plugins", "list"],
    }
    medians = median_seconds(commands)

    def against_nothing(case: str) -> Figure:
        ratio = medians[case] / medians["python -c pass"]
        return Figure(bench="start", case=case, against="python -c pass", ratio=ratio)

    yield against_nothing("bond --help").at_most(HELP_AT_MOST)
    yield against_nothing("bond plugins list")


def median_seconds(commands: dict[str, list[str]]) -> dict[str, float]:
    """Run the commands in turn, round after round, and return each one's median in seconds.

    One round before the first fills the disk cache and writes bytecode; it isn't counted.

    Raises:
        RuntimeError: A command ended with another status than 0; its words are in the text.
    """
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        _seconds(command)
    for _ in range(ROUNDS):
        for name, command in commands.items():
            taken[name].append(_seconds(command))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    took = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return took


def _console_script() -> str:
    """Return the path of this environment's own `bond`, whatever else stands on PATH."""
    suffix = ".exe" if sys.platform == "win32" else ""
    script = Path(sysconfig.get_path("scripts")) / f"bond{suffix}"
    if not script.is_file():
        raise RuntimeError(f"{script} does not exist: run `pip install -r requirements.txt`")
    return str(script)
