"""Find what must not be shown: the secrets of a test, and what looks like anybody's."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any
from urllib.parse import quote, quote_plus

import attrs

from bond_core.settings import Secret

SHORTEST = 4
"""A shorter secret is in every text."""

_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "an Authorization header": re.compile(
        r"(?i)\b(proxy-)?authorization\b[\"']?\s*[:=]\s*[\"']?(?!\*)\S"
    ),
    "a bearer token": re.compile(r"(?i)\bbearer\s+[a-z0-9._~+/-]{8,}"),
    "a token in a URL": re.compile(
        r"(?i)[?&](api_?key|key|token|access_token|listen_?key|secret|signature|sig|password)"
        r"=(?!\*)[^&\s\"'*]{4,}"
    ),
    "a password in a URL": re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^/\s:@\"']+:(?!\*)[^/\s@\"']+@"),
    "a signed token (JWT)": re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a cookie": re.compile(r"(?i)\b(set-)?cookie\b[\"']?\s*:\s*[\"']?(?!\*)\S"),
}


def leaks_in(what: Any, secrets: Mapping[str, str] | None = None) -> list[str]:
    """Return what secret things are in something that was recorded; by name, never as they are.

    Args:
        what: Anything: texts, JSON, attrs objects, exceptions.
        secrets: By a name to tell them by, what must not be in it in any form.
    """
    text = _text(what)
    found = [
        f"the secret {name}"
        for name, secret in (secrets or {}).items()
        if len(secret) >= SHORTEST and any(form in text for form in forms_of(secret))
    ]
    return found + [name for name, pattern in _PATTERNS.items() if pattern.search(text)]


def forms_of(secret: str) -> set[str]:
    """Return a secret as texts, URLs and JSON write it."""
    return {
        secret, quote(secret), quote(secret, safe=""), quote_plus(secret),
        json.dumps(secret)[1:-1], repr(secret)[1:-1],
    }  # fmt: skip


def secrets_of(config: Any) -> dict[str, str]:
    """Return the secrets in some settings, by the name of the setting."""
    if not attrs.has(type(config)):
        return {}
    given = {field.name: getattr(config, field.name) for field in attrs.fields(type(config))}
    found = {name: value.reveal() for name, value in given.items() if isinstance(value, Secret)}
    for name, value in given.items():
        found |= {f"{name}.{inner}": secret for inner, secret in secrets_of(value).items()}
    return found


def around(text: str, secret: str) -> str:
    """Return the line of a text in which a secret stands, without it."""
    line = next(line for line in text.splitlines() if secret in line)
    return line.replace(secret, "***")[:200]


def _text(what: Any) -> str:
    if isinstance(what, bytes):
        return what.decode(errors="replace")
    if isinstance(what, str):
        return what
    if isinstance(what, Mapping):
        return "\n".join(f"{key}: {_text(value)}" for key, value in what.items())
    if isinstance(what, (list, tuple)):
        return "\n".join(map(_text, what))
    if attrs.has(type(what)):
        return _text(attrs.asdict(what, recurse=False))
    return str(what)


class Overheard:
    """What was printed and logged."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.lines: list[str] = []

    def text(self) -> str:
        """Return all of it."""
        return "\n".join([self.out.getvalue(), *self.lines])


@contextmanager
def overheard() -> Iterator[Overheard]:
    """Listen to everything that is printed and logged, at every level."""
    heard = Overheard()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.lines.append(self.format(record))

    handler, root = Handler(level=0), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(heard.out), redirect_stderr(heard.out):
            yield heard
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
