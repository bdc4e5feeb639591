"""Fold a sentence to plain characters, and remember where each one came from.

Compatibility forms (NFKC), dashes, quotes and spaces become the common one; what cannot be
seen is dropped; pictures become spaces. Letters of other alphabets stay what they are:
whether a Cyrillic VE TE ES is meant to be `BTC` is for its author to say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import attrs

_QUOTES = dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"') | dict.fromkeys(
    "\u2018\u2019\u201a\u201b\u02bc\u2032\u00b4", "'"
)
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DROPPED = ("Cf", "Mn", "Mc", "Me", "Cs", "Co", "Cn")
_PICTURES = ("So", "Sk", "Cc", "Zs", "Zl", "Zp")


@attrs.frozen
class Folded:
    """A folded sentence.

    Attributes:
        text: The folded characters.
        begins: For each of them, where in the original the character it came from begins.
        ends: And where that one ends.
    """

    text: str
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the original of `text[start:end]`, which must not be empty."""
        return self.begins[start], self.ends[end - 1]


def hidden(text: str) -> tuple[int, int] | None:
    """Return where a text has what shows otherwise than it reads: a control, an override."""
    return next(((at, at + 1) for at, char in enumerate(text) if _is_hidden(char)), None)


def shown(text: str) -> str:
    """Return the text with what is hidden as spaces, place by place."""
    return "".join(" " if _is_hidden(char) else char for char in text)


def _is_hidden(char: str) -> bool:
    is_control = unicodedata.category(char) == "Cc" and char not in "\t\n\r"
    return is_control or char in _OVERRIDES


def normalise(text: str) -> Folded:
    """Return the sentence folded. Folding what is folded already changes nothing."""
    if text.isascii():  # nothing composes, nothing widens: place by place
        whole = range(len(text) + 1)
        return Folded(text.translate(_ASCII), tuple(whole[:-1]), tuple(whole[1:]))
    out: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        folded = "".join(_fold(c) for c in unicodedata.normalize("NFKC", text[start:end]))
        out.append(folded)
        begins += [start] * len(folded)
        ends += [end] * len(folded)
    return Folded("".join(out), tuple(begins), tuple(ends))


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Yield each character with the marks that belong to it: only together do they compose."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not unicodedata.category(text[at]).startswith("M"):
            if at > start:
                yield start, at
            start = at


def _fold(char: str) -> str:
    if char in _QUOTES:
        return _QUOTES[char]
    if "!" <= char <= "~":
        return char
    category = unicodedata.category(char)
    if category == "Pd" or char == "\u2212":
        return "-"
    if category in _DROPPED:
        return ""
    return " " if category in _PICTURES else char


_ASCII = {code: _fold(chr(code)) for code in range(128)}
