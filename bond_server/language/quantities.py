"""Read numbers and lengths of time from atoms: `1,000`, `five`, `half a`, `1m30s`."""

from __future__ import annotations

from collections.abc import Sequence

from bond_server.language.durations import NUMBER_WORDS, UNITS, number
from bond_server.language.tokens import Atom

_FRACTIONS = frozenset({"half", "quarter", "couple", "dozen"})
_HALVES = (["2"], ["4"])  # `1/2 second`
_TENS = frozenset({"twenty", "thirty", "forty", "fifty", "sixty", "ninety"})


def quantity(atoms: Sequence[Atom], at: int) -> tuple[float, int] | None:
    """Return the number at this place, and where it ends; None if there is none."""
    atom = atoms[at]
    if atom.kind == "number":
        parts = [a.text for a in atoms[at : at + 3]] if atom.text == "1" else []
        if parts[1:2] == ["/"] and atoms[at + 1].glued and parts[2:] in _HALVES:
            return 1 / number(parts[2]), at + 3
        return number(atom.text), at + 1
    if atom.lower not in NUMBER_WORDS:
        return None
    value, end = NUMBER_WORDS[atom.lower], at + 1
    if atom.lower in _FRACTIONS:
        while end < len(atoms) and atoms[end].lower in {"a", "an", "of", "-"}:
            end += 1
        return value, end
    after = end + 1 if end < len(atoms) and atoms[end].text == "-" and atoms[end].glued else end
    if atom.lower in _TENS and after < len(atoms) and 1 <= _units(atoms[after]) <= 9:
        return value + _units(atoms[after]), after + 1
    if [a.lower for a in atoms[end : end + 3]] == ["and", "a", "half"]:
        return value + 0.5, end + 3
    return value, end


def _units(atom: Atom) -> float:
    return NUMBER_WORDS.get(atom.lower, 0.0)


def length_of(
    atoms: Sequence[Atom], at: int, value: float, *, shouting: bool
) -> tuple[float, str, int] | None:
    """Read the unit of `value`, and the smaller parts that follow: `1m30s`, `5 min 30 sec`.

    Returns:
        The seconds, the unit's spelling, and where it ends. For `M`, which may be minutes or
        months, the value stays as it is and the unit is `M`.
    """
    unit_at = at + 1 if at < len(atoms) and atoms[at].text == "-" and atoms[at].glued else at
    length = _unit(atoms, unit_at, shouting=shouting)
    if length is None:
        return None
    unit = "M" if length == 0 else atoms[unit_at].lower
    total, end = value * length or value, unit_at + 1
    while end + 1 < len(atoms) and atoms[end].kind == "number":
        smaller = _unit(atoms, end + 1, shouting=shouting)
        spelled_out = len(unit) > 2 and len(atoms[end + 1].text) > 2
        if smaller is None or smaller >= length or not (atoms[end].glued or spelled_out):
            break
        total, length = total + number(atoms[end].text) * smaller, smaller
        end += 2
    return total, unit, end


def _unit(atoms: Sequence[Atom], at: int, *, shouting: bool) -> float | None:
    """Return the seconds of the unit at this place; 0 for `M`, which may be a month."""
    if at >= len(atoms) or atoms[at].kind != "word":
        return None
    if atoms[at].text == "M" and not shouting:
        return 0.0
    return UNITS.get(atoms[at].lower)
