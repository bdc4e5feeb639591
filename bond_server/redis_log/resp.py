"""Write a word of a command as it is sent (Redis serialization protocol, "Bulk strings")."""

from __future__ import annotations


def bulk(word: str | bytes) -> bytes:
    """Return a word with its length before it."""
    data = word.encode() if isinstance(word, str) else word
    return b"$%d\r\n%b\r\n" % (len(data), data)
