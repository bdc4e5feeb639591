"""Read one value, or those of a list, out of a decoded JSON message by a path.

    $.data[0].p     $['product-id']     $[-1]     $.data[*]     @.p  (of an item of `each`)

A small, closed part of JSONPath (RFC 9535): names, indices, and `[*]` over arrays. No filters,
slices, descendants or functions: what a path costs is known when it is read.
"""  # fmt: skip

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs

MAX_LENGTH = 200
MAX_STEPS = 16

Step = str | int | None
"""A name, an index, or None for `[*]`."""


class Missing:
    """What is found where nothing is."""


MISSING: Final = Missing()

_NAME = re.compile(r"\.([A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)")
_QUOTED = re.compile(r"\[(?:'((?:[^'\\]|\\['\\])*)'|\"((?:[^\"\\]|\\[\"\\])*)\")\]")
_INDEX = re.compile(r"\[(0|-?[1-9][0-9]{0,5})\]")
_ODD_NAME = re.compile(r"\.([^.\[\]'\"\\*]+)")


class PathError(ValueError):
    """A text is no path; `did_you_mean` is one, if it can be guessed."""

    def __init__(self, detail: str, did_you_mean: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.did_you_mean = did_you_mean


@attrs.frozen
class Path:
    """A path that was read.

    Attributes:
        text: As it was written.
        is_relative: Whether it begins at `@`, an item of `each`, and not at `$`, the message.
        steps: From there on.
    """

    text: str
    is_relative: bool
    steps: tuple[Step, ...]

    @property
    def is_single(self) -> bool:
        """Whether it leads to one value at most."""
        return None not in self.steps

    def one(self, message: Any, item: Any) -> Any:
        """Return the value it leads to, or MISSING. It must be single."""
        value = item if self.is_relative else message
        for step in self.steps:
            if step.__class__ is str:
                if not isinstance(value, dict) or step not in value:
                    return MISSING
                value = value[step]
            else:
                if not isinstance(value, list):
                    return MISSING
                assert isinstance(step, int)  # noqa: S101 -- it is single
                if not -len(value) <= step < len(value):
                    return MISSING
                value = value[step]
        return value

    def each(self, message: Any) -> Iterator[Any]:
        """Yield the values it leads to; MISSING for each branch that ends before."""
        yield from _each(message, self.steps)


def _each(value: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    for at, step in enumerate(steps):
        if step is None:
            if not isinstance(value, list):
                yield MISSING
                return
            for item in value:
                yield from _each(item, steps[at + 1 :])
            return
        fits = isinstance(value, dict) if isinstance(step, str) else isinstance(value, list)
        try:
            value = value[step] if fits else MISSING
        except LookupError:
            value = MISSING
        if value is MISSING:
            yield MISSING
            return
    yield value


def parse_path(text: str) -> Path:
    """Read a path.

    Raises:
        PathError: It is none, with where it ceases to be one.
    """
    if len(text) > MAX_LENGTH:
        raise PathError(f"a path has at most {MAX_LENGTH} characters")
    if not text.startswith(("$", "@")):
        guess = f"${text}" if text.startswith(("[", ".")) else f"$.{text}"
        raise _error(text, 0, "a path begins with $, the message, or @, an item of `each`", guess)
    steps: list[Step] = []
    at = 1
    while at < len(text):
        step, at = _step(text, at)
        steps.append(step)
    if len(steps) > MAX_STEPS:
        raise PathError(f"a path has at most {MAX_STEPS} steps")
    return Path(text, text[0] == "@", tuple(steps))


def _step(text: str, at: int) -> tuple[Step, int]:
    """Return the step that begins at a place, and where the next begins."""
    if found := _NAME.match(text, at):
        end = found.end()
        if end < len(text) and text[end] not in ".[":
            raise _odd_name(text, at)
        return found[1], end
    if found := _INDEX.match(text, at):
        return int(found[1]), found.end()
    if text.startswith("[*]", at):
        return None, at + 3
    if found := _QUOTED.match(text, at):
        name = found[1] if found[1] is not None else found[2]
        return re.sub(r"\\(.)", r"\1", name), found.end()
    raise _unknown_step(text, at)


def _unknown_step(text: str, at: int) -> PathError:
    rest = text[at:]
    if rest.startswith(".."):
        return _error(text, at, "`..` is not understood here: name every step")
    if rest.startswith(".*"):
        return _error(text, at, "over a list write [*]", text[:at] + "[*]" + rest[2:])
    if rest.startswith("[?"):
        return _error(text, at, "filters are not understood in a path: `when` is for that")
    if re.match(r"\[-?[0-9]*[:,]", rest):
        return _error(text, at, "one index or [*] is understood between [ and ]")
    if rest.startswith("[") and "]" not in rest:
        return _error(text, len(text), "] is missing", _guess(text + "]"))
    if unquoted := re.match(r"\[([A-Za-z_][^\]'\"]*)\]", rest):
        guess = f"{text[:at]}['{unquoted[1]}']{rest[unquoted.end() :]}"
        return _error(text, at + 1, "a name between [ and ] is quoted", _guess(guess))
    if rest.startswith("."):
        return _odd_name(text, at)
    if rest.startswith("["):
        return _error(text, at, "between [ and ] stands an index, * or a quoted name")
    return _error(text, at, "a step begins with . or [", _guess(f"{text[:at]}.{rest}"))


def _odd_name(text: str, at: int) -> PathError:
    found = _ODD_NAME.match(text, at)
    if found is None:
        return _error(text, at + 1, "a name is missing")
    guess = f"{text[:at]}['{found[1]}']{text[found.end() :]}"
    return _error(text, at + 1, "a name with such characters is quoted", _guess(guess))


def _guess(text: str) -> str | None:
    """Return the text if it is a path."""
    try:
        return parse_path(text).text
    except PathError:
        return None


def _error(text: str, at: int, why: str, guess: str | None = None) -> PathError:
    hint = f"; did you mean {guess}?" if guess else ""
    detail = f"{why}{hint}\n    {text}\n    {' ' * at}^"
    return PathError(detail, (guess,) if guess else ())
