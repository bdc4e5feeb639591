"""Find where in a JSON text each value stands, so that an error can point into the file."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@attrs.frozen(kw_only=True)
class Place:
    """Where something stands: offsets into the text, the end excluded."""

    start: int
    end: int


@attrs.frozen(kw_only=True)
class Places:
    """Where everything stands, by JSON pointer (RFC 6901).

    Attributes:
        values: Of each value.
        keys: Of each key of an object.
        twice: Of each key that stood there before: only its last value counts.
    """

    values: dict[str, Place] = attrs.field(factory=dict)
    keys: dict[str, Place] = attrs.field(factory=dict)
    twice: dict[str, Place] = attrs.field(factory=dict)

    def nearest(self, pointer: str) -> Place:
        """Return where a value stands, or what it is missing in."""
        while pointer and pointer not in self.values:
            pointer = pointer.rpartition("/")[0]
        return self.values[pointer]


@attrs.define
class _Open:
    """An object or array whose end is still to come."""

    pointer: str
    start: int
    is_object: bool
    child: str = ""
    count: int = 0
    takes_key: bool = True
    seen: set[str] = attrs.field(factory=set)

    def next_child(self) -> str:
        return f"{self.pointer}/{self.child if self.is_object else self.count}"


def read_with_places(text: str) -> tuple[Any, Places]:
    """Return what a JSON text says, and where each part of it stands.

    Raises:
        json.JSONDecodeError: It is none; `lineno` and `colno` say where.
        RecursionError: It is nested too deeply.
    """
    value = json.loads(text)  # from here on it is known to be well formed
    found, within = Places(), [_Open("", 0, is_object=False)]
    for match in _TOKEN.finditer(text):
        word, inner = match[0], within[-1]
        place = Place(start=match.start(), end=match.end())
        if word in ("}", "]"):
            within.pop()
            found.values[inner.pointer] = Place(start=inner.start, end=place.end)
        elif word == ",":
            inner.count += 1
            inner.takes_key = True
        elif word == ":":
            inner.takes_key = False
        elif inner.is_object and inner.takes_key:
            _note_key(word, place, inner, found)
        else:
            pointer = inner.next_child() if len(within) > 1 else ""
            found.values[pointer] = place
            if word in ("{", "["):
                within.append(_Open(pointer, place.start, is_object=word == "{"))
    return value, found


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Return the line and column of an offset, both from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _note_key(word: str, place: Place, inner: _Open, found: Places) -> None:
    inner.child = json.loads(word).replace("~", "~0").replace("/", "~1")
    pointer = inner.next_child()
    (found.twice if inner.child in inner.seen else found.keys)[pointer] = place
    inner.seen.add(inner.child)
