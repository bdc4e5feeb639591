"""What a venue of which no recording is played has to say about recordings: nothing."""

from __future__ import annotations

from typing import Any

from bond_sim.instruments import Instrument
from bond_sim.venue import Seen


class Unrecorded:
    """The part of `Venue` that is about recordings."""

    def recorded(self, message: Any) -> list[tuple[str, Any]]:
        """Return nothing: no frame is known."""
        return []

    def seen(self, message: Any) -> Seen:
        """Return that nothing was seen."""
        return Seen("")

    def retimed(self, message: Any, shift_ns: int) -> Any:
        """Return the frame as it is."""
        return message

    def read_instrument(self, id: str, tick: str, lot: str) -> Instrument:
        """Raise ValueError: no name can be told."""
        raise ValueError(f"no recording of this venue is played: {id!r}")
