"""Cut a line of phrases apart."""

from __future__ import annotations


def phrases_of(text: str) -> tuple[str, ...]:
    """Return the phrases of `one | another`."""
    return tuple(phrase.strip() for phrase in text.split("|"))
