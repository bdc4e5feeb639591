"""Keep the secrets of a connector's settings out of what it says: its log, and its reasons.

A vendor's error may quote the URL it asked, and with it a key. What a connector logs, raises
or tells passes here first; the secret is looked for as it is, and as URLs and JSON write it.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import attrs

from bond_core.settings import Secret

HIDDEN = "***"
SHORTEST = 4
"""A shorter secret is no secret, and to hide it would tear every other word apart."""

_STAND_IN = "simulated"


class Hiding:
    """Takes the secrets of some settings out of texts.

    Args:
        config: The settings, an attrs object or anything that holds such.
    """

    def __init__(self, config: Any) -> None:
        forms = {form for secret in _secrets(config) for form in _forms(secret)}
        # The longest first: one that begins another must not leave the other's end standing.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def logger(self, name: str) -> logging.Logger:
        """Return a logger of that name, all of whose lines have passed here."""
        named = logging.getLogger(name)
        return named if self._pattern is None else _HidingLogger(named, self)


class _HidingLogger(logging.Logger):
    """Writes to another logger what has nothing to hide.

    It isn't among the process's loggers: two instances of a connector have other secrets.
    """

    def __init__(self, named: logging.Logger, hide: Hiding) -> None:
        super().__init__(named.name)
        self.parent = named
        self._hide = hide

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 -- logging's name
        """Ask the other: a cache of our own would not hear of a change of its level."""
        return self.parent is not None and self.parent.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Hand on the record as a finished text."""
        record.msg, record.args = self._hide(record.getMessage()), ()
        if record.exc_info:
            lines = traceback.format_exception(*record.exc_info)
            record.exc_text = self._hide("".join(lines).rstrip("\n"))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = self._hide(record.stack_info)
        if self.parent is not None:
            self.parent.handle(record)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        if len(value.reveal()) >= SHORTEST and value.reveal() != _STAND_IN:
            yield value.reveal()
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _secrets(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _secrets(item)


def _forms(secret: str) -> tuple[str, ...]:
    return (secret, quote(secret), quote(secret, safe=""), quote_plus(secret),
            json.dumps(secret)[1:-1], repr(secret)[1:-1])  # fmt: skip
