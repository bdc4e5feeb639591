"""The page on faults: each cell of its table names a test that there is, or says why none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("ccxt", "alpaca", "finnhub", "polygon", "ibkr", "websocket")


def rows():
    """Return the table's rows: what goes wrong, and each connector's cell."""
    text = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def names_in(*folders):
    """Return the names of all tests in these folders."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("test_*.py"))
    return set(re.findall(r"def (test_\w+)", "".join(path.read_text("utf-8") for path in found)))


@pytest.mark.parametrize("source", SOURCES)
def test_each_fault_of_a_market_has_its_test(source):
    """Each cell names tests of the connector, or of the runtime, or says why there are none."""
    there = names_in(f"plugins/bond-{source}/tests", "tests/core", "tests/journeys")
    cells = [row[1 + SOURCES.index(source)] for row in rows()]

    assert len(cells) > 10
    for cell in cells:
        named = set(re.findall(r"`(test_\w+)`", cell))
        assert named <= there
        assert named or re.fullmatch(r"\u2013 .+", cell)
