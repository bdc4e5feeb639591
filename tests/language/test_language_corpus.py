"""Sentences whose meaning must not change by accident, and the cases the design was made for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bond_core.errors import RequestError
from bond_server.language.compile import understand
from bond_server.language.vocabulary import Vocabulary, bundled
from tests.language.adapter import meaning, suggestions

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VOCABULARY = bundled()


def corpus() -> list[tuple[str, str]]:
    """Return each sentence of the corpus with its outcome."""
    lines = (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines()
    said = [line for line in lines if line and not line.startswith("# ")]
    return [(a, b.strip()) for a, b in zip(said[::2], said[1::2], strict=True)]


def cases() -> list[Any]:
    """Return the natural-language cases, or one that is skipped where they are not at hand."""
    recordings = os.environ.get("BOND_RECORDINGS", ROOT.parent / "shared" / "data" / "recordings")
    path = Path(recordings).parent / "nl-cases.jsonl"
    if not path.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"no cases at {path}"))]
    lines = path.read_text(encoding="utf-8").splitlines()
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


def outcome(text: str, vocabulary: Vocabulary = VOCABULARY) -> str:
    """Return what becomes of a sentence, as the corpus writes it."""
    try:
        return f"=> {understand(text, vocabulary).sentence}"
    except RequestError as error:
        return f"=! {error.code} -> {error.fix}"


@pytest.mark.parametrize(("text", "expected"), corpus())
def test_a_sentence_means_what_the_corpus_says(text, expected):
    """Every sentence of the corpus has the canonical form, or the error and fix, that it states."""
    assert outcome(text) == expected


@pytest.mark.parametrize("case", cases())
def test_a_case_is_understood_as_it_expects(case):
    """Every natural-language case compiles to what it expects, or is refused as it expects."""
    if "error" in case:
        with pytest.raises(RequestError) as refused:
            understand(case["text"], VOCABULARY)
        assert_refused(refused.value, case)
    else:
        assert_understood(case)


def assert_understood(case: dict[str, Any]) -> None:
    """Check a case that must compile."""
    found = meaning(understand(case["text"], VOCABULARY))
    expected = dict(case["expect"])
    if expected.pop("no_warnings", False):
        assert found["warnings"] == []
    assert set(expected.pop("warnings", [])) <= set(found["warnings"])
    for key, value in expected.items():
        if isinstance(value, list):
            assert sorted(found[key]) == sorted(value), key
        else:
            assert found[key] == value, key


def assert_refused(error: RequestError, case: dict[str, Any]) -> None:
    """Check a case that must be refused."""
    assert error.code == case["error"]
    assert set(case.get("suggest", [])[:1]) <= set(suggestions(error))
    if "span" in case:
        assert error.problems[0].text == case["span"]
    assert error.fix is not None
    understand(error.fix, VOCABULARY)
