"""What Bond asks of a registry that it has for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bond_server.registry.row import Row


class Registry(Protocol):
    """Keeps which streams there are, so that they run again after a restart."""

    def rows(self) -> Sequence[Row]:
        """Return all streams, the oldest first."""
        ...

    async def put(self, row: Row) -> None:
        """Keep a stream, in the place of what was kept of it."""
        ...

    async def remove(self, stream_id: str) -> None:
        """Keep a stream no more; one that isn't kept does no harm."""
        ...


class NoRegistry:
    """A Registry that forgets: streams last as long as the process."""

    def rows(self) -> Sequence[Row]:
        """See Registry."""
        return ()

    async def put(self, row: Row) -> None:
        """See Registry."""

    async def remove(self, stream_id: str) -> None:
        """See Registry."""
