"""Sentences whose meaning must not change by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from bond_core.errors import RequestError
from bond_server.language.compile import understand
from bond_server.language.vocabulary import Vocabulary, bundled

HERE = Path(__file__).parent
VOCABULARY = bundled()


def corpus() -> list[tuple[str, str]]:
    """Return each sentence of the corpus with its outcome."""
    lines = (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines()
    said = [line for line in lines if line and not line.startswith("# ")]
    return [(a, b.strip()) for a, b in zip(said[::2], said[1::2], strict=True)]


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
