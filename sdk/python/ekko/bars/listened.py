"""Know of one symbol since when nothing of it was missed."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Listened:
    """One symbol.

    Attributes:
        whole_since_ns: Since when nothing of it was missed, ns; None while a source isn't heard.
    """

    whole_since_ns: int | None = None
    _unheard: set[str] = attrs.field(factory=set)

    def turn(self, source: str, *, is_live: bool, now_ns: int) -> None:
        """Take in whether one of its sources is heard; it is whole while all are."""
        if not is_live:
            self._unheard.add(source)
            self.whole_since_ns = None
            return
        self._unheard.discard(source)
        if self.whole_since_ns is None and not self._unheard:
            self.whole_since_ns = now_ns

    def missed(self, now_ns: int) -> None:
        """Take in that something of it was missed until now."""
        if self.whole_since_ns is not None:
            self.whole_since_ns = now_ns

    def is_partial(self, since_ns: int) -> bool:
        """Whether something of it was missed since a time, or may have been."""
        return self.whole_since_ns is None or self.whole_since_ns > since_ns
