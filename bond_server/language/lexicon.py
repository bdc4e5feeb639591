"""Find the longest known phrase at a place in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from bond_server.language.tokens import Atom, scan

Kind = Literal[
    "field", "source", "provider", "venue", "symbol", "ambiguous", "currency", "bars", "swap",
    "agg", "compare", "change", "key", "unit", "adverb", "join", "foreign_source", "unsupported",
    "order", "order_before_asset", "foreign_verb", "foreign_noun", "foreign", "filler",
    "ambiguous_field",
]  # fmt: skip

_INNER = frozenset("-._'/")  # what may stand between a phrase's words: `on-chain`, `gate.io`


@attrs.frozen
class Entry:
    """What a phrase is: its kind, and which one of that kind."""

    kind: Kind
    name: str


@attrs.frozen
class Phrase:
    """A known phrase, cut as a sentence is."""

    words: tuple[str, ...]
    entry: Entry


class Lexicon:
    """All known phrases; where two say the same, the one that was added first is meant."""

    def __init__(self, groups: Iterable[tuple[Kind, Mapping[str, str]]]) -> None:
        known: dict[tuple[str, ...], Entry] = {}
        for kind, phrases in groups:
            for phrase, name in phrases.items():
                known.setdefault(_words(phrase), Entry(kind, name))
        self.words = frozenset(word for words in known for word in words)
        self.single = {words[0]: entry for words, entry in known.items() if len(words) == 1}
        self._by_first: dict[str, list[Phrase]] = {}
        for words in sorted(known, key=len, reverse=True):
            self._by_first.setdefault(words[0], []).append(Phrase(words, known[words]))

    def longest(self, atoms: Sequence[Atom], at: int) -> tuple[Entry, int] | None:
        """Return what the longest phrase at `at` means and where it ends, or None."""
        for phrase in self._by_first.get(atoms[at].lower, ()):
            end = _match(phrase.words, atoms, at)
            if end is not None:
                return phrase.entry, end
        return None


def _words(phrase: str) -> tuple[str, ...]:
    atoms = scan(phrase.lower())
    return tuple(a.text for a in atoms if not (a.glued and a.text in _INNER))


def _match(words: Sequence[str], atoms: Sequence[Atom], at: int) -> int | None:
    for n, word in enumerate(words):
        between = n and at + 1 < len(atoms) and atoms[at].glued and atoms[at].text in _INNER
        if between and atoms[at].lower != word and atoms[at + 1].glued:
            at += 1
        if at >= len(atoms) or atoms[at].lower != word:
            return None
        at += 1
    return at
