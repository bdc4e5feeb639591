"""Tell what kind of input a fix is: where it is to be typed follows from that."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal[
    "command", "request", "setting", "json", "header", "query", "address", "later", "sentence"
]

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("later", re.compile(r"(Send it|Connect) again\b")),
    ("command", re.compile(r"([A-Z_]+=\S+ )*(bond|pip|export|curl|mv|wscat|nats) ")),
    ("request", re.compile(r"(GET|POST|DELETE) /")),
    ("setting", re.compile(r"[A-Z][A-Z_]+=")),
    ("json", re.compile(r'[{"]')),
    ("header", re.compile(r"(Authorization|Host): ")),
    ("query", re.compile(r"(from|after|slow)=")),
    ("address", re.compile(r"(https?|wss?)://\S+$")),
)


def kind_of(fix: str) -> Kind:
    """Return what a fix is; what is nothing else is a sentence."""
    return next((kind for kind, pattern in _KINDS if pattern.match(fix)), "sentence")
