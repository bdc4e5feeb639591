"""Cut a folded sentence into atoms, and define the token that an explanation shows.

An atom is a run of letters, a number, a link, a quoted text or a single sign. What belongs
together (`BTC/USDT`, `1m30s`, `on-chain`) is put together by who knows what it means;
`glued` says that nothing stood between an atom and the one before it.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

AtomKind = Literal["url", "quote", "number", "word", "sign"]

# Every alternative is a plain run, so the scan is linear in the length of the sentence.
_ATOM = re.compile(
    r"""(?P<url>[A-Za-z][A-Za-z0-9+.-]{0,15}://[^\s"'<>]*)
    |(?P<quote>"[^"]*"|(?<!\S)'[^']*'(?![^\W_]))
    |(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9]|,[0-9])|[0-9]+(?:\.[0-9]+)?
        |(?<![\w.])\.[0-9]+)
    |(?P<word>(?<=[0-9])[^\W\d_]+|[^\W_]+)
    |(?P<sign>>=|<=|==|!=|&&|\|\||[^\s])""",
    re.VERBOSE,
)
_AFTER_URL = ".,;:!?)]}'\""


@attrs.frozen
class Atom:
    """The smallest piece of a sentence; `start` and `end` count folded characters."""

    kind: AtomKind
    text: str
    start: int
    end: int
    glued: bool
    lower: str


@attrs.frozen(kw_only=True)
class Token:
    """A piece of the sentence as it was written, and what it was understood to be.

    Attributes:
        span: Start and end in the sentence as given, end excluded.
        text: The characters at `span`.
        role: `symbol field source interval exchange condition time … filler unparsed`.
        meaning: What it stands for (`BTC/USDT`, `5s`); empty for filler.
    """

    span: tuple[int, int]
    text: str
    role: str
    meaning: str = ""


def scan(text: str) -> tuple[Atom, ...]:
    """Return the atoms of a folded sentence, in order."""
    atoms: list[Atom] = []
    at = 0
    while found := _ATOM.search(text, at):
        piece = found.group()
        if found.lastgroup == "url":
            piece = piece.rstrip(_AFTER_URL)
        start, end = found.start(), found.start() + len(piece)
        atoms.append(
            Atom(_kind(found), piece, start, end, start == at and start > 0, piece.lower())
        )
        at = end
    return tuple(atoms)


def _kind(found: re.Match[str]) -> AtomKind:
    kind = found.lastgroup
    if kind in {"url", "quote", "number", "word"}:
        return kind  # type: ignore[return-value]  # the pattern's groups are the atoms' kinds
    return "sign"
