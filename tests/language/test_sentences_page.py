"""Every row of the page about sentences is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bond_core.errors import RequestError
from bond_server.language.compile import understand
from bond_server.language.vocabulary import bundled

PAGE = Path(__file__).parents[2] / "docs" / "sentences.md"
ROW = re.compile(r"^\| `(.+?)` \| `(.+?)` \|$")
VOCABULARY = bundled()


def rows() -> list[tuple[str, str]]:
    """Return each sentence of the page's tables with what stands beside it."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [(row[1], row[2]) for line in lines if (row := ROW.match(line))]


@pytest.mark.parametrize(("text", "beside"), rows())
def test_a_sentence_of_the_page_becomes_what_stands_beside_it(text, beside):
    """Its canonical sentence, or the one that is proposed where it is refused."""
    if not beside.startswith("=!"):
        assert understand(text, VOCABULARY).sentence == beside
        return
    with pytest.raises(RequestError) as refused:
        understand(text, VOCABULARY)
    assert refused.value.fix == beside.removeprefix("=! ")
