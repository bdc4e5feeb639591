"""What the routes ask of a Bond, whether it runs alone or shares its streams with others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bond_core.clock import Clock
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import EventLog
from bond_core.log.offset import Offset
from bond_core.log.tail import Tail
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow
from bond_core.runtime.delivery import SinkHost
from bond_core.runtime.feeds import Feeds
from bond_server.compiling import Compiled
from bond_server.language.vocabulary import Vocabulary
from bond_server.streams import AnyStream
from bond_server.telemetry.ledger import Ledger
from bond_server.telemetry.tracing import Tracing


class Service(Protocol):
    """Compiles requests, and knows streams: `Bond`, and `Fleet`."""

    clock: Clock
    log: EventLog
    catalog: Catalog
    vocabulary: Vocabulary
    feeds: Feeds
    sinks: SinkHost
    tracing: Tracing

    def compile(self, request: Mapping[str, Any]) -> Compiled:
        """Turn `{"natural_language": ...}` or `{"spec": ...}` into what would run.

        Raises:
            RequestError: It makes no sense; SetupError: it can't be had here.
        """
        ...

    async def create(self, compiled: Compiled, *, project: str) -> tuple[AnyStream, bool]:
        """Have it run, or find it running; return it and whether it is new.

        Raises:
            LimitError: The project has all the streams it may have.
            LogUnavailableError: Nobody can be asked now.
        """
        ...

    async def look(self, stream_id: str) -> AnyStream | None:
        """Return the stream, whosever it is.

        Raises:
            LogUnavailableError: Nobody can be asked now.
        """
        ...

    async def listed(self, project: str) -> list[AnyStream]:
        """Return a project's streams, the oldest first.

        Raises:
            LogUnavailableError: Nobody can be asked now.
        """
        ...

    async def delete(self, stream_id: str) -> bool:
        """Stop it and forget its records; whether there was one.

        Raises:
            LogUnavailableError: Nobody can be asked now.
        """
        ...

    async def listen(self, stream: AnyStream, after: Offset | None) -> Cursor:
        """Stand somewhere in a stream's log: after an offset, or (None) at its top.

        Close the cursor; while one is open an ephemeral stream lives.

        Raises:
            KeyError: The stream was deleted meanwhile.
            LogUnavailableError: The log can't be read now.
        """
        ...

    async def rescan(self) -> tuple[PluginRow, ...]:
        """Look again for plugins, and return all rows."""
        ...

    def all_streams(self) -> list[AnyStream]:
        """Return the streams that run here."""
        ...

    def tails(self) -> list[Tail]:
        """Return what is kept here of streams' logs."""
        ...

    def ails(self) -> str | None:
        """Return what is wrong with this process, None while nothing is."""
        ...

    def ledger(self) -> Ledger:
        """Return what all streams did here, those that are gone included."""
        ...
