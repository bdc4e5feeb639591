"""Collect what is wrong with a mapping, each with its place, and say it all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import attrs

from bond_websocket.path import Path, PathError, parse_path


@attrs.frozen
class Fault:
    """One thing that is wrong; `at` is its place in the settings, such as `mapping/events/0`."""

    at: str
    detail: str
    text: str | None = None
    did_you_mean: tuple[str, ...] = ()


class Faults:
    """What is wrong with a mapping."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(
        self, at: str, detail: str, *, text: str | None = None, did_you_mean: Iterable[str] = ()
    ) -> None:
        """Take in one more."""
        self.found.append(Fault(at, detail, text, tuple(did_you_mean)))

    def path(self, at: str, text: str, *, many: bool = False, inside: bool = True) -> Path | None:
        """Return a path that was read; None where it is wrong.

        Args:
            at: Its place.
            text: As it is written.
            many: Whether it may have `[*]`.
            inside: Whether it may begin at `@`.
        """
        try:
            path = parse_path(text)
        except PathError as error:
            self.add(at, str(error), text=text, did_you_mean=error.did_you_mean)
            return None
        if path.is_relative and not inside:
            why = "@ is an item of `each`, and there is none here: begin with $"
            self.add(at, why, text=text, did_you_mean=["$" + text[1:]])
            return None
        if not many and not path.is_single:
            why = "[*] leads to many values and one is wanted: `each` is for that"
            self.add(at, why, text=text)
            return None
        return path

    def word(self, at: str, word: str, known: Iterable[str], what: str) -> None:
        """Say that a word is none of those that are known."""
        known = sorted(known)
        near = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        detail = f"{what}{hint} There are {', '.join(known)}" if near else (
            f"{what}; there are {', '.join(known)}"
        )  # fmt: skip
        self.add(at, detail, text=word, did_you_mean=near)
