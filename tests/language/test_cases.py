"""Cases of the language: sentences as people write them, each with what it must become.

    pytest tests/language/test_cases.py --cases FILE

A line of a file is a JSON object: `id`, `text`, and `expect` (a subset of what the sentence
means, in the words of `adapter.meaning`; lists in any order) or `error` (a code) with `suggest`
(its first must be suggested) and `span` (the words underlined). Add lines to `corpus.jsonl`;
what a sentence becomes is decided before looking at what the compiler says.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bond_core.errors import RequestError
from bond_core.spec.read import read_spec
from bond_server.language.compile import understand
from bond_server.language.pace import UNFIT_WINDOW
from bond_server.language.vocabulary import bundled
from tests.language.adapter import meaning, suggestions

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VOCABULARY = bundled()


def files(given: str | None) -> list[Path]:
    """Return the file that was asked for, else our own and the one the design was made for."""
    if given is not None:
        return [Path(given)]
    recordings = os.environ.get("BOND_RECORDINGS", ROOT.parent / "shared" / "data" / "recordings")
    return [*sorted(HERE.glob("corpus*.jsonl")), Path(recordings).parent / "nl-cases.jsonl"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each line, and a skipped one of a file that isn't there."""
    given = metafunc.config.getoption("--cases", default=None)
    cases: list[Any] = []
    for path in files(given):
        if given is None and not path.is_file():
            cases.append(pytest.param({}, marks=pytest.mark.skip(reason=f"no cases at {path}")))
            continue
        lines = filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines()))
        cases += [pytest.param(case, id=str(case["id"])) for case in map(json.loads, lines)]
    metafunc.parametrize("case", cases)


def test_a_case_is_understood_as_it_expects(case):
    """It compiles to what it says and comes back from its canonical form, or is refused as such."""
    if "error" not in case:
        understood_as_expected(case)
        return
    with pytest.raises(RequestError) as refused:
        understand(case["text"], VOCABULARY)
    assert refused.value.code == case["error"]
    assert set(case.get("suggest", [])[:1]) <= set(suggestions(refused.value))
    if "span" in case:
        assert refused.value.problems[0].text == case["span"]
    assert refused.value.fix is not None
    understand(refused.value.fix, VOCABULARY)


def understood_as_expected(case: dict[str, Any]) -> None:
    """Check a case that must compile."""
    understanding = understand(case["text"], VOCABULARY)
    found = meaning(understanding)
    expected = dict(case["expect"])
    if expected.pop("no_warnings", False):
        assert found["warnings"] == []
    assert set(expected.pop("warnings", [])) <= set(found["warnings"])
    for key, value in expected.items():
        if isinstance(value, list):
            assert sorted(found[key]) == sorted(value), key
        else:
            assert found[key] == value, key
    assert understand(understanding.sentence, VOCABULARY).spec == understanding.spec
    if UNFIT_WINDOW not in found["warnings"]:
        read_spec(understanding.spec)
