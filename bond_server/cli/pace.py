"""Read from the command line how fast something is played."""

from __future__ import annotations

import argparse


def speed(text: str) -> float | str:
    """Read a speed: a number above 0, or `max`."""
    if text == "max":
        return text
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= 1_000_000:
        raise argparse.ArgumentTypeError(f"a speed is a number above 0, or max, not {text!r}")
    return found
