"""Measurements of Bond, each against something else in the same run.

Every module here but `figure` is a benchmark, called by its own name, and has

    def run() -> Iterable[Figure]

A benchmark compares medians of interleaved rounds: this machine's speed is then in both
sides of a ratio, and only the ratio is kept.
"""
