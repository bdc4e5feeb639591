"""Find the words nearest to a misspelt one.

Distances are optimal string alignment: an inserted, lost, changed letter, or two neighbours
swapped, each count one (https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

_LONGEST = 24  # no word of any vocabulary is longer, and so neither is a misspelling of one


def distance(a: str, b: str, most: int) -> int:
    """Return the distance of two words, or `most + 1` where it is above `most`."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before_last: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, before_last[j - 2] + 1)
            row.append(best)
        if min(row) > most:
            return most + 1
        before_last, last = last, row
    return min(last[-1], most + 1)


def nearest(word: str, candidates: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Return the candidates within distance 2 (1 for up to three letters), nearest first.

    Equally near ones keep the candidates' order, which is that of their rank.
    """
    if len(word) > _LONGEST:
        return ()
    return _nearest(word, _the_same(tuple(candidates)))[:limit]


@lru_cache(maxsize=64)
def _the_same(candidates: tuple[str, ...]) -> tuple[str, ...]:
    """Return the one of equal tuples that is kept: answers are remembered by it."""
    return candidates


@lru_cache(maxsize=2048)
def _nearest(word: str, candidates: tuple[str, ...]) -> tuple[str, ...]:
    most = 1 if len(word) <= 3 else 2
    letters = set(word)
    found = [
        (distance(word, c, most), at, c)
        for at, c in enumerate(dict.fromkeys(candidates))
        # Each slip changes at most two of the letters in use: a quick look spares the table.
        if abs(len(word) - len(c)) <= most and len(letters.symmetric_difference(c)) <= 2 * most
    ]
    return tuple(c for d, _, c in sorted(found) if d <= most)


def allowance(word: str) -> int:
    """Return how many slips are forgiven in a word: none below four letters."""
    return 0 if len(word) < 4 else 1 if len(word) < 8 else 2


class Misspellings:
    """Known words by what is left of them when letters are lost, so that a lookup is quick.

    Two words at distance d share a form with at most d letters removed from each.
    """

    def __init__(self, meanings: Mapping[str, object]) -> None:
        self._meanings = meanings
        self._by_form: dict[str, list[str]] = {}
        for word in meanings:
            for form in _shortened(word, allowance(word)):
                self._by_form.setdefault(form, []).append(word)

    def correct(self, word: str) -> str | None:
        """Return the one known word that was meant; None if there is none, or several."""
        most = allowance(word)
        if not most or len(word) > _LONGEST:
            return None
        near: dict[str, int] = {}
        for form in _shortened(word, most):
            for known in self._by_form.get(form, ()):
                if known not in near:
                    near[known] = distance(word, known, most)
        least = min(near.values(), default=most + 1)
        if least > most:
            return None
        best = [known for known, d in near.items() if d == least]
        same_meaning = all(self._meanings[k] == self._meanings[best[0]] for k in best)
        return min(best, key=lambda k: (len(k), k)) if same_meaning else None


def _shortened(word: str, by: int) -> set[str]:
    forms = {word}
    for _ in range(by):
        forms |= {form[:i] + form[i + 1 :] for form in forms for i in range(len(form))}
    return forms
