"""Make a stranger's text fit to be looked at: no markup, no control characters, bounded.

It stays what it is, something that a stranger wrote: this guards terminals and logs, and
nobody's judgement.
"""

from __future__ import annotations

import html
import re
import unicodedata

MAX_CHARS = 4_000
"""What a text is cut to."""

_BREAK = re.compile(r"(?i)<\s*/?\s*(?:br|p|div|li|tr|h[1-6]|blockquote)\b[^>]*>")
_HIDDEN = re.compile(r"(?is)<\s*(script|style)\b.*?(?:<\s*/\s*\1\s*>|$)|<!--.*?(?:-->|$)")
_TAG = re.compile(r"<[/!?a-zA-Z][^>]*>")
_SPACE = re.compile(r"\s+")
# Unseen, or turning what follows around: Cc but white space, Cf, private, half a character.
_UNSEEN = {"Cc", "Cf", "Cs", "Co"}
_JOINER = "\u200d"  # what emoji are made of


def plain(text: str, *, markup: bool = False) -> str:
    """Return a text on one line, without what can't be seen, cut to `MAX_CHARS`.

    Args:
        text: As it was written.
        markup: Whether it is HTML, as in a feed's summary: tags go, entities are resolved.
    """
    text = text[: 4 * MAX_CHARS]
    if markup:
        text = _TAG.sub("", _BREAK.sub(" ", _HIDDEN.sub(" ", text)))
        text = html.unescape(text)
    text = _SPACE.sub(" ", text)
    if not text.isascii() or not text.isprintable():
        text = "".join(
            c for c in text if c == _JOINER or unicodedata.category(c) not in _UNSEEN
        )  # fmt: skip
    text = unicodedata.normalize("NFC", text).strip()
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
