"""What is left of a stranger's text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.model.text import MAX_CHARS, plain


@pytest.mark.parametrize(
    ("written", "markup", "left"),
    [
        ("one\r\ntwo\tthree", False, "one two three"),
        ("\x1b[31mred\x1b[0m \u202eevil\u202c", False, "[31mred[0m evil"),
        ("<b>5 &lt; 6</b><br>next<script>steal()</script>", True, "5 < 6 next"),
        ("a <b>tag</b> that is text", False, "a <b>tag</b> that is text"),
        ("1 < 2 and 3 > 2", True, "1 < 2 and 3 > 2"),
        ("family 👨\u200d👩\u200d👧", False, "family 👨\u200d👩\u200d👧"),
        ("e\u0301", False, "é"),
    ],
)
def test_a_text_is_made_plain(written, markup, left):
    """
    Markup, control characters and what turns text around are gone; the rest stays.
    """
    assert plain(written, markup=markup) == left


@given(st.text(), st.booleans())
def test_nothing_unseen_is_left(text, markup):
    """
    No control character, no line break, and never more than so many characters.
    """
    left = plain(text, markup=markup)
    assert len(left) <= MAX_CHARS
    assert not {unicodedata.category(c) for c in left if c != "\u200d"} & {"Cc", "Cf", "Cs", "Co"}


def test_a_long_text_is_cut_and_shows_it():
    """
    Ten million characters cost no more than a few thousand.
    """
    assert plain("x" * 10_000_000) == "x" * (MAX_CHARS - 1) + "…"
