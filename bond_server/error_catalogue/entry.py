"""What is known of an error before it happens."""

from __future__ import annotations

from typing import Literal

import attrs

Group = Literal["asking", "access", "serving", "sources", "setup", "commands"]


@attrs.frozen(kw_only=True)
class Entry:
    """One code.

    Attributes:
        code: The stable word for programs.
        cause: What happened, as a sentence.
        remedy: What to do about it, as a sentence.
        fix: An input that works, for whoever has none at hand that is nearer: a sentence, a
            request, a command, a header, a setting; None where nothing one types mends it.
        status: The HTTP status; None where it never answers a request.
        close: The WebSocket close code; None where it never ends a connection.
        again: Whether the same may succeed later, unchanged.
    """

    code: str
    cause: str
    remedy: str
    fix: str | None = None
    status: int | None = None
    close: int | None = None
    again: bool = False

    @property
    def title(self) -> str:
        """The code as words: `Unknown exchange`."""
        return self.code.replace("_", " ").capitalize()
