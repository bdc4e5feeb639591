"""The page of the conformance kit says what the kit does: each check, under its number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bond_core.testing import AggregatorConformance, ConnectorConformance, SinkConformance

PAGE = Path(__file__).parents[3] / "docs" / "plugin-kit.md"
ROW = re.compile(r"^\| (\d*) ?\| `(test_\w+)` \|(.*)\|$", re.MULTILINE)
SUITES = (ConnectorConformance, AggregatorConformance, SinkConformance)


def numbers():
    """Return the number of each check, by its method: as its docstring says it."""
    found = {}
    for suite in SUITES:
        for name in dir(suite):
            if name.startswith("test_"):
                said = re.match(r"Check (\d+)", getattr(suite, name).__doc__)
                found[name] = said[1] if said else ""
    return found


def test_the_page_lists_every_check():
    """
    Its rows are the suites' methods, each with the number that its docstring says.
    """
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))

    assert {name: number for number, name, _ in rows} == numbers()
    assert len(rows) == len(numbers())


def test_all_44_are_there():
    """
    No number is missing, and none is beyond.
    """
    assert set(numbers().values()) - {""} == {str(n) for n in range(1, 45)}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.__name__)
def test_the_page_names_every_attribute(suite):
    """
    What an author may set or write is in its tables.
    """
    own = {
        name
        for cls in suite.__mro__
        for name in {**vars(cls), **vars(cls).get("__annotations__", {})}
        if cls.__module__.startswith("bond_core.testing") and name in AUTHORS
    }
    text = PAGE.read_text(encoding="utf-8")

    assert own
    assert all(f"`{name}" in text for name in own), own


AUTHORS = {
    "spec", "config", "env", "bad_configs", "released", "not_secret", "cassette", "sdks", "symbols",
    "auth_failure", "empty", "derived", "drop_sdk", "silence_sdk", "events", "in_order",
    "make_config", "read_back", "broken",
}  # fmt: skip
