"""What a sink is: the class behind a SinkSpec's factory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bond_core.plugin.context import Context


class Sink(Protocol):
    """Carries a stream's records somewhere.

    The runtime calls `open` once, then `write` with one batch at a time, then `close`.
    """

    async def open(self, ctx: Context) -> None:
        """Get ready. Raise Retryable or Fatal as a connector would."""
        ...

    async def write(self, batch: Sequence[Mapping[str, Any]], ctx: Context) -> None:
        """Carry records (as clients see them). Returning acknowledges; raising repeats them."""
        ...

    async def close(self) -> None:
        """Let go of everything. May be called twice, and before `open`."""
        ...
