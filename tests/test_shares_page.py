"""The page on shares: each cell of its table names a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("alpaca", "finnhub", "polygon")


def rows():
    """Return the table's rows: what goes wrong, and each source's cell."""
    text = (ROOT / "docs/shares.md").read_text(encoding="utf-8").partition("## When it goes")[2]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.parametrize("source", SOURCES)
def test_each_test_that_is_named_is_there(source):
    """In the tests of the source whose cell names it."""
    files = (ROOT / f"plugins/bond-{source}/tests").glob("test_*.py")
    there = set(re.findall(r"def (test_\w+)", "".join(f.read_text("utf-8") for f in files)))
    column = 1 + SOURCES.index(source)
    named = {name for row in rows() for name in re.findall(r"`(test_\w+)`", row[column])}

    assert len(rows()) > 10
    assert named
    assert named <= there


def test_no_cell_is_empty():
    """What does not apply says so."""
    assert all(all(row) and len(row) == 4 for row in rows())
