"""Keep track of slots: where to go on after a break, and what came to nothing."""

from __future__ import annotations

import attrs

_RECENT = 512


@attrs.define
class Slots:
    """The slots that were heard of.

    Slots without a block are ordinary on Solana, and no gap: the next one's parent is then an
    older one. A slot whose parent was never heard of is the sign that some were missed.

    Attributes:
        newest: The newest slot; None before the first.
        counted: In which slots something was counted, of the newest.
    """

    newest: int | None = None
    counted: dict[int, int] = attrs.field(factory=dict)
    _heard: dict[int, None] = attrs.field(factory=dict)

    def saw(self, slot: int, parent: int | None) -> int | None:
        """Note a slot; return its parent's number if that was missed, else None."""
        missed = None
        if (
            parent is not None
            and self._heard
            and slot not in self._heard
            and parent not in self._heard
            and parent > min(self._heard)
        ):
            missed = parent
        self._heard[slot] = None
        while len(self._heard) > _RECENT:
            del self._heard[min(self._heard)]
        self.newest = slot if self.newest is None else max(self.newest, slot)
        return missed

    def count(self, slot: int, n: int) -> None:
        """Note that events of a slot were counted."""
        if n:
            self.counted[slot] = self.counted.get(slot, 0) + n
        while len(self.counted) > _RECENT:
            del self.counted[min(self.counted)]

    def died(self, slot: int) -> int:
        """Return how many events were counted of a slot that came to nothing, once."""
        return self.counted.pop(slot, 0)
