"""Colour what is printed by hand, on terminals only; `NO_COLOR` and `TERM=dumb` are heeded."""

from __future__ import annotations

import os
import re
from typing import TextIO

_BOLD_RED, _RED, _GREEN, _YELLOW, _OFF = (
    f"\x1b[{code}m" for code in ("1;31", "31", "32", "33", "0")
)
_ERROR = re.compile(r"error\[\w+\]:", re.MULTILINE)
_CARETS = re.compile(r"(?m)^ *\^+(?= |$)")
_VERDICTS = {"ok": _GREEN, "warn": _YELLOW, "FAIL": _RED}


def is_coloured(stream: TextIO) -> bool:
    """Return whether whoever reads a stream wants colours: a person at a terminal that can."""
    return (
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"
    )


def error_for(stream: TextIO, text: str) -> str:
    """Return a rendered error with its code and carets in colour, if the stream wants them."""
    if not is_coloured(stream):
        return text
    text = _ERROR.sub(lambda found: f"{_BOLD_RED}{found[0]}{_OFF}", text)
    return _CARETS.sub(lambda found: f"{_YELLOW}{found[0]}{_OFF}", text)


def verdict_for(stream: TextIO, verdict: str) -> str:
    """Return `ok`, `warn` or `FAIL`, four columns wide, in its colour if the stream wants it."""
    padded = f"{verdict:<4}"
    return f"{_VERDICTS[verdict]}{padded}{_OFF}" if is_coloured(stream) else padded
