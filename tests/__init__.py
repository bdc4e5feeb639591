"""The tests of the core and the server; a package so that `python -m tests.benchmarks` runs."""
